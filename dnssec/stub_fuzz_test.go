package dnssec_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// A parrot answers every question with the same octets behind the right question.
type parrot struct {
	rest  []byte // what follows the question; before it two octets of flags and six of counts
	asked int
}

func (p *parrot) ProtectedPath() bool { return true }

func (p *parrot) Exchange(_ context.Context, q []byte) (dnssec.Response, error) {
	p.asked++
	m, err := wire.Parse(q)
	if err != nil {
		return dnssec.Response{}, err
	}
	b := append([]byte(nil), q[:2]...)
	b = append(b, p.rest[:2]...)
	b = append(b, 0, 1)
	b = append(b, p.rest[2:8]...)
	b = m.Question.Name.AppendWire(b)
	b = binary.BigEndian.AppendUint16(b, m.Question.Type)
	b = append(b, 0, 1)
	return dnssec.Response{Message: append(b, p.rest[8:]...), Server: "parrot"}, nil
}

// FuzzStub: whatever a resolver says, an answer is secure only if AD was set, is complete,
// and took no more questions than the limits allow.
func FuzzStub(f *testing.F) {
	q := new(dns.Msg)
	q.SetQuestion("mx.example.org.", dns.TypeA)
	q.SetEdns0(1232, true)
	for _, ad := range []bool{true, false} {
		for _, m := range []*dns.Msg{
			dnsfake.Answer(q, mxA), dnsfake.Answer(q, mxToB, bToC, cA), dnsfake.Answer(q, mxToB),
			dnsfake.Answer(q, "example.org. 60 IN DNAME example.net."), dnsfake.Answer(q, "org. 60 IN DNAME a.b.c.org."),
			dnsfake.Rcode(q, 3, exampleSOA), dnsfake.Rcode(q, 0, exampleSOA), dnsfake.Extended(dnsfake.Rcode(q, 2, ""), 6, "x"),
		} {
			m.AuthenticatedData = ad
			b, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(append(append(append([]byte(nil), b[2:4]...), b[6:12]...), b[12+20:]...))
		}
	}
	f.Fuzz(func(t *testing.T, rest []byte) {
		if len(rest) < 8 {
			return
		}
		p := &parrot{rest: rest}
		a, err := stub(t, p).Resolve(t.Context(), question(t, "mx.example.org", dnssec.TypeA))
		// A question for each step of the chain, one for its status, three for a SERVFAIL.
		if p.asked > 2*dnssec.MaxAliases+5 {
			t.Errorf("%d questions", p.asked)
		}
		if len(a.Chain) > dnssec.MaxAliases {
			t.Errorf("%d aliases", len(a.Chain))
		}
		if err != nil {
			if !errors.Is(err, dnssec.ErrLookup) || a.Status > dnssec.Bogus || a.Kind != 0 || a.Records != nil || a.Reason.Code == "" {
				t.Errorf("%s", brief(a, err))
			}
			return
		}
		ad := rest[1]&0x20 != 0
		if a.Status < dnssec.Insecure || a.Kind == 0 || (a.Status == dnssec.Secure) != ad || (len(a.Records) > 0) != (a.Kind == dnssec.Data) || a.Expires.Before(a.Received) {
			t.Errorf("AD %v: %s", ad, brief(a, err))
		}
		final, insecure := a.Question.Name, false
		for _, st := range a.Chain {
			if st.Owner != final || insecure && st.Status != dnssec.Insecure || st.Status < dnssec.Insecure {
				t.Errorf("%s", brief(a, err))
			}
			final, insecure = st.Target, insecure || st.Status == dnssec.Insecure
		}
		if final != a.Final {
			t.Errorf("%s", brief(a, err))
		}
	})
}
