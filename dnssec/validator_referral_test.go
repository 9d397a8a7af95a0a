package dnssec_test

import (
	"testing"
	"time"

	"github.com/mxauth/mxauth/dnssec"

	"github.com/miekg/dns"
)

// TestValidatorReferral: a response whose authority section names the servers of a zone,
// and has no SOA record, refers to them (RFC 2308 section 2.2). It stays a referral with
// the proof that the zone has no DS (RFC 4035 section 3.1.4.1), and is no NODATA: the
// server does not recurse, and what it was asked for may well exist.
func TestValidatorReferral(t *testing.T) {
	ns := func(tr *tree, m *dns.Msg, zone string) {
		m.Ns = append(m.Ns, &dns.NS{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 300}, Ns: "ns." + zone})
	}
	for _, tt := range []struct {
		name, q string
		build   func(tr *tree, m *dns.Msg)
		want    string
	}{
		{"servers of an unsigned zone", "mx.unsigned.test. A", func(tr *tree, m *dns.Msg) { ns(tr, m, "unsigned.test.") },
			"indeterminate referral"},
		{"with the proof that it is unsigned", "mx.unsigned.test. A", func(tr *tree, m *dns.Msg) {
			ns(tr, m, "unsigned.test.")
			tr.zones["test."].match(tr, m, "unsigned.test.")
		}, "indeterminate referral"},
		{"the proof before the servers", "mx.unsigned.test. A", func(tr *tree, m *dns.Msg) {
			tr.zones["test."].match(tr, m, "unsigned.test.")
			ns(tr, m, "unsigned.test.")
		}, "indeterminate referral"},
		{"with the proof by an opt-out span", "mx.unsigned.opt.test. A", func(tr *tree, m *dns.Msg) {
			ns(tr, m, "unsigned.opt.test.")
			tr.zones["opt.test."].match(tr, m, "unsigned.opt.test.")
		}, "indeterminate referral"},
		{"a denial beside the zone's own servers", "nowhere.opt.test. A", func(tr *tree, m *dns.Msg) {
			z := tr.zones["opt.test."]
			ns(tr, m, z.apex)
			z.match(tr, m, z.apex)
			z.cover(tr, m, "nowhere.opt.test.", "nowhere.opt.test.")
		}, "insecure nodata opt-out"},
		{"a denial beside servers and SOA record", "mx.unsigned.test. TXT", func(tr *tree, m *dns.Msg) {
			ns(tr, m, "unsigned.test.")
			m.Ns = append(m.Ns, tr.zones["unsigned.test."].signed(tr, "unsigned.test.", dns.TypeSOA)...)
		}, "insecure nodata unsigned-delegation"},
		{"the SOA record of another zone denies nothing", "mx.unsigned.test. TXT", func(tr *tree, m *dns.Msg) {
			ns(tr, m, "unsigned.test.")
			m.Ns = append(m.Ns, tr.zones["unsigned.opt.test."].signed(tr, "unsigned.opt.test.", dns.TypeSOA)...)
		}, "insecure nodata unsigned-delegation"},
		{"nothing at all", "mx.unsigned.test. TXT", func(*tree, *dns.Msg) {}, "insecure nodata unsigned-delegation"},
		{"NXDOMAIN", "mx.unsigned.test. TXT", func(tr *tree, m *dns.Msg) {
			m.Rcode = dns.RcodeNameError
			ns(tr, m, "unsigned.test.")
		}, "insecure nxdomain unsigned-delegation"},
		{"servers of a signed zone prove nothing", "mx.example.test. TXT", func(tr *tree, m *dns.Msg) { ns(tr, m, "example.test.") },
			"bogus denial-missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answering(t, tt.q, func(tr *tree, _ *testZone, m *dns.Msg) { tt.build(tr, m) }).want(tt.q, tt.want)
		})
	}
}

func TestValidatorDelegated(t *testing.T) {
	// The answer from an unsigned zone brings the proof that it is unsigned.
	with := func(t *testing.T, edit func(z *testZone, tr *tree, m *dns.Msg)) *tree {
		tr := newTree(t)
		tr.on("mx.unsigned.test. A", func(m *dns.Msg) { edit(tr.zones["test."], tr, m) })
		return tr
	}
	proof := func(z *testZone, tr *tree, m *dns.Msg) { z.match(tr, m, "unsigned.test.") }
	t.Run("then its DS is not asked for", func(t *testing.T) {
		tr := with(t, proof)
		tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
		if tr.count("unsigned.test. DS") != 0 {
			t.Errorf("asked %q", tr.asked)
		}
		tr = newTree(t)
		tr.on("mx.unsigned.test. TXT", func(m *dns.Msg) { proof(tr.zones["test."], tr, m) })
		tr.want("mx.unsigned.test. TXT", "insecure nodata unsigned-delegation")
		if tr.count("unsigned.test. DS") != 0 {
			t.Errorf("asked %q", tr.asked)
		}
	})
	for what, edit := range map[string]func(z *testZone, tr *tree, m *dns.Msg){
		"unsigned proof":        func(z *testZone, tr *tree, m *dns.Msg) { proof(z, tr, m); m.Ns = drop(m.Ns, covers(dns.TypeNSEC)) },
		"proof of another name": func(z *testZone, tr *tree, m *dns.Msg) { z.match(tr, m, "ns.test.") },
		"proof by another zone": func(_ *testZone, tr *tree, m *dns.Msg) {
			z := tr.zones["hashed.test."]
			z.match(tr, m, "mx.hashed.test.")
		},
		"proof of a signed zone": func(z *testZone, tr *tree, m *dns.Msg) { z.match(tr, m, "example.test.") },
	} {
		t.Run(what, func(t *testing.T) {
			tr := with(t, edit)
			tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
			if tr.count("unsigned.test. DS") != 1 {
				t.Errorf("asked %q", tr.asked)
			}
		})
	}
	t.Run("a signed zone is not unsigned by another's proof", func(t *testing.T) {
		tr := newTree(t)
		tr.on(tlsa, func(m *dns.Msg) {
			m.Answer = drop(m.Answer, isType(dns.TypeRRSIG))
			tr.zones["test."].match(tr, m, "unsigned.test.")
		})
		tr.want(tlsa, "bogus signature-missing")
	})
	t.Run("an anchor below the cut holds", func(t *testing.T) {
		tr := newTree(t)
		tr.zone("island.unsigned.test.", "mx A 192.0.2.1")
		tr.zones["island.unsigned.test."].ds = []dns.RR{}
		tr.on("mx.island.unsigned.test. A", func(m *dns.Msg) {
			m.Answer = drop(m.Answer, isType(dns.TypeRRSIG))
			proof(tr.zones["test."], tr, m)
		})
		tr.want("mx.island.unsigned.test. A", "bogus signature-missing", func(c *dnssec.ValidatorConfig) {
			c.Anchors = append(c.Anchors, tr.anchorsOf("island.unsigned.test.")...)
		})
		// So it does where a signature names a zone above it, which is unsigned.
		tr.on("mx.island.unsigned.test. A", func(m *dns.Msg) {
			s := signSet(t, tr.zones["test."].keys[0], "unsigned.test.", m.Answer, testTime.Add(-time.Hour), testTime.Add(time.Hour))
			m.Answer = append(m.Answer, s)
		})
		tr.want("mx.island.unsigned.test. A", "bogus signature-signer", func(c *dnssec.ValidatorConfig) {
			c.Anchors = append(c.Anchors, tr.anchorsOf("island.unsigned.test.")...)
		})
	})
}
