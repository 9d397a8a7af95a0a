// Package dnsfake answers DNS questions in tests, and in what runs vectors. It validates
// nothing. There are two fakes. A [Resolver] has fixed answers in memory, and is a
// [dnssec.Resolver]: a test describes zones, each with the security status of what is
// in it, and records in the form of a zone file; the resolver follows aliases,
// keeps the status of every step, denies what is not there, and writes down what it
// was asked. Failures, answers of another status and questions that hang are set
// name by name.
//
//	r := dnsfake.New()
//	r.Zone("example.org", dnssec.Secure)
//	r.Add("mx.example.org. 300 IN A 192.0.2.1")
//	r.Fail("mx.example.org", dnssec.TypeAAAA, dnssec.ErrServFail)
//
// A [Server] is on a loopback port, and a test decides its every answer: right, late,
// twice, about something else, or none at all. It serves UDP and TCP on one port, or TLS.
//
//	srv := dnsfake.Start(t, func(r *dnsfake.Request) {
//		r.Reply(dnsfake.Answer(r.Msg, "mx.example.org. 300 IN A 192.0.2.1"))
//	})
package dnsfake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
)

// DenialTTL is the time that a denial lives, unless the clock says otherwise.
const DenialTTL = 10 * time.Minute

// epoch is the time of receipt of every answer until [Resolver.SetClock] is called:
// the time at which the clock of testing/synctest starts.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// A Resolver answers from the records that it was given. It may be used by many goroutines at
// once.
type Resolver struct {
	mu    sync.Mutex // guards what follows
	now   func() time.Time
	zones map[rfc6125.Name]dnssec.Status
	sets  map[dnssec.Question]*rrset
	holds map[dnssec.Question]chan struct{}
	asked []dnssec.Question
}

// An rrset holds what is known of one name and type: records, a denial or a failure.
type rrset struct {
	records []dnssec.Record
	target  rfc6125.Name // of a CNAME
	status  dnssec.Status
	reason  dnssec.Reason
	kind    dnssec.Kind
	fail    error
}

// New returns a resolver that knows nothing: it answers every question with an
// insecure NXDOMAIN.
func New() *Resolver {
	return &Resolver{
		now:   func() time.Time { return epoch },
		zones: map[rfc6125.Name]dnssec.Status{},
		sets:  map[dnssec.Question]*rrset{},
		holds: map[dnssec.Question]chan struct{}{},
	}
}

// SetClock sets the clock by which answers are received and expire.
func (r *Resolver) SetClock(now func() time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
}

// Zone sets the status of all records and denials at and below apex, as far as no
// zone below it says otherwise. Names in no zone are insecure.
func (r *Resolver) Zone(apex string, s dnssec.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zones[name(apex)] = s
}

// Add adds records in zone file form ("mx.example.org. 300 IN A 192.0.2.1") with
// the status of their zone, as it is when they are asked for. It panics on what does
// not parse: the test is wrong.
func (r *Resolver) Add(lines ...string) {
	for _, l := range lines {
		r.add(l, 0, false)
	}
}

// AddAs adds one record whose RRset has a status of its own.
func (r *Resolver) AddAs(s dnssec.Status, line string) { r.add(line, s, true) }

// unset is the status of an rrset that has that of its zone.
const unset = dnssec.Status(255)

func (r *Resolver) add(line string, s dnssec.Status, own bool) {
	rr, err := dns.NewRR(line)
	if err != nil || rr == nil {
		panic(fmt.Sprintf("dnsfake: %q: %v", line, err))
	}
	switch rr.Header().Rrtype {
	case dns.TypeMX, dns.TypeCNAME, dns.TypeNS:
		if rr, err = dns.NewRR(strings.ToLower(line)); err != nil {
			panic(fmt.Sprintf("dnsfake: %q: %v", line, err))
		}
	}
	owner := name(rr.Header().Name)
	rec := dnssec.Record{Type: dnssec.Type(rr.Header().Rrtype), TTL: rr.Header().Ttl, Data: rdata(rr)}
	r.mu.Lock()
	defer r.mu.Unlock()
	q := dnssec.Question{Name: owner, Type: rec.Type}
	set := r.sets[q]
	if set == nil || set.kind != dnssec.Data {
		set = &rrset{kind: dnssec.Data, status: unset}
		r.sets[q] = set
	}
	if own {
		set.status = s
	}
	if c, ok := rr.(*dns.CNAME); ok {
		set.target = name(c.Target)
	}
	set.records = append(set.records, rec)
}

// AddRaw adds a record whose RDATA is given as it is, for what no zone file holds.
func (r *Resolver) AddRaw(owner string, t dnssec.Type, ttl uint32, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := dnssec.Question{Name: name(owner), Type: t}
	set := r.sets[q]
	if set == nil || set.kind != dnssec.Data {
		set = &rrset{kind: dnssec.Data, status: unset}
		r.sets[q] = set
	}
	set.records = append(set.records, dnssec.Record{Type: t, TTL: ttl, Data: data})
}

// Deny makes the answer for one name and type a denial of that kind (NoData or
// NXDomain), status and reason. Nothing needs to be said of names and types that are
// not there: these are denied with the status of their zone.
func (r *Resolver) Deny(owner string, t dnssec.Type, k dnssec.Kind, s dnssec.Status, why dnssec.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sets[dnssec.Question{Name: name(owner), Type: t}] = &rrset{kind: k, status: s, reason: why}
}

// Fail makes the lookup of one name and type fail with kind, one of the sentinels of
// package dnssec ([dnssec.ErrBogus], ...).
func (r *Resolver) Fail(owner string, t dnssec.Type, kind error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sets[dnssec.Question{Name: name(owner), Type: t}] = &rrset{fail: kind}
}

// Remove forgets what was said of one name and type.
func (r *Resolver) Remove(owner string, t dnssec.Type) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sets, dnssec.Question{Name: name(owner), Type: t})
}

// Hold lets the question wait until release is called or its context is done; then it
// is answered as usual, or fails with [dnssec.ErrTimeout]. Release may be called
// once only.
func (r *Resolver) Hold(owner string, t dnssec.Type) (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := dnssec.Question{Name: name(owner), Type: t}
	ch := make(chan struct{})
	r.holds[q] = ch
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.holds, q)
		close(ch)
	}
}

// Asked lists the questions in the order in which they came. Questions that were
// asked at the same time come in any order.
func (r *Resolver) Asked() []dnssec.Question {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// Forget empties the list of [Resolver.Asked].
func (r *Resolver) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = nil
}

// Resolve implements [dnssec.Resolver].
func (r *Resolver) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	r.mu.Lock()
	r.asked = append(r.asked, q)
	hold := r.holds[q]
	r.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return failed(dnssec.Answer{Question: q, Final: q.Name}, dnssec.ErrTimeout, context.Cause(ctx))
	}
	return r.follow(q)
}

// follow walks the alias chain of q. The caller holds r.mu.
func (r *Resolver) follow(q dnssec.Question) (dnssec.Answer, error) {
	now := r.now()
	a := dnssec.Answer{Question: q, Final: q.Name, Status: dnssec.Secure, Received: now, Server: "fake"}
	ttl := DenialTTL
	ttlSet := false
	lower := func(d time.Duration) {
		if !ttlSet || d < ttl {
			ttl, ttlSet = d, true
		}
	}
	for {
		set := r.sets[dnssec.Question{Name: a.Final, Type: q.Type}]
		if set == nil && q.Type != dnssec.TypeCNAME {
			if c := r.sets[dnssec.Question{Name: a.Final, Type: dnssec.TypeCNAME}]; c != nil {
				if c.fail != nil {
					return failed(a, c.fail, nil)
				}
				if c.kind == dnssec.Data {
					s := c.status
					if s == unset {
						s = r.zoneStatus(a.Final)
					}
					if s < dnssec.Insecure {
						return failed(a, kindOf(s), nil)
					}
					if len(a.Chain) == dnssec.MaxAliases {
						return failed(a, dnssec.ErrAliasLoop, nil)
					}
					a.Chain = append(a.Chain, dnssec.Alias{Owner: a.Final, Target: c.target, Type: dnssec.TypeCNAME, Status: s, TTL: c.records[0].TTL})
					lower(time.Duration(c.records[0].TTL) * time.Second)
					a.Status = min(a.Status, s)
					a.Final = c.target
					continue
				}
			}
		}
		switch {
		case set == nil:
			a.Kind = dnssec.NXDomain
			if r.exists(a.Final) {
				a.Kind = dnssec.NoData
			}
			a.Status = min(a.Status, r.zoneStatus(a.Final))
			lower(DenialTTL)
		case set.fail != nil:
			return failed(a, set.fail, nil)
		default:
			s := set.status
			if s == unset {
				s = r.zoneStatus(a.Final)
			}
			a.Kind, a.Reason, a.Records = set.kind, set.reason, set.records
			a.Status = min(a.Status, s)
			if len(set.records) == 0 {
				lower(DenialTTL)
			}
			for _, rec := range set.records {
				lower(time.Duration(rec.TTL) * time.Second)
			}
		}
		if a.Status < dnssec.Insecure {
			a.Kind, a.Records = 0, nil
			return failed(a, kindOf(a.Status), nil)
		}
		a.Expires = now.Add(ttl)
		return a, nil
	}
}

// zoneStatus is the status of the nearest zone above n. The caller holds r.mu.
func (r *Resolver) zoneStatus(n rfc6125.Name) dnssec.Status {
	for ; n.IsValid(); n = n.Parent() {
		if s, ok := r.zones[n]; ok {
			return s
		}
	}
	return dnssec.Insecure
}

// exists reports whether there is a name at or below n. The caller holds r.mu.
func (r *Resolver) exists(n rfc6125.Name) bool {
	for q, set := range r.sets {
		if set.kind == dnssec.Data && q.Name.IsSubdomainOf(n) {
			return true
		}
	}
	_, zone := r.zones[n]
	return zone
}

func kindOf(s dnssec.Status) error {
	if s == dnssec.Bogus {
		return dnssec.ErrBogus
	}
	return dnssec.ErrIndeterminate
}

// failed makes the answer and the error of a failed lookup.
func failed(a dnssec.Answer, kind, cause error) (dnssec.Answer, error) {
	e := &dnssec.LookupError{Question: a.Question, Kind: kind, Server: "fake", Cause: cause}
	a.Status = e.Status()
	return a, e
}

func name(s string) rfc6125.Name {
	n, err := rfc6125.ParseName(s)
	if err != nil {
		panic("dnsfake: " + err.Error())
	}
	return n
}

// rdata packs rr and returns what follows its header: owner, type, class, TTL
// and length.
func rdata(rr dns.RR) []byte {
	buf := make([]byte, 65535)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		panic("dnsfake: " + err.Error())
	}
	return buf[name(rr.Header().Name).WireLen()+10 : n : n]
}
