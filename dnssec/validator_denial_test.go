package dnssec_test

import (
	"errors"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
)

func TestValidatorDenial(t *testing.T) {
	t.Run("DNSSEC4035-5.4-01 NODATA and NXDOMAIN need their proofs", func(t *testing.T) {
		for q, want := range map[string]string{"mx.example.test. TXT": "secure nodata", "a.nowhere.example.test. A": "secure nxdomain"} {
			tr := newTree(t)
			tr.want(q, want)
			var n int
			tr.on(q, func(m *dns.Msg) {
				n = 0
				for _, rr := range m.Ns {
					if rr.Header().Rrtype == dns.TypeNSEC {
						n++
					}
				}
			})
			tr.want(q, want)
			for i := range n { // without any one of them
				tr := newTree(t)
				tr.on(q, func(m *dns.Msg) {
					k := -1
					m.Ns = drop(m.Ns, func(rr dns.RR) bool {
						if rr.Header().Rrtype == dns.TypeNSEC {
							k++
							return k == i
						}
						return false
					})
				})
				if a, err := tr.get(q); !errors.Is(err, dnssec.ErrBogus) {
					t.Errorf("%s without NSEC %d: %s", q, i, outcome(a, err))
				}
			}
		}
	})
	t.Run("DNSSEC4035-5.4-02 unsigned NSEC proves nothing", func(t *testing.T) {
		for _, q := range []string{"mx.example.test. TXT", "mx.hashed.test. TXT"} {
			tr := newTree(t)
			tr.on(q, func(m *dns.Msg) {
				m.Ns = drop(m.Ns, func(rr dns.RR) bool { return covers(dns.TypeNSEC)(rr) || covers(dns.TypeNSEC3)(rr) })
			})
			tr.want(q, "bogus denial-missing")
		}
	})
	for _, id := range []string{"DNSSEC4035-5.4-03 a question whose proof is incomplete is asked once more"} {
		t.Run(id, func(t *testing.T) {
			tr := newTree(t)
			n := 0
			tr.on("mx.example.test. TXT", func(m *dns.Msg) {
				if n++; n == 1 {
					m.Ns = m.Ns[:2]
				}
			})
			tr.want("mx.example.test. TXT", "secure nodata")
			if got := tr.count("mx.example.test. TXT"); got != 2 {
				t.Errorf("asked %d times", got)
			}
			tr = newTree(t)
			tr.on("mx.example.test. TXT", func(m *dns.Msg) { m.Ns = m.Ns[:2] })
			tr.want("mx.example.test. TXT", "bogus denial-missing")
			if got := tr.count("mx.example.test. TXT"); got != 2 {
				t.Errorf("asked %d times", got)
			}
		})
	}
	t.Run("NSEC3-5155-8.4-01 NXDOMAIN needs encloser and wildcard", func(t *testing.T) {
		const q = "nowhere.hashed.test. A"
		for i := range 3 {
			tr := newTree(t)
			tr.want(q, "secure nxdomain")
			tr.on(q, func(m *dns.Msg) {
				var sets []string
				for _, rr := range m.Ns {
					if rr.Header().Rrtype == dns.TypeNSEC3 {
						sets = append(sets, rr.Header().Name)
					}
				}
				if i < len(sets) {
					m.Ns = drop(m.Ns, func(rr dns.RR) bool { return rr.Header().Name == sets[i] })
				} else {
					m.Ns = nil
				}
			})
			if a, err := tr.get(q); !errors.Is(err, dnssec.ErrBogus) {
				t.Errorf("without NSEC3 %d: %s", i, outcome(a, err))
			}
		}
	})
	t.Run("NSEC3-5155-9.2-01 what rests on opt-out is insecure", func(t *testing.T) {
		tr := newTree(t)
		tr.want("nowhere.opt.test. A", "insecure nxdomain opt-out")
		tr.want("foo.wild.opt.test. A", "insecure data opt-out")
		tr.want("mx.unsigned.opt.test. A", "insecure data opt-out")
		tr.want("mx.opt.test. TXT", "secure nodata")
	})
	many := func(t *testing.T, n uint16) *tree {
		tr := newTree(t)
		tr.zones["hashed.test."].nsec3.iterations = n
		return tr
	}
	t.Run("NSEC3-9276-3.2-01 limit and limit+1", func(t *testing.T) {
		many(t, 150).want("nowhere.hashed.test. A", "secure nxdomain")
		many(t, 151).want("nowhere.hashed.test. A", "insecure nxdomain nsec3-iterations")
		many(t, 151).want("foo.wild.hashed.test. A", "insecure data nsec3-iterations")
		few := func(n int) func(*dnssec.ValidatorConfig) {
			return func(c *dnssec.ValidatorConfig) { c.MaxNSEC3Iterations = n }
		}
		many(t, 1).want("nowhere.hashed.test. A", "insecure nxdomain nsec3-iterations", few(-1))
		many(t, 0).want("nowhere.hashed.test. A", "secure nxdomain", few(-1))
		many(t, 10).want("nowhere.hashed.test. A", "secure nxdomain", few(10))
		many(t, 11).want("nowhere.hashed.test. A", "insecure nxdomain nsec3-iterations", few(10))
	})
	t.Run("NSEC3-9276-4-01 one limit", func(t *testing.T) {
		for _, n := range []uint16{151, 500, 2500, 65535} {
			many(t, n).want("nowhere.hashed.test. A", "insecure nxdomain nsec3-iterations")
		}
	})
	for _, id := range []string{"NSEC3-9276-3.2-02", "NSEC3-5155-10.3-01"} {
		t.Run(id+" iterations altered without a signature", func(t *testing.T) {
			tr := newTree(t)
			tr.on("nowhere.hashed.test. A", func(m *dns.Msg) {
				for _, rr := range m.Ns {
					if n, ok := rr.(*dns.NSEC3); ok {
						n.Iterations = 5000
					}
				}
			})
			tr.want("nowhere.hashed.test. A", "bogus signature-invalid")
		})
	}
	t.Run("NSEC3-9276-3.2-03 EDE 27, only if verified", func(t *testing.T) {
		a, err := many(t, 151).get("nowhere.hashed.test. A")
		if err != nil || a.Reason.EDE != dnssec.EDEUnsupportedIterations {
			t.Errorf("%d %v", a.Reason.EDE, err)
		}
		tr := many(t, 151)
		tr.edit = func(_ dns.Question, m *dns.Msg) { m.Ns = drop(m.Ns, covers(dns.TypeNSEC3)) }
		if a, _ := tr.get("nowhere.hashed.test. A"); a.Reason.EDE == dnssec.EDEUnsupportedIterations {
			t.Errorf("EDE %d", a.Reason.EDE)
		}
	})
	t.Run("a delegation denied with too many iterations is insecure", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["test."].nsec3 = &testNSEC3{iterations: 200}
		tr.want("mx.unsigned.test. A", "insecure data nsec3-iterations")
		tr.want("mx.example.test. A", "secure data")
	})
	t.Run("DNSSEC6840-2.1-01 NSEC and NSEC3 with one algorithm", func(t *testing.T) {
		for _, zone := range []string{"example.test.", "hashed.test."} {
			tr := newTree(t)
			z := tr.zones[zone]
			z.keys = []*testKey{newTestKey(t, z.apex, dns.RSASHA256, 1024, 257)}
			tr.want("nowhere."+zone+" A", "secure nxdomain")
		}
	})
	t.Run("NSEC3-5155-8.9-01 an unsigned delegation", func(t *testing.T) {
		tr := newTree(t)
		tr.zones["test."].nsec3 = &testNSEC3{}
		tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
		tr.on("unsigned.test. DS", func(m *dns.Msg) { m.Ns = drop(m.Ns, isType(dns.TypeNSEC3)) })
		tr.want("mx.unsigned.test. A", "bogus denial-missing")
	})
	t.Run("a denial with a forged SOA record is bogus", func(t *testing.T) {
		tr := newTree(t)
		tr.on("mx.example.test. TXT", func(m *dns.Msg) { m.Ns[0].(*dns.SOA).Minttl = 1 << 30 })
		tr.want("mx.example.test. TXT", "bogus signature-invalid")
	})
	// Issue 1/8, F7: it is the same zone whether its proof is found in the answer or asked
	// for, and only the reply to the question for DS has the SOA record.
	t.Run("F7 a forged SOA record beside the denial of DS leaves the zone unsigned", func(t *testing.T) {
		for _, edit := range []func(m *dns.Msg){
			func(m *dns.Msg) { m.Ns[0].(*dns.SOA).Minttl = 1 << 30 },
			func(m *dns.Msg) { m.Ns = drop(m.Ns, covers(dns.TypeSOA)) },
		} {
			tr := newTree(t)
			tr.on("unsigned.test. DS", edit)
			tr.want("mx.unsigned.test. A", "insecure data unsigned-delegation")
			tr.want("out.example.test. A", "insecure data unsigned-delegation")
			tr.on("unsigned.test. DS", func(m *dns.Msg) { m.Ns = drop(m.Ns, isType(dns.TypeNSEC)) })
			tr.want("mx.unsigned.test. A", "bogus denial-missing")
		}
		// Where the DS set itself is asked for, the SOA record counts as beside any denial.
		tr := newTree(t)
		tr.on("mx.example.test. DS", func(m *dns.Msg) { m.Ns[0].(*dns.SOA).Minttl = 1 << 30 })
		tr.want("mx.example.test. DS", "bogus signature-invalid")
	})
}
