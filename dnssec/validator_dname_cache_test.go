package dnssec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

// expireDNAME makes the tree answer as Unbound does when a DNAME has expired in its cache
// and the CNAME made from it has not: only a question for the DNAME itself brings it.
func (tr *tree) expireDNAME() *tree {
	tr.edit = func(q dns.Question, m *dns.Msg) {
		if q.Qtype != dns.TypeDNAME {
			m.Answer = drop(m.Answer, func(rr dns.RR) bool { return isType(dns.TypeDNAME)(rr) || covers(dns.TypeDNAME)(rr) })
		}
	}
	return tr
}

// movedTree is newTree with zones of each kind of denial that have DNAME records, at the
// apex, below it, and one below a name that both owner and target begin with.
func movedTree(t testing.TB) *tree {
	tr := newTree(t)
	for i, parent := range []string{"example.test.", "hashed.test.", "opt.test."} {
		apex := fmt.Sprintf("moved%d.test.", i)
		z := tr.zone(apex, "@ DNAME "+parent)
		z.nsec3 = tr.zones[parent].nsec3
		tr.zones[parent].add(t, "same.x DNAME same.y\nwww.same.y A 192.0.2.40\nlonger DNAME target\nc CNAME www.d\na.b.target A 192.0.2.41")
	}
	return tr
}

// TestValidatorDNAMEExpiredInCache: a CNAME that came without the DNAME that made it is
// proved by asking for the DNAME (issue 1/8, F7).
func TestValidatorDNAMEExpiredInCache(t *testing.T) {
	for i, parent := range []string{"example.test.", "hashed.test.", "opt.test."} {
		for _, tt := range []struct {
			name, q, want string
			final         string
		}{
			{"data", "www.d." + parent + " A", "secure data", "www.target." + parent},
			{"no data", "www.d." + parent + " MX", "secure nodata", "www.target." + parent},
			{"the alias itself", "www.d." + parent + " CNAME", "secure data", "www.d." + parent},
			{"several labels below the DNAME", "a.b.longer." + parent + " A", "secure data", "a.b.target." + parent},
			{"the alias itself, several labels below", "a.b.longer." + parent + " CNAME", "secure data", "a.b.longer." + parent},
			{"owner and target that begin alike", "www.same.x." + parent + " A", "secure data", "www.same.y." + parent},
			{"behind a signed CNAME", "c." + parent + " A", "secure data", "www.target." + parent},
			{"at the apex", fmt.Sprintf("mx.moved%d.test. A", i), "secure data", "mx." + parent},
			{"at the apex, several labels", fmt.Sprintf("_25._tcp.mx.moved%d.test. TLSA", i), "secure data", "_25._tcp.mx." + parent},
			{"at the apex, then another alias", fmt.Sprintf("alias.moved%d.test. MX", i), "secure nodata", "mx." + parent},
			{"at the apex, into an unsigned zone", fmt.Sprintf("out.moved%d.test. A", i), "insecure data unsigned-delegation", "mx.unsigned.test."},
		} {
			t.Run(parent+" "+tt.name, func(t *testing.T) {
				tr := movedTree(t).expireDNAME()
				a, err := tr.get(tt.q)
				if got := outcome(a, err); got != tt.want || a.Final != name(t, tt.final) {
					t.Errorf("%s, final %s; want %s, %s (%v)", got, a.Final, tt.want, tt.final, err)
				}
				fresh, err := movedTree(t).get(tt.q)
				if err != nil || fmt.Sprint(a.Chain) != fmt.Sprint(fresh.Chain) || !a.Expires.Equal(fresh.Expires) {
					t.Errorf("%+v until %s, with the DNAME in the answer %+v until %s", a.Chain, a.Expires, fresh.Chain, fresh.Expires)
				}
			})
		}
	}
}

// TestValidatorDNAMEExpiredIterations: where the zone is signed and its denials do not
// count, the DNAME still proves the alias.
func TestValidatorDNAMEExpiredIterations(t *testing.T) {
	tr := newTree(t).expireDNAME()
	tr.zones["hashed.test."].nsec3.iterations = 500
	tr.want("www.d.hashed.test. A", "secure data")
	tr.want("www.d.hashed.test. CNAME", "secure data")
	tr.on("d.hashed.test. DNAME", func(m *dns.Msg) { m.Answer = nil })
	tr.want("www.d.hashed.test. A", "insecure data nsec3-iterations")
}

// TestValidatorDNAMEFetched: what the question for the DNAME brings decides, and the
// verdict says what is missing.
func TestValidatorDNAMEFetched(t *testing.T) {
	const ask = "d.example.test. DNAME"
	for _, tt := range []struct {
		name, q string
		edit    func(tr *tree)
		want    string
		text    string // in the reason
		final   string
	}{
		{"there is none", "www.d.example.test. A", func(tr *tree) {
			tr.edit = func(_ dns.Question, m *dns.Msg) { m.Answer = drop(m.Answer, isType(dns.TypeDNAME)) }
		}, "bogus signature-missing", "www.d.example.test CNAME: no signature, and no DNAME above it makes the alias", "www.d.example.test."},
		{"it has a bad signature", "www.d.example.test. A", func(tr *tree) {
			tr.on(ask, func(m *dns.Msg) {
				m.Answer = append(drop(m.Answer, isType(dns.TypeDNAME)), &dns.DNAME{Hdr: dns.RR_Header{Name: "d.example.test.", Rrtype: dns.TypeDNAME, Class: 1, Ttl: 60}, Target: "evil.example.test."})
			})
		}, "bogus signature-invalid", "d.example.test DNAME: signature does not verify", "www.d.example.test."},
		{"it has no signature", "www.d.example.test. A", func(tr *tree) {
			tr.on(ask, func(m *dns.Msg) { m.Answer = drop(m.Answer, covers(dns.TypeDNAME)) })
		}, "bogus signature-missing", "d.example.test DNAME: no signature", "www.d.example.test."},
		{"no answer", "www.d.example.test. A", func(tr *tree) {
			tr.hook = func(q dns.Question) (*dns.Msg, error) {
				if q.Qtype == dns.TypeDNAME {
					return nil, dnssec.ErrTimeout
				}
				return nil, nil
			}
		}, "indeterminate timeout", "no resolver answered in time", "www.d.example.test."},
		{"SERVFAIL", "www.d.example.test. A", func(tr *tree) {
			tr.hook = func(q dns.Question) (*dns.Msg, error) {
				if q.Qtype == dns.TypeDNAME {
					return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}, nil
				}
				return nil, nil
			}
		}, "indeterminate servfail", "the resolver answers SERVFAIL for d.example.test DNAME", "www.d.example.test."},
		// The CNAME that is kept is of the DNAME before this one.
		{"it leads elsewhere by now", "www.d.example.test. A", func(tr *tree) {
			tr.on("www.d.example.test. A", func(m *dns.Msg) {
				m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: "www.d.example.test.", Rrtype: dns.TypeCNAME, Class: 1, Ttl: 60}, Target: "www.former.example.test."}}
			})
		}, "secure data", "", "www.target.example.test."},
		{"it leads elsewhere by now, the alias itself", "www.d.example.test. CNAME", func(tr *tree) {
			tr.on("www.d.example.test. CNAME", func(m *dns.Msg) {
				m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: "www.d.example.test.", Rrtype: dns.TypeCNAME, Class: 1, Ttl: 60}, Target: "www.former.example.test."}}
			})
		}, "bogus alias-forged", "www.d.example.test CNAME: not what the DNAME at d.example.test makes", "www.d.example.test."},
		{"the way to it is not proved", "a.b.longer.example.test. A", func(tr *tree) {
			for _, q := range []string{"longer.example.test. DS", "b.longer.example.test. DS"} {
				tr.on(q, func(m *dns.Msg) { m.Answer, m.Ns = nil, nil })
			}
		}, "secure data", "", "a.b.target.example.test."},
		// No DNAME can make this alias, and none is asked for.
		{"a forged alias", "mx.example.test. A", func(tr *tree) {
			tr.on("mx.example.test. A", func(m *dns.Msg) {
				m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: "mx.example.test.", Rrtype: dns.TypeCNAME, Class: 1, Ttl: 60}, Target: "evil.unsigned.test."}}
			})
		}, "bogus signature-missing", "mx.example.test CNAME: no signature, and no DNAME above it makes the alias", "mx.example.test."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := movedTree(t).expireDNAME()
			tt.edit(tr)
			a, err := tr.get(tt.q)
			if got := outcome(a, err); got != tt.want || !strings.Contains(a.Reason.Text, tt.text) || a.Final != name(t, tt.final) {
				t.Errorf("%s, want %s: %q, final %s", got, tt.want, a.Reason.Text, a.Final)
			}
		})
	}
}

// TestValidatorDNAMEQuestions: the DNAME is asked for where it can prove something, and
// where the alias is unsigned for another reason no question is spent.
func TestValidatorDNAMEQuestions(t *testing.T) {
	asked := func(tr *tree) (n int) {
		for _, q := range tr.asked {
			if strings.HasSuffix(q, " DNAME") {
				n++
			}
		}
		return n
	}
	tr := newTree(t)
	tr.zones["unsigned.test."].add(t, "a.host CNAME a.other")
	tr.want("a.host.unsigned.test. A", "insecure nxdomain unsigned-delegation")
	if n := asked(tr); n != 0 {
		t.Errorf("%d questions for a DNAME in an unsigned zone", n)
	}

	// A zone without DS whose apex is a CNAME, which RFC 1034 section 3.6.2 forbids.
	tr = newTree(t)
	tr.hook = func(q dns.Question) (*dns.Msg, error) {
		if q.Name != "unsigned.test." || q.Qtype != dns.TypeA {
			return nil, nil
		}
		return &dns.Msg{Answer: []dns.RR{
			&dns.CNAME{Hdr: dns.RR_Header{Name: "unsigned.test.", Rrtype: dns.TypeCNAME, Class: 1, Ttl: 60}, Target: "mx.unsigned.test."},
			&dns.A{Hdr: dns.RR_Header{Name: "mx.unsigned.test.", Rrtype: dns.TypeA, Class: 1, Ttl: 60}, A: []byte{192, 0, 2, 30}},
		}}, nil
	}
	tr.want("unsigned.test. A", "insecure data unsigned-delegation")

	// At the apex of a zone with a trust anchor there can be no CNAME, whatever its parent is.
	tr = newTree(t)
	tr.hook = func(q dns.Question) (*dns.Msg, error) {
		if q.Name != "example.test." || q.Qtype == dns.TypeDNSKEY {
			return nil, nil
		}
		return &dns.Msg{Answer: []dns.RR{
			&dns.CNAME{Hdr: dns.RR_Header{Name: "example.test.", Rrtype: dns.TypeCNAME, Class: 1, Ttl: 60}, Target: "example.evil."},
			&dns.A{Hdr: dns.RR_Header{Name: "example.evil.", Rrtype: dns.TypeA, Class: 1, Ttl: 60}, A: []byte{192, 0, 2, 30}},
		}}, nil
	}
	tr.want("example.test. A", "bogus signature-missing", func(c *dnssec.ValidatorConfig) { c.Anchors = tr.anchorsOf("example.test.") })
	tr.want("example.test. CNAME", "bogus signature-missing", func(c *dnssec.ValidatorConfig) { c.Anchors = tr.anchorsOf("example.test.") })

	// Twenty labels that are the same in both names allow for twenty owners.
	long := strings.Repeat("x.", 20)
	tr = newTree(t)
	tr.hook = func(q dns.Question) (*dns.Msg, error) {
		if q.Name != long+"a.example.test." || q.Qtype != dns.TypeA {
			return nil, nil
		}
		return &dns.Msg{Answer: []dns.RR{
			&dns.CNAME{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCNAME, Class: 1, Ttl: 60}, Target: long + "b.example.test."},
		}}, nil
	}
	for _, l := range []string{"a", "b"} {
		tr.zones["example.test."].add(t, long+l+" TXT there")
	}
	a, err := tr.get(long + "a.example.test. A")
	if err == nil || asked(tr) > 8 {
		t.Errorf("%s after %d questions for a DNAME", outcome(a, err), asked(tr))
	}
}

// TestValidatorDNAMEAboveAnchor: nothing exists below a DNAME (RFC 6672 section 2.4), so one
// above a zone with a trust anchor of its own is forged, and is not believed because it is
// above what the anchors cover.
func TestValidatorDNAMEAboveAnchor(t *testing.T) {
	rr := func(h dns.RR, name string, typ uint16) dns.RR {
		*h.Header() = dns.RR_Header{Name: name, Rrtype: typ, Class: dns.ClassINET, Ttl: 60}
		return h
	}
	for _, q := range []string{"mx.example.test. A", "mx.example.test. CNAME", "mx.example.test. MX"} {
		tr := newTree(t)
		tr.hook = func(asked dns.Question) (*dns.Msg, error) {
			if asked.Name == "example.test." {
				return nil, nil
			}
			owner := asked.Name
			target := strings.TrimSuffix(owner, "test.") + "evil."
			return &dns.Msg{Answer: []dns.RR{
				rr(&dns.DNAME{Target: "evil."}, "test.", dns.TypeDNAME),
				rr(&dns.CNAME{Target: target}, owner, dns.TypeCNAME),
				rr(&dns.A{A: []byte{192, 0, 2, 66}}, target, dns.TypeA),
			}}, nil
		}
		a, err := tr.get(q, func(c *dnssec.ValidatorConfig) { c.Anchors = tr.anchorsOf("example.test.") })
		if err == nil || a.Status != dnssec.Bogus {
			t.Errorf("%s: %s (%v)", q, outcome(a, err), err)
		}
	}
}
