package dane_test

import (
	"crypto/x509"
	"testing"

	"github.com/mxauth/mxauth/dane"
)

// FuzzVerify throws records and chains together in any way. Whatever comes: no panic,
// a verdict only with a usable record that matches at that depth, never a PKIX usage,
// and the same verdict twice.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	self := issue(f, spec{cn: "self", dns: []string{"mx.sec.example"}, ca: true, key: 3}, nil)
	other := issue(f, spec{cn: "Root", ca: true, key: 4}, nil)
	cross := issue(f, spec{cn: "Intermediate", ca: true, key: 1}, other)
	wrong := issue(f, spec{cn: "x", dns: []string{"x.example"}, key: 2}, w.inter)
	nodes := []*node{w.leaf, w.inter, w.root, self, other, cross, wrong}
	// Records are four octets each: usage, selector, matching type, node; an odd fifth
	// octet, the high bit of the node, spoils the data.
	f.Add([]byte{3, 1, 1, 0}, []byte{0, 1, 2}, false)
	f.Add([]byte{2, 0, 1, 2, 3, 1, 2, 130}, []byte{0, 1, 2, 5}, true)
	f.Add([]byte{2, 1, 0, 2, 2, 0, 0, 4}, []byte{0, 5, 1}, false)
	f.Add([]byte{0, 1, 1, 0, 1, 0, 0, 0}, []byte{6, 1}, false)
	f.Fuzz(func(t *testing.T, recs, certs []byte, noCN bool) {
		var rs []dane.Record
		for ; len(recs) >= 4 && len(rs) < 40; recs = recs[4:] {
			r := nodes[int(recs[3]&0x7f)%len(nodes)].record(dane.Usage(recs[0]%6), dane.Selector(recs[1]%3), dane.MatchingType(recs[2]%4))
			if recs[3]&0x80 != 0 && len(r.Data) > 0 {
				r.Data = r.Data[:len(r.Data)-1] + "\x00"
			}
			rs = append(rs, r)
		}
		var p dane.Peer
		for _, c := range certs[:min(len(certs), 40)] {
			p.Chain = append(p.Chain, nodes[int(c)%len(nodes)].Certificate)
		}
		o := options
		o.NoCNID = noCN
		s := set(rs...)
		res, err := s.Verify(p, o)
		again, err2 := s.Verify(p, o)
		if (err == nil) != (err2 == nil) || res.Matched != again.Matched || res.Depth != again.Depth {
			t.Fatalf("two verdicts: %v and %v", err, err2)
		}
		if res.OK != (err == nil) || len(res.Trace) != len(rs) {
			t.Fatalf("%+v beside %v", res, err)
		}
		if err != nil {
			return
		}
		var at *x509.Certificate
		switch res.Matched.Usage {
		case dane.DANEEE:
			at = p.Chain[0]
		case dane.DANETA:
			if !res.Name.OK || len(res.Path.Certs) != res.Depth+1 || res.Path.Certs[0] != p.Chain[0] {
				t.Fatalf("DANE-TA without a name or a path: %+v", res)
			}
			at = res.Path.Certs[res.Depth]
		default:
			t.Fatalf("authenticated by %s", res.Matched)
		}
		if res.Path.BareKey {
			if res.Matched.Numbers() != "2 1 0" {
				t.Fatalf("a bare key by %s", res.Matched)
			}
			return
		}
		want := (&node{Certificate: at}).record(res.Matched.Usage, res.Matched.Selector, res.Matched.MatchingType)
		if want != res.Matched {
			t.Fatalf("authenticated by %s, which is not that of the certificate at depth %d", res.Matched, res.Depth)
		}
	})
}
