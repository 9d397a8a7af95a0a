// Package replay runs recorded and scripted DNS scenarios against mxauth's validator:
// it plays the recursive resolver that the validator asks, from the canned answers of
// a scenario, and compares what the validator makes of them with what the scenario's
// author says a validator must.
package replay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/vectors/rpl"
	"github.com/mxauth/mxauth/dnssec"
)

// A recursor plays one recursive server over all name servers of a scenario. It knows
// from the referrals which server holds which zone, and takes for each question the
// answer of the server with the deepest zone; what that server has no business to say
// is left out, as a recursive server does.
type recursor struct {
	servers []server

	mu    sync.Mutex // guards what follows
	step  int
	log   []string
	times map[dns.Question]int  // how often a question was asked
	split map[dns.Question]bool // questions that servers of one zone answer differently
	lost  map[dns.Question]bool // questions that no server has an answer to
}

// A server is the canned answers of one address.
type server struct {
	address string   // "" for those of any server
	zones   []string // that referrals say it has; canonical
	entries []entry
}

// An entry is a canned answer, read.
type entry struct {
	from, to   int
	match      []string
	qname      string // canonical
	qtype      uint16
	rcode      int
	answer     []dns.RR
	authority  []dns.RR
	additional []dns.RR
	raw        []byte
}

// newRecursor reads the ranges of a scenario.
func newRecursor(f *rpl.File) (*recursor, error) {
	r := &recursor{times: map[dns.Question]int{}, split: map[dns.Question]bool{}, lost: map[dns.Question]bool{}}
	index := map[string]int{}
	for _, rg := range f.Ranges {
		addresses := rg.Addresses
		if len(addresses) == 0 {
			addresses = []string{""}
		}
		for _, a := range addresses {
			if _, ok := index[a]; !ok {
				index[a] = len(r.servers)
				r.servers = append(r.servers, server{address: a})
			}
		}
		for _, e := range rg.Entries {
			got, err := readEntry(e)
			if err != nil {
				return nil, err
			}
			got.from, got.to = rg.From, rg.To
			for _, a := range addresses {
				s := &r.servers[index[a]]
				s.entries = append(s.entries, got)
			}
		}
	}
	if err := r.readReplies(f); err != nil {
		return nil, err
	}
	r.learnZones(f)
	return r, nil
}

// readReplies takes the answers that a scenario hands out in a step of its own as
// those of any server from the question before it on.
func (r *recursor) readReplies(f *rpl.File) error {
	s := server{}
	asked := 0
	for _, st := range f.Steps {
		switch {
		case st.Event == "QUERY":
			asked = st.N
		case st.Event == "REPLY" && st.Entry != nil:
			e, err := readEntry(*st.Entry)
			if err != nil {
				return err
			}
			e.from, e.to = asked, st.N+1
			s.entries = append(s.entries, e)
		}
	}
	if len(s.entries) > 0 {
		r.servers = append(r.servers, s)
	}
	return nil
}

func readEntry(e rpl.Entry) (entry, error) {
	out := entry{match: e.Match}
	var err error
	if len(e.Question) > 0 {
		if out.qname, out.qtype, err = readQuestion(e.Question[0]); err != nil {
			return entry{}, err
		}
	}
	for _, w := range e.Reply {
		if rc, ok := dns.StringToRcode[strings.ToUpper(w)]; ok {
			out.rcode = rc
		}
	}
	if e.Hex != "" {
		if out.raw, err = hex.DecodeString(e.Hex); err != nil {
			return entry{}, fmt.Errorf("replay: raw message: %w", err)
		}
	}
	if out.answer, err = readRecords(e.Answer); err != nil {
		return entry{}, err
	}
	if out.authority, err = readRecords(e.Authority); err != nil {
		return entry{}, err
	}
	if out.additional, err = readRecords(e.Additional); err != nil {
		return entry{}, err
	}
	return out, nil
}

// readQuestion reads "name [IN] type".
func readQuestion(line string) (name string, typ uint16, err error) {
	w := strings.Fields(line)
	if len(w) < 2 {
		return "", 0, fmt.Errorf("replay: question %.60q", line)
	}
	t := strings.ToUpper(w[len(w)-1])
	typ, ok := dns.StringToType[t]
	if !ok {
		var n uint16
		if _, err := fmt.Sscanf(t, "TYPE%d", &n); err != nil {
			return "", 0, fmt.Errorf("replay: type in question %.60q", line)
		}
		typ = n
	}
	return dns.CanonicalName(w[0]), typ, nil
}

func readRecords(lines []string) ([]dns.RR, error) {
	var out []dns.RR
	for _, l := range lines {
		rr, err := readRecord(l)
		if err != nil {
			return nil, err
		}
		if rr != nil {
			out = append(out, rr)
		}
	}
	return out, nil
}

// defaultTTL is the TTL of records that have none, as testbound has it.
const defaultTTL = 3600

// readRecord reads one line of a master file, relative names as absolute ones.
func readRecord(line string) (dns.RR, error) {
	zp := dns.NewZoneParser(strings.NewReader(line+"\n"), ".", "")
	zp.SetDefaultTTL(defaultTTL)
	rr, ok := zp.Next()
	if err := zp.Err(); err != nil {
		return nil, fmt.Errorf("replay: record %.80q: %w", line, err)
	}
	if !ok {
		return nil, nil
	}
	return rr, nil
}

// at sets the number of the step, which says which ranges hold.
func (r *recursor) at(step int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step = step
}

// hasLost reports whether the question was asked and no server had an answer.
func (r *recursor) hasLost(name string, typ uint16) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost[dns.Question{Name: name, Qtype: typ}]
}

// anySplit returns a question that was asked and that servers of one zone answer
// differently; "" if there is none.
func (r *recursor) anySplit() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for q := range r.split {
		return q.Name + " " + dns.Type(q.Qtype).String()
	}
	return ""
}

// Exchange implements [dnssec.Upstream].
func (r *recursor) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	if ctx.Err() != nil {
		return dnssec.Response{}, fmt.Errorf("%w: %w", dnssec.ErrTimeout, context.Cause(ctx))
	}
	var q dns.Msg
	if err := q.Unpack(query); err != nil || len(q.Question) != 1 {
		return dnssec.Response{}, fmt.Errorf("%w: query", dnssec.ErrMalformed)
	}
	name, typ := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	e, found := r.answer(name, typ)
	if e.raw != nil {
		raw := bytes.Clone(e.raw)
		copy(raw, query[:2])
		return dnssec.Response{Message: raw, Server: "replay"}, nil
	}
	if !found {
		e = entry{rcode: dns.RcodeServerFailure}
	}
	b, err := packResponse(&q, e.rcode, e.answer, e.authority)
	if err != nil {
		return dnssec.Response{}, fmt.Errorf("%w: %w", dnssec.ErrMalformed, err)
	}
	return dnssec.Response{Message: b, Server: "replay"}, nil
}

// Kinds of canned answers to a question, best first.
const (
	isAnswer   = iota // the records, or an alias
	isReferral        // for a DS question: the parent's referral, which has the DS or its denial
	isDenial          // SOA, NSEC or NSEC3
	isEmpty           // nothing at all
	isChild           // for a DS question: the child's denial, which is no word on it
	isJunk            // something else
	isFailure
	isUseless // a referral elsewhere
)

// A candidate is what one server has to say.
type candidate struct {
	entry
	kind  int
	depth int // labels of its zone
}

// answer returns the answer of the authoritative server. Where several servers of one
// zone differ, they take turns when a question is asked again, as they would.
func (r *recursor) answer(name string, typ uint16) (entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.candidates(name, typ)
	if len(all) == 0 && typ == dns.TypeDS {
		if e, ok := r.denyDS(name); ok {
			all = append(all, candidate{e, isDenial, 0})
		}
	}
	q := dns.Question{Name: name, Qtype: typ}
	turn := r.times[q]
	r.times[q]++
	if len(all) == 0 {
		r.lost[q] = true
		r.log = append(r.log, fmt.Sprintf("%s %s: nothing", name, dns.Type(typ)))
		return entry{}, false
	}
	same := 1
	for same < len(all) && all[same].kind == all[0].kind && all[same].depth == all[0].depth {
		if !all[same].equal(&all[0].entry) {
			r.split[q] = true
		}
		same++
	}
	e := all[turn%same]
	if target := e.firstTarget(name, typ); target != "" {
		// A recursive server asks for the target of an alias itself, if it may.
		if next := r.candidates(target, typ); len(next) > 0 && next[0].kind <= isDenial {
			e.entry = e.upTo(name)
		}
	}
	r.log = append(r.log, fmt.Sprintf("%s %s: kind %d depth %d rcode %d answer %d authority %d (%d of %d)", name, dns.Type(typ), e.kind, e.depth, e.rcode, len(e.answer), len(e.authority), turn%same, same))
	return e.entry, true
}

// candidates returns what the servers have to say, best first.
func (r *recursor) candidates(name string, typ uint16) []candidate {
	var all []candidate
	for i := range r.servers {
		s := &r.servers[i]
		zone, depth := s.zoneOf(name, typ), -1
		if zone != "" {
			depth = dns.CountLabel(zone)
		}
		for _, e := range s.entries {
			if r.step < e.from || r.step > e.to {
				continue
			}
			if typ == dns.TypeDS && e.refers(name) {
				all = append(all, candidate{e.fromReferral(name), isReferral, depth})
			}
		}
		for _, e := range s.entries {
			if r.step < e.from || r.step > e.to || !e.matches(name, typ) {
				continue
			}
			if k := e.judge(name, typ); k != isUseless {
				all = append(all, candidate{e.scrub(zone), k, depth})
			}
			break // the first that matches is sent
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		if fa, fb := a.kind == isFailure, b.kind == isFailure; fa != fb {
			if fa {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(b.depth, a.depth), cmp.Compare(a.kind, b.kind))
	})
	return all
}

// denyDS answers a DS question that no server answers, by a denial that some server gave
// with another answer, as a recursive server with aggressive use of NSEC does (RFC
// 8198).
func (r *recursor) denyDS(name string) (entry, bool) {
	for _, s := range r.servers {
		for _, e := range s.entries {
			if r.step < e.from || r.step > e.to {
				continue
			}
			for _, rr := range e.authority {
				fits := false
				switch rr := rr.(type) {
				case *dns.NSEC:
					fits = dns.CanonicalName(rr.Hdr.Name) == name
				case *dns.NSEC3:
					fits = rr.Match(name) || rr.Cover(name)
				}
				if fits {
					return e.fromReferral(name), true
				}
			}
		}
	}
	return entry{}, false
}

// firstTarget is where the CNAME at name leads, or the DNAME above it; "" if the
// question's type is answered at name.
func (e *entry) firstTarget(name string, typ uint16) string {
	target := ""
	for _, rr := range e.answer {
		owner := dns.CanonicalName(rr.Header().Name)
		if owner != name {
			continue
		}
		if rr.Header().Rrtype == typ {
			return ""
		}
		if c, ok := rr.(*dns.CNAME); ok {
			target = dns.CanonicalName(c.Target)
		}
	}
	return target
}

// upTo leaves out of the answer what follows the alias at name.
func (e *entry) upTo(name string) entry {
	out := *e
	out.rcode = dns.RcodeSuccess
	out.answer = nil
	for _, rr := range e.answer {
		owner := dns.CanonicalName(rr.Header().Name)
		covered := rr.Header().Rrtype
		if s, ok := rr.(*dns.RRSIG); ok {
			covered = s.TypeCovered
		}
		if owner == name || (covered == dns.TypeDNAME && dns.IsSubDomain(owner, name)) {
			out.answer = append(out.answer, rr)
		}
	}
	out.authority = slices.DeleteFunc(slices.Clone(e.authority), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
	return out
}

func (e *entry) equal(o *entry) bool {
	same := func(a, b []dns.RR) bool {
		return slices.EqualFunc(a, b, func(a, b dns.RR) bool { return a == b || a.String() == b.String() })
	}
	return e.rcode == o.rcode && bytes.Equal(e.raw, o.raw) && same(e.answer, o.answer) && same(e.authority, o.authority)
}

// matches follows the words of MATCH.
func (e *entry) matches(name string, typ uint16) bool {
	if rpl.Has(e.match, "qtype") && e.qtype != typ {
		return false
	}
	if rpl.Has(e.match, "qname") && e.qname != name {
		return false
	}
	if rpl.Has(e.match, "question") && (e.qname != name || e.qtype != typ) {
		return false
	}
	if rpl.Has(e.match, "subdomain") && !dns.IsSubDomain(e.qname, name) {
		return false
	}
	return true
}
