// Package reports sums up what senders report of a domain (RFC 8460), and says what failed,
// since when, and what the owner can do:
//
//	var c reports.Collector
//	c.Add(report) // of tlsrpt.Parse, once for each file
//	for _, f := range c.Summary().Faults {
//		fmt.Println(f.Host, f.Cause, f.Cure)
//	}
//
// A report is the word of a stranger: every text of one is bounded here, and the number of
// faults is. The caller escapes a text before it prints it.
package reports

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// Bounds of a [Collector]. A domain with a hundred hosts and every way to fail has some
// thousand faults.
const (
	maxFaults  = 10_000  // further ones only count as [Summary.Left]
	maxSenders = 1_000   // organizations that are listed one by one
	maxIDs     = 200_000 // report ids that are known again
	maxNamed   = 10      // senders and reason codes that one fault names
	maxText    = 253     // bytes of a name or word of a report
)

// A Summary is what all reports say together.
type Summary struct {
	Reports    int       `json:"reports"`
	Duplicates int       `json:"duplicates,omitempty"` // reports that were there already, by organization and id
	Senders    []string  `json:"senders"`              // organizations, sorted
	Begin      time.Time `json:"begin"`                // of the first day reported
	End        time.Time `json:"end"`                  // of the last day
	Domains    []Domain  `json:"domains"`
	Faults     []Fault   `json:"faults"` // by domain; the most sessions first
	// Left counts failures beyond the number of faults that are listed one by one.
	Left uint64 `json:"left,omitempty"`
}

// A Domain sums up the sessions of one policy domain under one type of policy.
type Domain struct {
	Domain  string            `json:"domain"`
	Policy  tlsrpt.PolicyType `json:"policy_type"`
	Success uint64            `json:"success"` // sessions
	Failure uint64            `json:"failure"` // sessions
}

// A Fault is one way in which sessions failed at one host.
type Fault struct {
	Domain   string            `json:"domain"`
	Policy   tlsrpt.PolicyType `json:"policy_type"`
	Type     tlsrpt.ResultType `json:"result_type"`
	Host     string            `json:"host,omitempty"` // the receiving MX host; "" if no report names one
	Sessions uint64            `json:"sessions"`       // a session may count under several faults
	First    time.Time         `json:"first"`          // begin of the first day with it
	Last     time.Time         `json:"last"`           // end of the last day with it
	// Over says that a sender who reported it has reported a later day without it.
	Over    bool      `json:"over"`
	Senders []string  `json:"senders"`             // at most 10 organizations
	Codes   []string  `json:"codes,omitempty"`     // failure-reason-codes as reported, at most 10
	Reason  reason.ID `json:"reason_id,omitempty"` // if a code is one of mxauth's
	Cause   string    `json:"cause"`
	Cure    string    `json:"cure"`
}

// key identifies a fault.
type key struct {
	domain string
	policy tlsrpt.PolicyType
	result tlsrpt.ResultType
	host   string
}

// area is what one sender reports of one domain and type of policy.
type area struct {
	sender, domain string
	policy         tlsrpt.PolicyType
}

// fault is a [Fault] while reports come in.
type fault struct {
	Fault
	// listed says whether the policy that the sender had lists the host; unknown unless a
	// report of this fault has both.
	listed listing
	seen   map[string]time.Time // the last day with it, by sender
}

// A listing says whether a policy lists a host.
type listing int

const (
	listingUnknown listing = iota
	isListed
	isNotListed
)

// listingOf compares a host with the mx patterns of a policy (RFC 8461 section 4.1).
func listingOf(patterns []string, host string) listing {
	h, err := rfc6125.ParseHost(host)
	if err != nil || len(patterns) == 0 {
		return listingUnknown
	}
	for _, s := range patterns[:min(len(patterns), maxFaults)] {
		p, err := sts.ParsePattern(s)
		switch {
		case err != nil:
			return listingUnknown
		case p.Match(h):
			return isListed
		}
	}
	return isNotListed
}

// A Collector takes reports. The zero Collector is empty and ready. It is not safe for
// concurrent use.
type Collector struct {
	sum     Summary
	ids     map[[2]string]struct{}
	senders map[string]struct{}
	domains map[key]*Domain // host and result are ""
	faults  map[key]*fault
	latest  map[area]time.Time // the last day reported
}

// Add counts a report. One that is there already, by organization and id, is not counted
// again: senders may use several addresses of a record (RFC 8460 section 3).
func (c *Collector) Add(r tlsrpt.Report) {
	if c.ids == nil {
		c.ids, c.senders = map[[2]string]struct{}{}, map[string]struct{}{}
		c.domains, c.faults, c.latest = map[key]*Domain{}, map[key]*fault{}, map[area]time.Time{}
	}
	sender := cut(r.Organization)
	id := [2]string{sender, cut(r.ID)}
	if _, ok := c.ids[id]; ok && id[1] != "" {
		c.sum.Duplicates++
		return
	}
	if len(c.ids) < maxIDs {
		c.ids[id] = struct{}{}
	}
	c.sum.Reports++
	if len(c.senders) < maxSenders {
		c.senders[sender] = struct{}{}
	}
	if c.sum.Begin.IsZero() || r.Start.Before(c.sum.Begin) {
		c.sum.Begin = r.Start
	}
	if r.End.After(c.sum.End) {
		c.sum.End = r.End
	}
	for _, p := range r.Policies {
		c.policy(sender, r, p)
	}
}

// policy counts one policy of a report.
func (c *Collector) policy(sender string, r tlsrpt.Report, p tlsrpt.PolicyReport) {
	domain := strings.ToLower(strings.TrimSuffix(cut(p.Policy.Domain), "."))
	k := key{domain: domain, policy: p.Policy.Type}
	d := c.domains[k]
	if d == nil {
		if len(c.domains) >= maxFaults {
			c.sum.Left = add(c.sum.Left, p.Failure)
			return
		}
		d = &Domain{Domain: domain, Policy: p.Policy.Type}
		c.domains[k] = d
	}
	d.Success, d.Failure = add(d.Success, p.Success), add(d.Failure, p.Failure)
	at := area{sender, domain, p.Policy.Type}
	if _, ok := c.latest[at]; (ok || len(c.latest) < maxIDs) && r.End.After(c.latest[at]) {
		c.latest[at] = r.End
	}
	for _, f := range p.Failures {
		k.result, k.host = tlsrpt.ResultType(cut(string(f.Type))), strings.ToLower(strings.TrimSuffix(cut(f.MXHost), "."))
		v := c.faults[k]
		if v == nil {
			if len(c.faults) >= maxFaults {
				c.sum.Left = add(c.sum.Left, f.Sessions)
				continue
			}
			v = &fault{Fault: Fault{Domain: domain, Policy: k.policy, Type: k.result, Host: k.host, First: r.Start}, seen: map[string]time.Time{}}
			c.faults[k] = v
		}
		if k.policy == tlsrpt.PolicySTS && k.result == tlsrpt.ValidationFailure && v.listed != isNotListed {
			v.listed = listingOf(p.Policy.MXHosts, k.host)
		}
		v.count(sender, r, f)
	}
}

// count adds one line of a report.
func (v *fault) count(sender string, r tlsrpt.Report, f tlsrpt.FailureCount) {
	v.Sessions = add(v.Sessions, f.Sessions)
	if r.Start.Before(v.First) {
		v.First = r.Start
	}
	if r.End.After(v.Last) {
		v.Last = r.End
	}
	if _, ok := v.seen[sender]; (ok || len(v.seen) < maxSenders) && r.End.After(v.seen[sender]) {
		v.seen[sender] = r.End
	}
	code := cut(f.ReasonCode)
	if code == "" {
		return
	}
	if !slices.Contains(v.Codes, code) && len(v.Codes) < maxNamed {
		v.Codes = append(v.Codes, code)
	}
	if _, ok := explain.About(reason.ID(code)); ok && v.Reason == "" {
		v.Reason = reason.ID(code)
	}
}

// Summary returns what has been added so far. The result shares nothing with c.
func (c *Collector) Summary() Summary {
	s := c.sum
	s.Senders = slices.Sorted(maps.Keys(c.senders))
	s.Domains, s.Faults = []Domain{}, []Fault{}
	for _, d := range c.domains {
		s.Domains = append(s.Domains, *d)
	}
	slices.SortFunc(s.Domains, func(a, b Domain) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), strings.Compare(string(a.Policy), string(b.Policy)))
	})
	for _, v := range c.faults {
		f := v.Fault
		f.Over = len(v.seen) > 0
		for sender, last := range v.seen {
			if !c.latest[area{sender, f.Domain, f.Policy}].After(last) {
				f.Over = false
			}
		}
		f.Senders = slices.Sorted(maps.Keys(v.seen))
		f.Senders = f.Senders[:min(len(f.Senders), maxNamed)]
		f.Codes = slices.Sorted(slices.Values(v.Codes))
		f.Cause, f.Cure = words(f, v.listed)
		s.Faults = append(s.Faults, f)
	}
	slices.SortFunc(s.Faults, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), over(a)-over(b), cmp.Compare(b.Sessions, a.Sessions),
			strings.Compare(string(a.Policy), string(b.Policy)), strings.Compare(string(a.Type), string(b.Type)), strings.Compare(a.Host, b.Host))
	})
	return s
}

func over(f Fault) int {
	if f.Over {
		return 1
	}
	return 0
}

// add is a sum that stays at the highest number: counts are a stranger's.
func add(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// cut bounds a word of a report.
func cut(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.ToValidUTF8(s, "")
}
