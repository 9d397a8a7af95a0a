package peers

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
)

// StartKnot starts a Knot Resolver that validates, on ports 53, 853 (DNS over TLS) and
// 443 (DNS over HTTPS) of a 127.x address.
func StartKnot(tb testing.TB, dir string, r Resolver, leaf Leaf) *Daemon {
	tb.Helper()
	chain := leaf.ChainFile(tb, dir, "knot."+r.Address)
	conf := filepath.Join(dir, "knot."+r.Address+".conf")
	// The root's address comes by hints; "test." is a special-use domain that Knot
	// would deny by itself.
	write(tb, conf, `trust_anchors.remove('.')
trust_anchors.add(%q)
modules.load('hints')
hints.root({['ns.test.'] = %q})
policy.add(policy.suffix(policy.PASS, {todname('test.')}))
cache.size = 10 * MB
net.ipv6 = false
net.tls(%q, %q)
net.listen(%q, 53, { kind = 'dns' })
net.listen(%q, 853, { kind = 'tls' })
net.listen(%q, 443, { kind = 'doh2' })
`, r.Anchor, r.Root, chain, chain, r.Address, r.Address, r.Address)
	d := Start(tb, "kresd", "-n", "-c", conf, dir)
	d.WaitFor(tb, "answer for the root", asks(r.Address+":53", ".", dns.TypeDNSKEY, true))
	return d
}

// StartDnsmasq starts a forwarder on port 53 of a 127.x address that asks the resolver at
// r.Root.
func StartDnsmasq(tb testing.TB, dir string, r Resolver, args ...string) *Daemon {
	tb.Helper()
	args = append([]string{"-k", "--conf-file=/dev/null", "--listen-address=" + r.Address, "--bind-interfaces",
		"--no-resolv", "--no-hosts", "--server=" + r.Root, "--user=root", "--log-facility=-",
		"--pid-file=" + filepath.Join(dir, "dnsmasq."+r.Address+".pid")}, args...)
	d := Start(tb, "dnsmasq", args...)
	d.WaitFor(tb, "answer for the root", asks(r.Address+":53", ".", dns.TypeSOA, false))
	return d
}

// TLS returns lines for [Resolver].Extra that make an Unbound serve DNS over TLS on port
// 853 and DNS over HTTPS on port 443 as well.
func (r Resolver) TLS(tb testing.TB, dir string, leaf Leaf) string {
	tb.Helper()
	chain := leaf.ChainFile(tb, dir, "unbound."+r.Address)
	return fmt.Sprintf("  interface: %s@853\n  interface: %s@443\n  tls-service-key: %q\n  tls-service-pem: %q\n  https-port: 443\n",
		r.Address, r.Address, chain, chain)
}
