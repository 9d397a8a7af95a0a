package dnssec_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnsfake"
)

// A world is a resolver in memory: each question has responses, given in turn, the last
// one for ever. It writes down what it was asked. It is a dnssec.Upstream whose path
// counts as protected.
type world struct {
	mu      sync.Mutex
	answers map[string][]response
	asked   []string
	raw     [][]byte
}

type response struct {
	m   func(q *dns.Msg) *dns.Msg
	raw []byte
	err error
}

func (w *world) ProtectedPath() bool { return true }

// on sets the responses to a question such as "mx.example.org A", "... +cd" with CD.
func (w *world) on(q string, rs ...response) *world {
	if w.answers == nil {
		w.answers = map[string][]response{}
	}
	w.answers[q] = rs
	return w
}

func (w *world) Exchange(_ context.Context, query []byte) (dnssec.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := new(dns.Msg)
	if err := q.Unpack(query); err != nil {
		return dnssec.Response{}, err
	}
	s := strings.TrimSuffix(q.Question[0].Name, ".") + " " + dns.TypeToString[q.Question[0].Qtype]
	if q.Question[0].Name == "." {
		s = ". " + dns.TypeToString[q.Question[0].Qtype]
	}
	if q.CheckingDisabled {
		s += " +cd"
	}
	w.asked = append(w.asked, s)
	w.raw = append(w.raw, slices.Clone(query))
	rs := w.answers[s]
	if len(rs) == 0 {
		return dnssec.Response{}, fmt.Errorf("%w: the world has no answer to %s", dnssec.ErrUnreachable, s)
	}
	r := rs[0]
	if len(rs) > 1 {
		w.answers[s] = rs[1:]
	}
	if r.err != nil {
		return dnssec.Response{}, r.err
	}
	if r.raw != nil {
		return dnssec.Response{Message: r.raw, Server: "world"}, nil
	}
	b, err := r.m(q).Pack()
	if err != nil {
		panic(err)
	}
	return dnssec.Response{Message: b, Server: "world"}, nil
}

// data is an answer with records; secure is one with AD.
func data(records ...string) response {
	return response{m: func(q *dns.Msg) *dns.Msg { return dnsfake.Answer(q, records...) }}
}

func secure(r response) response {
	return response{m: func(q *dns.Msg) *dns.Msg { m := r.m(q); m.AuthenticatedData = true; return m }}
}

// rcode makes r's response carry a code.
func rcode(code int, r response) response {
	return response{m: func(q *dns.Msg) *dns.Msg { m := r.m(q); m.Rcode = code; return m }}
}

// soa adds one to the authority section; the TTL is 600 and the minimum 300.
func soa(r response, record string) response {
	return response{m: func(q *dns.Msg) *dns.Msg { m := r.m(q); m.Ns = append(m.Ns, dnsfake.RR(record)); return m }}
}

const exampleSOA = "example.org. 600 IN SOA ns.example.org. host.example.org. 1 2 3 4 300"

func ede(r response, code uint16, text string) response {
	return response{m: func(q *dns.Msg) *dns.Msg { return dnsfake.Extended(r.m(q), code, text) }}
}

func failing(err error) response { return response{err: err} }
