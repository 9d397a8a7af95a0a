package lab_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/engine"
)

// bogusWorld has a zone whose TLSA records are forged.
func bogusWorld() lab.World {
	return lab.World{
		Name: "forged", Domain: "forged.test",
		Zones: []lab.Zone{{Apex: "forged.test", Break: []lab.Break{{What: lab.Forged, Name: "_25._tcp.mx.forged.test", Type: "TLSA"}}}},
		Hosts: []lab.Host{{Name: "mx.forged.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}},
	}
}

// The five resolvers differ in what they make of the same answer.
func TestFronts(t *testing.T) {
	l := start(t, bogusWorld())
	const bogus = "_25._tcp.mx.forged.test"
	for _, c := range []struct {
		about, name string
		at          netip.AddrPort
		cd          bool
		want        string
	}{
		{"validating, sound", "forged.test", l.Resolver(), false, "NOERROR AD | MX RRSIG |"},
		{"validating, bogus", bogus, l.Resolver(), false, "SERVFAIL | |"},
		{"validating, bogus, CD", bogus, l.Resolver(), true, "NOERROR | TLSA RRSIG |"},
		{"plain, sound", "forged.test", l.Plain(), false, "NOERROR | MX RRSIG |"},
		{"plain, bogus", bogus, l.Plain(), false, "NOERROR | TLSA RRSIG |"},
		{"stripping, sound", "forged.test", l.Strips(), false, "NOERROR | MX |"},
		{"stripping, bogus", bogus, l.Strips(), true, "NOERROR | TLSA |"},
		{"lying, bogus", bogus, l.Lies(), false, "NOERROR AD | TLSA |"},
		{"ignoring CD, bogus", bogus, l.IgnoresCD(), true, "SERVFAIL | |"},
		{"ignoring CD, sound", "forged.test", l.IgnoresCD(), true, "NOERROR | MX RRSIG |"},
	} {
		typ := "TLSA"
		if c.name != bogus {
			typ = "MX"
		}
		m := ask(t, c.at, c.name, typ, func(q *dns.Msg) { q.CheckingDisabled = c.cd })
		if got := summary(m); got != c.want {
			t.Errorf("%s: got %s, want %s", c.about, got, c.want)
		}
		if m.CheckingDisabled != c.cd {
			t.Errorf("%s: CD is not copied", c.about)
		}
	}
	var codes []uint16
	for _, o := range ask(t, l.Resolver(), bogus, "TLSA").IsEdns0().Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok {
			codes = append(codes, e.InfoCode)
		}
	}
	if !slices.Equal(codes, []uint16{dns.ExtendedErrorCodeDNSBogus}) {
		t.Errorf("extended errors of a bogus answer: %v", codes)
	}
}

// A client that does not ask for DNSSEC gets none of it, and AD only if it sets AD
// itself (RFC 4035 section 3.2.1, RFC 6840 section 5.8).
func TestWithoutDO(t *testing.T) {
	l := start(t, bogusWorld())
	noDO := func(q *dns.Msg) { q.Extra = nil }
	if got := summary(ask(t, l.Resolver(), "forged.test", "MX", noDO)); got != "NOERROR | MX |" {
		t.Error(got)
	}
	withAD := func(q *dns.Msg) { q.Extra, q.AuthenticatedData = nil, true }
	if got := summary(ask(t, l.Resolver(), "forged.test", "MX", withAD)); got != "NOERROR AD | MX |" {
		t.Error(got)
	}
	if got := summary(ask(t, l.Plain(), "forged.test", "DNSKEY", noDO)); got != "NOERROR | DNSKEY |" {
		t.Error(got)
	}
	if got := summary(ask(t, l.Strips(), "forged.test", "DNSKEY")); got != "NOERROR | |" {
		t.Error(got)
	}
}

// Over UDP an answer is cut at the size that the client takes, and never beyond the
// lab's own limit.
func TestTruncation(t *testing.T) {
	big := lab.World{Name: "big", Domain: "big.test", Records: []string{
		"big.test. TXT " + strings.Repeat(`"`+strings.Repeat("x", 200)+`" `, 3), "big.test. TXT " + strings.Repeat(`"`+strings.Repeat("y", 200)+`" `, 3),
	}}
	l := start(t, big)
	once := func(net string, size uint16) *dns.Msg {
		t.Helper()
		q := new(dns.Msg)
		q.SetQuestion("big.test.", dns.TypeTXT)
		if size > 0 {
			q.SetEdns0(size, false)
		}
		r, _, err := (&dns.Client{Net: net, UDPSize: 4096, Timeout: 5 * time.Second}).Exchange(q, l.Plain().String())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		net  string
		size uint16
		cut  bool
	}{{"udp", 0, true}, {"udp", 1232, true}, {"udp", 4096, true}, {"tcp", 0, false}, {"tcp", 1232, false}} {
		if r := once(c.net, c.size); r.Truncated != c.cut || c.cut == (len(r.Answer) > 0) {
			t.Errorf("%s, size %d: TC %v with %d records", c.net, c.size, r.Truncated, len(r.Answer))
		}
	}
}

// Every RRset that a sound zone sends verifies under its keys, by another
// implementation than the validator's; wildcards and denials too.
func TestSignaturesVerify(t *testing.T) {
	l := start(t, lab.Worlds()...)
	keys := map[string][]*dns.DNSKEY{}
	keysOf := func(zone string) []*dns.DNSKEY {
		if _, ok := keys[zone]; !ok {
			for _, rr := range ask(t, l.Plain(), zone, "DNSKEY", noCheck).Answer {
				if k, ok := rr.(*dns.DNSKEY); ok {
					keys[zone] = append(keys[zone], k)
				}
			}
		}
		return keys[zone]
	}
	checked := 0
	verify := func(t *testing.T, section []dns.RR) {
		for _, rr := range section {
			sig, ok := rr.(*dns.RRSIG)
			if !ok {
				continue
			}
			var set []dns.RR
			for _, o := range section {
				if o.Header().Rrtype == sig.TypeCovered && o.Header().Name == sig.Hdr.Name {
					set = append(set, o)
				}
			}
			good := false
			for _, k := range keysOf(sig.SignerName) {
				good = good || k.KeyTag() == sig.KeyTag && sig.Verify(k, set) == nil
			}
			if !good || !sig.ValidityPeriod(time.Now()) || !dns.IsSubDomain(sig.SignerName, sig.Hdr.Name) {
				t.Errorf("%s does not verify", sig)
			}
			checked++
		}
	}
	for _, w := range l.Worlds() {
		if len(w.Zones) > 0 && (w.Zones[0].Colliding > 0 || len(w.Zones[0].Break) > 0) {
			continue
		}
		for _, a := range w.Asks {
			if a.Status != "secure" {
				continue
			}
			m := ask(t, l.Plain(), a.Name, a.Type, noCheck)
			verify(t, m.Answer)
			verify(t, m.Ns)
			if a.Kind != "data" && !slices.ContainsFunc(m.Ns, func(rr dns.RR) bool {
				return rr.Header().Rrtype == dns.TypeNSEC || rr.Header().Rrtype == dns.TypeNSEC3
			}) {
				t.Errorf("%s %s: denied without a proof", a.Name, a.Type)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d signatures checked", checked)
	}
}

// A chain of DS and DNSKEY records leads from the trust anchor to a world's zone.
func TestChainOfTrust(t *testing.T) {
	l := start(t, bogusWorld())
	anchor, err := dns.NewRR(strings.Split(l.TrustAnchor(), "\n")[0])
	if err != nil {
		t.Fatal(err)
	}
	ds := anchor.(*dns.DS)
	for _, zone := range []string{".", "test.", "forged.test."} {
		if zone != "." {
			ds = ask(t, l.Plain(), zone, "DS").Answer[0].(*dns.DS)
		}
		fits := false
		for _, rr := range ask(t, l.Plain(), zone, "DNSKEY").Answer {
			if k, ok := rr.(*dns.DNSKEY); ok && k.KeyTag() == ds.KeyTag {
				fits = fits || strings.EqualFold(k.ToDS(ds.DigestType).Digest, ds.Digest)
			}
		}
		if !fits {
			t.Errorf("no key of %s fits its DS", zone)
		}
	}
}

// Through a resolver that loses DNSSEC records, and through one that claims everything
// to be authentic, a validator authenticates no one and calls nothing insecure: all is
// deferred, but for the address literal, which asks no one.
func TestWithoutDNSSEC(t *testing.T) {
	for name, front := range map[string]func(*lab.Lab) netip.AddrPort{"strips": (*lab.Lab).Strips, "lies": (*lab.Lab).Lies} {
		t.Run(name, func(t *testing.T) {
			var worlds []lab.World
			for _, w := range lab.Worlds() {
				if w.Was == nil {
					worlds = append(worlds, w)
				}
			}
			l := start(t, worlds...)
			j := newJudge(l, validator(t, l, front(l)))
			j.each(t, func(t *testing.T, w lab.World, v mxauth.Verdict) {
				if v.Plan.MX.Row == "M1" {
					return
				}
				if v.Outcome != engine.Deferred || v.Deliver {
					t.Errorf("%s by %q", v.Outcome, v.Method)
				}
			})
		})
	}
}
