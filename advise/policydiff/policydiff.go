// Package policydiff compares two MTA-STS policies of a domain before the second takes the
// place of the first:
//
//	version: STSv1              version: STSv1
//	mode: enforce               mode: enforce
//	mx: mx1.example.org    ->   mx: *.mail.example.org
//	max_age: 604800             max_age: 604800
//
// [Compare] says which mail hosts the change gains and loses, and until when senders go on
// with the first policy, since each of them remembers it for max_age after its own last fetch
// (RFC 8461 section 3.2).
package policydiff

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/advise/internal/plain"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// shortMaxAge: RFC 8461 section 3.2 advises "weeks or greater".
const shortMaxAge = 7 * 24 * time.Hour

// A Request is the input of [Compare]. Old and New are required.
type Request struct {
	Old, New sts.Policy
	// MX are the mail hosts of the domain; nil if they are not known: then the hosts that the
	// policies list by name take their place.
	MX []rfc6125.Host
	// Since is when New takes the place of Old: no sender fetches Old later. Required.
	Since time.Time
	// RecordTTL is how long resolvers keep the record with the old id; 0: not known.
	RecordTTL time.Duration
}

// An Effect says what the change does to one mail host. The zero Effect is Unlisted.
type Effect uint8

// Effects.
const (
	Unlisted Effect = iota // neither policy lists it
	Lost                   // the old policy alone lists it
	Gained                 // the new policy alone lists it
	Kept                   // both list it
)

// String returns "unlisted", "lost", "gained" or "kept".
func (e Effect) String() string {
	return [...]string{"unlisted", "lost", "gained", "kept"}[min(e, Kept)]
}

// MarshalText prints e as [Effect.String] does.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// A HostChange is what the change does to one mail host.
type HostChange struct {
	Host   string `json:"host"`
	Effect Effect `json:"effect"`
	// By is the pattern of the new policy that lists the host, or of the old one if the host
	// is lost; "" if there is none.
	By string `json:"by,omitempty"`
	// Stopped says that senders with the new policy deliver no mail to the host.
	Stopped bool   `json:"stopped"`
	Text    string `json:"text"`
}

// A Wildcard says what one pattern with "*." covers.
type Wildcard struct {
	Pattern string   `json:"pattern"`
	In      string   `json:"in"` // "old", "new" or "both"
	Hosts   []string `json:"hosts"`
	Text    string   `json:"text"`
}

// A Diff is the answer of [Compare].
type Diff struct {
	// Same says that the policies mean the same to senders.
	Same bool `json:"same"`
	// MXKnown says that Hosts are the mail hosts of the domain.
	MXKnown   bool         `json:"mx_known"`
	Hosts     []HostChange `json:"hosts"`
	Wildcards []Wildcard   `json:"wildcards"`
	Mode      string       `json:"mode,omitempty"`    // what the change of mode does; "" if it stays
	MaxAge    string       `json:"max_age,omitempty"` // what the change of max_age does, or its being short
	// Remembered is until when a sender may go on with the old policy that fetched it last
	// before the change.
	Remembered time.Time `json:"remembered_until"`
	Memory     []string  `json:"memory"` // who goes on with the old policy until when
	Do         []string  `json:"do"`     // what to do, in order
	// Unsure says that a pattern with "*." goes and the hosts that it listed are not known.
	Unsure bool `json:"unsure"`
}

// Lost reports whether senders with the new policy deliver no mail to a host; listed, whether
// a host is in neither policy or only in the old one though mail goes on.
func (d Diff) Lost() (stopped, unlisted bool) {
	for _, h := range d.Hosts {
		stopped = stopped || h.Stopped
		unlisted = unlisted || h.Effect == Lost || h.Effect == Unlisted
	}
	return stopped, unlisted
}

// Compare compares two policies. It is a pure function of its argument.
func Compare(r Request) Diff {
	d := Diff{MXKnown: r.MX != nil, Hosts: []HostChange{}, Wildcards: []Wildcard{}, Memory: []string{}, Do: []string{}}
	d.Same = r.same()
	d.Remembered = r.Since.Add(r.Old.MaxAge).UTC().Truncate(time.Second) // STS-3.2-05: RFC 8461 section 3.2
	hosts := r.MX
	if hosts == nil {
		hosts = r.named()
	}
	for _, h := range hosts {
		d.Hosts = append(d.Hosts, r.host(h))
	}
	r.wildcards(&d, hosts)
	if !d.Same {
		d.Mode, d.Memory = r.mode(d.Remembered), r.memory(d.Remembered)
	}
	d.MaxAge = r.maxAge(d.Remembered)
	r.todo(&d)
	return d
}

// same reports whether mode, max_age and patterns are the same, in whatever order.
func (r *Request) same() bool {
	within := func(a, b []sts.Pattern) bool {
		return !slices.ContainsFunc(a, func(p sts.Pattern) bool { return !slices.Contains(b, p) })
	}
	return r.Old.Mode == r.New.Mode && r.Old.MaxAge == r.New.MaxAge && within(r.Old.MX, r.New.MX) && within(r.New.MX, r.Old.MX)
}

// named are the hosts that the policies list by name.
func (r *Request) named() []rfc6125.Host {
	var out []rfc6125.Host
	for _, p := range slices.Concat(r.Old.MX, r.New.MX) {
		if h, err := rfc6125.ParseHost(p.String()); err == nil && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// host says what the change does to a host. Under mode none a policy asks for nothing, so
// that no host is stopped by it.
func (r *Request) host(h rfc6125.Host) HostChange {
	was, before := r.Old.Match(h)
	is, after := r.New.Match(h)
	c := HostChange{Host: h.String(), Stopped: r.New.Mode == sts.ModeEnforce && !after}
	end := " Senders with the new policy still deliver to it, and report a failure."
	switch {
	case c.Stopped:
		end = " Senders with the new policy deliver no mail to it."
	case r.New.Mode == sts.ModeNone:
		end = " The new policy demands nothing, so mail is still delivered."
	}
	switch {
	case before && after:
		c.Effect, c.By, end = Kept, is.String(), ""
		c.Text = "Both policies list it."
	case after:
		c.Effect, c.By, end = Gained, is.String(), ""
		c.Text = "The new policy lists it, the old one does not."
		if r.Old.Mode == sts.ModeEnforce {
			c.Text += " Senders that still have the old one deliver no mail to it."
		}
	case before:
		c.Effect, c.By = Lost, was.String()
		c.Text = "The old policy lists it, the new one does not."
	default:
		c.Text = "Neither policy lists it."
	}
	c.Text = plain.Text(c.Text + end)
	return c
}

// wildcards says what each pattern with "*." covers, and why not a host that looks as if.
func (r *Request) wildcards(d *Diff, hosts []rfc6125.Host) {
	var list []sts.Pattern
	for _, p := range slices.Concat(r.New.MX, r.Old.MX) {
		if strings.HasPrefix(p.String(), "*.") && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	for _, p := range list {
		w := Wildcard{Pattern: p.String(), Hosts: []string{}, In: "both"}
		switch before, after := slices.Contains(r.Old.MX, p), slices.Contains(r.New.MX, p); {
		case !before:
			w.In = "new"
		case !after:
			w.In = "old"
			d.Unsure = d.Unsure || !d.MXKnown
		}
		base := strings.TrimPrefix(p.String(), "*.")
		var near []string
		for _, h := range hosts {
			switch {
			case p.Match(h):
				w.Hosts = append(w.Hosts, h.String())
			case h.String() == base || strings.HasSuffix(h.String(), "."+base):
				near = append(near, h.String())
			}
		}
		// STS-4.1-02: RFC 8461 section 4.1, the asterisk is one label, the leftmost.
		w.Text = "The asterisk matches exactly one label: mx." + base + " matches, " + base + " itself and a.b." + base + " do not."
		if len(near) > 0 {
			w.Text += " So it does not list " + strings.Join(near, ", ") + "."
		}
		w.Text = plain.Text(w.Text)
		d.Wildcards = append(d.Wildcards, w)
	}
}

// date is a time as people read it.
func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// mode says what the change of mode does; "" if there is none.
func (r *Request) mode(until time.Time) string {
	was, is := r.Old.Mode, r.New.Mode
	if was == is {
		return ""
	}
	text := fmt.Sprintf("%s becomes %s: ", was, is)
	switch {
	case is == sts.ModeEnforce:
		text += "senders deliver to no mail host that the policy does not list or whose certificate fails. Switch only if reports show no failures (mxauth tlsrpt read)."
	case is == sts.ModeNone:
		text += "MTA-STS is withdrawn. Serve the new policy until " + date(until) + ", then remove the record and the file."
	case was == sts.ModeEnforce:
		text += "senders with the new policy deliver whatever fails, and report it. Those that still have the old one do not."
	default:
		text += "senders begin to report failures and still deliver."
	}
	return plain.Text(text)
}

// maxAge says what the change of max_age does, or that it is short.
func (r *Request) maxAge(until time.Time) string {
	was, is := r.Old.MaxAge, r.New.MaxAge
	text := fmt.Sprintf("%s becomes %s: ", plain.Span(was), plain.Span(is))
	switch {
	case r.New.Mode == sts.ModeNone:
		return ""
	case is < was:
		text += "this changes nothing for a sender that has the old policy; it keeps that until " + date(until) + " at the latest."
	case is > was:
		text += "a mistake in the new policy lasts for that long with senders that do not see the next one."
	case is < shortMaxAge:
		text = plain.Span(is) + " as before."
	default:
		return ""
	}
	if is < shortMaxAge {
		text += " Less than a week protects little: an attacker who can block the web server for that long can bypass the policy."
	}
	return plain.Text(text)
}

// memory says who goes on with the old policy until when (RFC 8461 sections 3.2 and 3.3, rows
// S5 to S10 of the decision table).
func (r *Request) memory(until time.Time) []string {
	if r.Old.MaxAge == 0 {
		return []string{"No sender remembers the old policy: its max_age is 0."}
	}
	seen := "once the old record has left the caches of resolvers (its TTL)"
	if r.RecordTTL > 0 {
		seen = "from " + date(r.Since.Add(r.RecordTTL)) + " on, when the old record has left the caches of resolvers"
	}
	out := []string{
		"Senders that see the new id fetch the new policy with their next message: " + seen + ".",
		"A sender that sees the old id, no record, or cannot fetch the file keeps the old policy for its max_age after its own last fetch: until " + date(until) + " at the latest.",
	}
	for i := range out {
		out[i] = plain.Text(out[i])
	}
	return out
}

// todo lists what to do.
func (r *Request) todo(d *Diff) {
	add := func(format string, args ...any) { d.Do = append(d.Do, plain.Text(fmt.Sprintf(format, args...))) }
	of := func(take func(HostChange) bool) string {
		var l []string
		for _, h := range d.Hosts {
			if take(h) {
				l = append(l, h.Host)
			}
		}
		return strings.Join(l, ", ")
	}
	if l := of(func(h HostChange) bool { return h.Stopped }); l != "" {
		if d.MXKnown {
			add("Do not serve the new policy yet: add an mx line for %s, or take it out of the MX records and wait until the old MX records have left the caches.", l)
		} else {
			add("If %s takes mail for the domain, do not serve the new policy: it gets no mail. Name the domain by the option `domain` to see.", l)
		}
	} else if l := of(func(h HostChange) bool { return h.Effect == Lost || h.Effect == Unlisted }); l != "" && r.New.Mode != sts.ModeNone && d.MXKnown {
		add("Add an mx line for %s before the policy is enforced.", l)
	}
	if d.Unsure {
		add("A wildcard goes, and which mail hosts it listed is not known here. Name the domain by the option `domain`.")
	}
	if l := of(func(h HostChange) bool { return h.Effect == Gained }); l != "" && r.Old.Mode == sts.ModeEnforce && r.Old.MaxAge > 0 {
		add("Keep a mail host that the old policy lists in the MX records until %s: senders that remember the old policy deliver no mail to %s.", date(d.Remembered), l)
	}
	stopped, _ := d.Lost()
	switch {
	case d.Same && stopped:
	case d.Same:
		add("Nothing: the policies mean the same, so the record may keep its id.")
	case !stopped:
		add("Serve the new file first, then change the id of the record: senders look at the file only when the id is new.")
	}
}
