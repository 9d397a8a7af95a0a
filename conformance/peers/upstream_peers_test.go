package peers_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/probe"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/rfc6125"
)

// The addresses of the resolvers of this test.
const (
	upNSD     = "127.0.40.1"
	upUnbound = "127.0.40.2" // validates; UDP, TCP, DoT, DoH
	upPlain   = "127.0.40.3" // does not validate; the same
	upKnot    = "127.0.40.4" // validates; the same
	upDnsmasq = "127.0.40.5" // forwards to upUnbound, knows nothing of DNSSEC
	upMasqSec = "127.0.40.6" // forwards to upUnbound and validates
)

// upBIND validates; UDP, TCP, DoT, DoH.
var upBIND = peers.BIND{DNS: 5340, TLS: 5341, HTTPS: 5342, Root: upNSD}

// A resolver is one of them, with the addresses of its services.
type resolver struct{ addr, dns, tls, https string }

func usual(addr string) resolver { return resolver{addr, addr, addr, "dns.test"} }

// ways names it by each way that leads there.
func (r resolver) ways() map[string]string {
	return map[string]string{"UDP": r.dns, "TCP": r.dns, "DoT": "tls://" + r.tls + "#dns.test", "DoH": "https://" + r.https + "/dns-query"}
}

// upZones are the zones of the test, and upNames what is asked in each of them.
func upZones() []peers.Zone {
	records := func(apex string) string {
		text := strings.Repeat("x", 200)
		var b strings.Builder
		fmt.Fprintf(&b, `%[1]s MX 10 mx.%[1]s
%[1]s TXT "v=spf1 -all"
mx.%[1]s A 192.0.2.1
mx.%[1]s AAAA 2001:db8::1
_25._tcp.mx.%[1]s TLSA 3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
*.wild.%[1]s A 192.0.2.2
to-signed.%[1]s CNAME mx.signed.test.
to-unsigned.%[1]s CNAME mx.unsigned.test.
to-nothing.%[1]s CNAME nothing.signed.test.
first.%[1]s CNAME to-unsigned.%[1]s
`, apex)
		for i := range 15 {
			fmt.Fprintf(&b, "big.%s TXT \"%d%s\"\n", apex, i, text)
		}
		return b.String()
	}
	zones := []peers.Zone{{Apex: "."}, {Apex: "test."}}
	for _, z := range []peers.Zone{
		{Apex: "signed.test."},
		{Apex: "nsec3.test.", NSEC3: true},
		{Apex: "unsigned.test.", Unsigned: true},
		{Apex: "broken.test.", Spoil: func(s string) string {
			s = strings.Replace(s, "IN\tMX\t10 ", "IN\tMX\t11 ", 1)
			return strings.Replace(s, "IN\tSOA\tns.test. hostmaster.test. 1 ", "IN\tSOA\tns.test. hostmaster.test. 2 ", 1)
		}},
	} {
		z.Records = records(z.Apex)
		zones = append(zones, z)
	}
	return zones
}

// An upCase is one question with its status.
type upCase struct {
	q    dnssec.Question
	want string // status, kind and final name; or the kind of error
}

func upCases(t *testing.T) []upCase {
	var out []upCase
	for zone, status := range map[string]string{"signed": "secure", "nsec3": "secure", "unsigned": "insecure"} {
		apex := zone + ".test"
		viaUnsigned := func(n string) string { return "insecure data " + n }
		for what, want := range map[string]string{
			" MX": status + " data " + apex, " SOA": status + " data " + apex, " TXT": status + " data " + apex,
			" AAAA": status + " nodata " + apex, "mx. A": status + " data mx." + apex, "mx. AAAA": status + " data mx." + apex,
			"mx. TXT": status + " nodata mx." + apex, "_25._tcp.mx. TLSA": status + " data _25._tcp.mx." + apex,
			"_tcp.mx. TLSA": status + " nodata _tcp.mx." + apex, "nothing. A": status + " nxdomain nothing." + apex,
			"_25._tcp.nothing. TLSA": status + " nxdomain _25._tcp.nothing." + apex, "a.wild. A": status + " data a.wild." + apex,
			"a.b.wild. A": status + " data a.b.wild." + apex, "a.wild. TXT": status + " nodata a.wild." + apex,
			"big. TXT": status + " data big." + apex, "to-signed. A": status + " data mx.signed.test",
			"to-unsigned. A": viaUnsigned("mx.unsigned.test"), "first. AAAA": viaUnsigned("mx.unsigned.test"),
			"to-nothing. A": status + " nxdomain nothing.signed.test",
		} {
			owner, typ, _ := strings.Cut(what, " ")
			out = append(out, upCase{upQuestion(t, owner+apex, typ), want})
		}
	}
	for what, want := range map[string]string{
		" MX": "bogus", " SOA": "bogus", "mx. A": "secure data mx.broken.test", "big. TXT": "secure data big.broken.test",
		"to-signed. A": "secure data mx.signed.test", "_25._tcp.mx. TLSA": "secure data _25._tcp.mx.broken.test",
	} {
		owner, typ, _ := strings.Cut(what, " ")
		out = append(out, upCase{upQuestion(t, owner+"broken.test", typ), want})
	}
	return out
}

func upQuestion(t *testing.T, name, typ string) dnssec.Question {
	n, err := rfc6125.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []dnssec.Type{dnssec.TypeA, dnssec.TypeAAAA, dnssec.TypeMX, dnssec.TypeTXT, dnssec.TypeSOA, dnssec.TypeTLSA} {
		if x.String() == typ {
			return dnssec.Question{Name: n, Type: x}
		}
	}
	t.Fatalf("no type %s", typ)
	return dnssec.Question{}
}

func upSummary(a dnssec.Answer, err error) string {
	switch {
	case errors.Is(err, dnssec.ErrBogus):
		return "bogus"
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("%s %s %s", a.Status, a.Kind, a.Final)
}

// TestUpstreams asks the same of Unbound, Knot Resolver, BIND and dnsmasq, over each way that
// leads to them, through the validator and, where it may be trusted, the stub: the
// status never depends on the way.
func TestUpstreams(t *testing.T) {
	second := "named" // a second recursive server beside Unbound: either, or both
	if peers.Has("kresd") {
		second = "kresd"
	}
	peers.Require(t, "nsd", "unbound", second, "dnsmasq", "ldns-keygen", "ldns-signzone", "ldns-key2ds")
	dir := peers.Dir(t)
	ca := peers.NewCA(t, "Test CA")
	leaf := ca.Issue(t, time.Hour, "dns.test")
	zones := upZones()
	root := peers.Tree(t, dir, upNSD, zones)
	peers.StartNSD(t, dir, upNSD, zones)
	for addr, validates := range map[string]bool{upUnbound: true, upPlain: false} {
		r := peers.Resolver{Address: addr, Root: upNSD}
		if validates {
			r.Anchor = root
		}
		r.Extra = r.TLS(t, dir, leaf)
		peers.StartUnbound(t, dir, r)
	}
	resolvers := map[string]resolver{"Unbound": usual(upUnbound), "Unbound without validation": usual(upPlain)}
	if peers.Has("kresd") {
		resolvers["Knot Resolver"] = usual(upKnot)
		peers.StartKnot(t, dir, peers.Resolver{Address: upKnot, Root: upNSD, Anchor: root}, leaf)
	}
	if peers.Has("named") {
		b := upBIND
		b.Anchor = root
		b.Start(t, dir, leaf)
		const host = "127.0.0.1"
		resolvers["BIND"] = resolver{host, fmt.Sprintf("%s:%d", host, b.DNS), fmt.Sprintf("%s:%d", host, b.TLS), fmt.Sprintf("dns.test:%d", b.HTTPS)}
	}
	peers.StartDnsmasq(t, dir, peers.Resolver{Address: upDnsmasq, Root: upUnbound})
	f := strings.Fields(root) // . 300 IN DS tag algorithm type digest
	peers.StartDnsmasq(t, dir, peers.Resolver{Address: upMasqSec, Root: upUnbound}, "--dnssec",
		"--trust-anchor=.,"+strings.Join(f[len(f)-4:], ","))

	anchors, err := anchor.Parse(strings.NewReader(root + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	cases := upCases(t)
	if len(cases) < 60 {
		t.Fatalf("%d questions, want at least 60", len(cases))
	}
	client := func(t *testing.T, way string, to resolver) *upstream.Client {
		t.Helper()
		srv, err := upstream.ParseServer(to.ways()[way])
		if err != nil {
			t.Fatal(err)
		}
		cfg := upstream.Config{Servers: []upstream.Server{srv}, RootCAs: roots, Timeout: 20 * time.Second,
			Bootstrap: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr(to.addr)}, nil
			}}
		if way == "TCP" {
			cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if network == "udp" {
					return nil, errors.New("only TCP is tried")
				}
				return new(net.Dialer).DialContext(ctx, network, address)
			}
		}
		c, err := upstream.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ask := func(t *testing.T, r dnssec.Resolver) {
		t.Helper()
		var g errgroup.Group
		g.SetLimit(16)
		for _, c := range cases {
			g.Go(func() error {
				if got := upSummary(r.Resolve(t.Context(), c.q)); got != c.want {
					t.Errorf("%s: got %s, want %s", c.q, got, c.want)
				}
				return nil
			})
		}
		_ = g.Wait()
	}
	for name, to := range resolvers {
		for way := range to.ways() {
			t.Run(name+" over "+way, func(t *testing.T) {
				c := client(t, way, to)
				v, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: c, Anchors: anchors})
				if err != nil {
					t.Fatal(err)
				}
				t.Run("validator", func(t *testing.T) { ask(t, v) })
				err = dnssec.StubConfig{Upstream: c}.CheckValidating(t.Context())
				if to.addr == upPlain {
					if !errors.Is(err, dnssec.ErrNotValidating) {
						t.Errorf("a resolver that does not validate was not found out: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: c})
				if err != nil {
					t.Fatal(err)
				}
				t.Run("stub", func(t *testing.T) { ask(t, s) })
			})
		}
	}
	for name, addr := range map[string]string{"dnsmasq": upDnsmasq, "dnsmasq that validates": upMasqSec} {
		t.Run(name, func(t *testing.T) {
			c := client(t, "UDP", usual(addr))
			if err := (dnssec.StubConfig{Upstream: c}).CheckValidating(t.Context()); errors.Is(err, dnssec.ErrNotValidating) != (addr == upDnsmasq) {
				t.Error(err)
			}
			for _, round := range []string{"first", "from its cache"} {
				t.Run(round, func(t *testing.T) {
					v, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: c, Anchors: anchors})
					if err != nil {
						t.Fatal(err)
					}
					ask(t, v)
				})
			}
		})
	}
	names := probe.Names{Signed: upQuestion(t, "signed.test", "A").Name, Unsigned: upQuestion(t, "unsigned.test", "A").Name,
		Broken: upQuestion(t, "broken.test", "A").Name, Missing: upQuestion(t, "nothing.signed.test", "A").Name}
	for _, tt := range []struct{ name, server, want string }{
		{"Unbound", upUnbound, "good for validation, good for trust-ad (on this host)"},
		{"Unbound over DoT", "tls://" + upUnbound + "#dns.test", "good for validation, good for trust-ad (on this host)"},
		{"Unbound without validation", upPlain, "good for validation"},
		{"Knot Resolver", resolvers["Knot Resolver"].dns, "good for validation, good for trust-ad (on this host)"},
		{"BIND", resolvers["BIND"].dns, "good for validation, good for trust-ad (on this host)"},
		// It passes signatures through, but keeps AD to itself.
		{"dnsmasq", upDnsmasq, "good for validation"},
		{"dnsmasq that validates", upMasqSec, "good for validation, good for trust-ad (on this host)"},
	} {
		if tt.server == "" {
			continue // not installed
		}
		t.Run("probe "+tt.name, func(t *testing.T) {
			srv, err := upstream.ParseServer(tt.server)
			if err != nil {
				t.Fatal(err)
			}
			r, err := probe.Run(t.Context(), probe.Config{Server: srv, Names: names, RootCAs: roots})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(r.Verdicts(), ", "); got != tt.want {
				t.Errorf("%s: got %s, want %s", r.Software, got, tt.want)
				for _, f := range r.Findings {
					t.Logf("%s %s: %s", f.ID, f.Level, f.Text)
				}
			}
		})
	}
}
