package dnssec_test

import (
	"testing"

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
