package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// A BIND is a named that recurses and validates.
type BIND struct {
	// named listens only at addresses that an interface has, and of 127.x that is
	// usually 127.0.0.1 alone; so it is the ports that are chosen.
	DNS, TLS, HTTPS uint16
	Root, Anchor    string // as in [Resolver]
}

// Start starts it at 127.0.0.1.
func (r BIND) Start(tb testing.TB, dir string, leaf Leaf) *Daemon {
	tb.Helper()
	work := filepath.Join(dir, fmt.Sprintf("named.%d", r.DNS))
	if err := os.Mkdir(work, 0o755); err != nil {
		tb.Fatal(err)
	}
	chain := leaf.ChainFile(tb, work, "named")
	write(tb, filepath.Join(work, "hints"), ". 3600000 IN NS ns.test.\nns.test. 3600000 IN A %s\n", r.Root)
	f := strings.Fields(r.Anchor) // . 300 IN DS tag algorithm type digest
	conf := filepath.Join(work, "named.conf")
	write(tb, conf, `options {
	directory %[1]q;
	pid-file none;
	session-keyfile none;
	listen-on port %[2]d { 127.0.0.1; };
	listen-on port %[3]d tls local { 127.0.0.1; };
	listen-on port %[4]d tls local http default { 127.0.0.1; };
	listen-on-v6 { none; };
	recursion yes;
	allow-query { 127.0.0.0/8; };
	dnssec-validation yes;
	empty-zones-enable no;
	max-cache-size 20M;
};
tls local { cert-file %[5]q; key-file %[5]q; };
controls { };
zone "." { type hint; file "hints"; };
trust-anchors { . static-ds %[6]s %[7]s %[8]s %[9]q; };
`, work, r.DNS, r.TLS, r.HTTPS, chain, f[len(f)-4], f[len(f)-3], f[len(f)-2], f[len(f)-1])
	d := Start(tb, "named", "-g", "-n", "1", "-c", conf)
	d.WaitFor(tb, "answer for the root", asks(fmt.Sprintf("127.0.0.1:%d", r.DNS), ".", dns.TypeDNSKEY, true))
	return d
}

// Has reports whether a program is installed.
func Has(program string) bool { return path(program) != "" }
