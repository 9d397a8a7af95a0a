package replay

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/dnsjava"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/rfc6125"
)

// A recording is an upstream that has recorded messages, one a question; the last one
// counts.
type recording struct {
	messages map[dns.Question]entry

	mu   sync.Mutex // guards lost
	lost []string   // questions that are not in it
}

func newRecording(messages []dnsjava.Message) (*recording, error) {
	r := &recording{messages: map[dns.Question]entry{}}
	for _, m := range messages {
		name, typ, err := readQuestion(m.QName + " " + m.QType)
		if err != nil {
			return nil, err
		}
		e := entry{rcode: dns.StringToRcode[m.Rcode]}
		e.answer, e.authority = readable(m.Answer), readable(m.Authority)
		r.messages[dns.Question{Name: name, Qtype: typ}] = e
	}
	return r, nil
}

// readable reads records and leaves out what is none: a recorded message that was
// altered by search and replace may hold such lines.
func readable(lines []string) []dns.RR {
	var out []dns.RR
	for _, l := range lines {
		if rr, err := readRecord(l); err == nil && rr != nil {
			out = append(out, rr)
		}
	}
	return out
}

// Exchange implements [dnssec.Upstream].
func (r *recording) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	if ctx.Err() != nil {
		return dnssec.Response{}, fmt.Errorf("%w: %w", dnssec.ErrTimeout, context.Cause(ctx))
	}
	var q dns.Msg
	if err := q.Unpack(query); err != nil || len(q.Question) != 1 {
		return dnssec.Response{}, fmt.Errorf("%w: query", dnssec.ErrMalformed)
	}
	key := dns.Question{Name: dns.CanonicalName(q.Question[0].Name), Qtype: q.Question[0].Qtype}
	e, ok := r.messages[key]
	if !ok {
		r.mu.Lock()
		r.lost = append(r.lost, key.Name+" "+dns.Type(key.Qtype).String())
		r.mu.Unlock()
		e.rcode = dns.RcodeServerFailure
	}
	b, err := packResponse(&q, e.rcode, e.answer, e.authority)
	if err != nil {
		return dnssec.Response{}, fmt.Errorf("%w: %w", dnssec.ErrMalformed, err)
	}
	return dnssec.Response{Message: b, Server: "recording"}, nil
}

// RunRecording asks the question of a case with its recording as the upstream and with
// the anchors, and judges the outcome.
func RunRecording(c dnsjava.Case, messages io.Reader, anchors []anchor.Anchor) sets.Result {
	res := sets.Result{Case: c.File, Want: c.Verdict + " " + c.Rcode}
	fail := func(err error) sets.Result { res.Got = err.Error(); return res }
	msgs, err := dnsjava.Read(messages)
	if err != nil {
		return fail(err)
	}
	up, err := newRecording(msgs)
	if err != nil {
		return fail(err)
	}
	now, err := c.Time()
	if err != nil {
		return fail(err)
	}
	name, typ, err := readQuestion(c.QName + " " + c.QType)
	if err != nil {
		return fail(err)
	}
	n, err := rfc6125.ParseName(name)
	if err != nil {
		return fail(err)
	}
	v, err := dnssec.NewValidator(dnssec.ValidatorConfig{
		Upstream: up, Anchors: anchors, Algorithms: Algorithms(), Now: fixed(now),
	})
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()
	a, err := v.Resolve(ctx, dnssec.Question{Name: n, Type: dnssec.Type(typ)})
	if err != nil {
		res.Got = "bogus SERVFAIL"
	} else {
		rcode := "NOERROR"
		if a.Kind == dnssec.NXDomain {
			rcode = "NXDOMAIN"
		}
		res.Got = a.Status.String() + " " + rcode
	}
	if res.Got != res.Want {
		why := a.Reason.String()
		if err != nil {
			why = err.Error()
		}
		if len(up.lost) > 0 {
			res.Skip = fmt.Sprintf("the recording has no answer to %s, which another order of questions asks (%s)", strings.Join(up.lost, ", "), why)
		}
		res.Got += ": " + why
	}
	return res
}
