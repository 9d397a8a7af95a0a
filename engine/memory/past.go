package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine/internal/enum"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// A Cover says how many hosts of a domain DANE authenticates. The zero Cover is
// CoverNone.
type Cover uint8

// Covers, the weakest first.
const (
	CoverNone Cover = iota // no host
	CoverSome              // some of the hosts that mail could reach
	CoverAll               // all of them
)

var coverWords = [...]string{"none", "some", "all"}

// String returns "none", "some" or "all".
func (c Cover) String() string { return enum.Word(coverWords[:], int(c)) }

// MarshalText prints c as [Cover.String] does.
func (c Cover) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what [Cover.MarshalText] prints.
func (c *Cover) UnmarshalText(b []byte) error {
	i, err := enum.Index("memory", "cover", coverWords[:], string(b))
	*c = Cover(i)
	return err
}

// A DropKind is what became weaker than it once was. Words are never reused.
type DropKind string

// Drop kinds.
const (
	DropDANE       DropKind = "dane-gone"       // no host has signed TLSA records found by a signed MX any more
	DropDANEPartly DropKind = "dane-partly"     // all hosts had them, and some have not
	DropSTS        DropKind = "sts-gone"        // no MTA-STS policy is published and none is kept
	DropSTSUnknown DropKind = "sts-unreachable" // record or policy cannot be had, and none is kept
	DropSTSNone    DropKind = "sts-none"        // the policy is in mode none
	DropSTSTesting DropKind = "sts-testing"     // the policy was enforced, and is in mode testing
	DropTLS        DropKind = "tls-gone"        // a host that has spoken TLS does not
)

// What a [Past] is bounded by, and its form in the store.
const (
	pastVersion     = 1
	maxPastHosts    = 16 // of Past.TLS
	maxPastDrops    = maxPastHosts + 2
	maxPastValue    = 16 << 10
	memoryKeyPrefix = "engine/m/"
)

// A Drop is a protection that a domain once proved and does not have now.
type Drop struct {
	Kind DropKind `json:"kind"`
	Host string   `json:"host,omitempty"` // of DropTLS
	// Since is when the stronger state was seen last, to [Precision]; Noted is when it
	// was first missed.
	Since time.Time `json:"since"`
	Noted time.Time `json:"noted"`
	// Until is the end of the time in which the drop has an effect; zero if it has none.
	Until time.Time `json:"until,omitzero"`
}

// Open reports whether the drop has an effect at a time.
func (d *Drop) Open(at time.Time) bool { return at.Before(d.Until) }

// about reports whether two drops are of the same protection.
func (d *Drop) about(o *Drop) bool { return d.Host == o.Host && d.Kind.part() == o.Kind.part() }

// OfSTS reports whether the drop is of an MTA-STS policy.
func (d *Drop) OfSTS() bool { return d.Kind.part() == "sts" }

func (k DropKind) part() string {
	part, _, _ := strings.Cut(string(k), "-")
	return part
}

// depth orders the kinds of one part: the deeper fall is the larger.
func (k DropKind) depth() int {
	switch k {
	case DropSTS, DropSTSUnknown, DropDANE:
		return 3
	case DropSTSNone:
		return 2
	}
	return 1
}

// A TLSHost is a host that has spoken TLS.
type TLSHost struct {
	Host string    `json:"host"`
	At   time.Time `json:"at"` // the last time, to [Precision]
}

// A Past is the strongest that a domain has proved, and when it last did. Times are exact
// to [Precision], so that not every delivery is a write.
//
// DANE counts where TLSA records and the MX record are signed; MTA-STS where a policy was
// fetched over HTTPS from the policy host. An attacker on the network cannot plant
// either.
type Past struct {
	V      int       `json:"v"` // 1
	Domain string    `json:"domain"`
	Port   uint16    `json:"port,omitempty"` // of the mail hosts; 0 for 25
	DANE   Cover     `json:"dane"`
	DANEAt time.Time `json:"dane_at,omitzero"`
	STS    sts.Mode  `json:"sts,omitempty"` // enforce or testing; zero if there never was such a policy
	STSAt  time.Time `json:"sts_at,omitzero"`
	TLS    []TLSHost `json:"tls,omitempty"` // the hosts seen last, at most 16
	Drops  []Drop    `json:"drops,omitempty"`
}

// Precision is how old a time in a [Past] may grow before it is written again.
const Precision = 12 * time.Hour

// stale reports whether at is to be remembered in place of last: it is later by the
// precision, or last lies in the future and was noted by a wrong clock.
func stale(last, at, now time.Time) bool {
	return at.Sub(last) >= Precision || last.Sub(now) >= Precision
}

// earlier returns the earlier of two times. The zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (p *Past) clone() Past {
	q := *p
	q.TLS, q.Drops = slices.Clone(p.TLS), slices.Clone(p.Drops)
	return q
}

func (p *Past) equal(q *Past) bool {
	sameTLS := func(a, b TLSHost) bool { return a.Host == b.Host && a.At.Equal(b.At) }
	sameDrop := func(a, b Drop) bool {
		return a.Kind == b.Kind && a.Host == b.Host && a.Since.Equal(b.Since) && a.Noted.Equal(b.Noted)
	}
	return p.Domain == q.Domain && p.Port == q.Port && p.DANE == q.DANE && p.DANEAt.Equal(q.DANEAt) && p.STS == q.STS && p.STSAt.Equal(q.STSAt) &&
		slices.EqualFunc(p.TLS, q.TLS, sameTLS) && slices.EqualFunc(p.Drops, q.Drops, sameDrop)
}

// Last is when anything of it was last proved; zero: nothing ever was.
func (p *Past) Last() time.Time {
	t := p.DANEAt
	if p.STSAt.After(t) {
		t = p.STSAt
	}
	for _, h := range p.TLS {
		if h.At.After(t) {
			t = h.At
		}
	}
	return t
}

// encode makes the store's entry. Until of drops is not kept: it follows from the hold.
func (p *Past) encode(key string, keep time.Duration) store.Entry {
	q := p.clone()
	q.V = pastVersion
	for i := range q.Drops {
		q.Drops[i].Until = time.Time{}
	}
	b, err := json.Marshal(q)
	if err != nil {
		panic("memory: a Past that cannot be written: " + err.Error()) // its enums are checked before
	}
	e := store.Entry{Key: key, Value: b, Class: q.class(), Expires: p.Last().Add(keep)}
	if h, err := rfc6125.ParseHost(p.Domain); err == nil {
		e.Group = h.Registrable()
	}
	return e
}

// class puts what is remembered below enforced policies, which a flood of domains must not
// drive out of a full store; and what anybody's mail host can show below what takes a signed
// zone or a policy host.
func (p *Past) class() store.Class {
	if p.DANE == CoverNone && p.STS == 0 {
		return store.None
	}
	return store.Testing
}

// errPast: what the store gave back is not what this package keeps there.
var errPast = fmt.Errorf("%w: not what package memory stores", store.ErrDamaged)

// decodePast reads an entry. Errors wrap [store.ErrDamaged].
func decodePast(e store.Entry) (Past, error) {
	var p Past
	if len(e.Value) > maxPastValue {
		return Past{}, fmt.Errorf("%w: %.100q", errPast, e.Key)
	}
	if err := json.Unmarshal(e.Value, &p); err != nil {
		return Past{}, fmt.Errorf("%w: %.100q: %w", errPast, e.Key, err)
	}
	if err := p.check(); err != nil {
		return Past{}, fmt.Errorf("%w: %.100q: %w", errPast, e.Key, err)
	}
	if h, err := rfc6125.ParseHost(p.Domain); err != nil || memoryKey(h, p.Port) != e.Key {
		return Past{}, fmt.Errorf("%w: %.100q", errPast, e.Key)
	}
	return p, nil
}

// check says what is wrong with a Past that came from elsewhere.
func (p *Past) check() error {
	switch {
	case p.V != pastVersion:
		return fmt.Errorf("version %d is not %d", p.V, pastVersion)
	case (p.DANE == CoverNone) != p.DANEAt.IsZero():
		return errors.New("a state of DANE without its time, or a time without a state")
	case p.STS != 0 && p.STS != sts.ModeEnforce && p.STS != sts.ModeTesting:
		return fmt.Errorf("mode %s is nothing to remember", p.STS)
	case (p.STS == 0) != p.STSAt.IsZero():
		return errors.New("a mode of MTA-STS without its time, or a time without a mode")
	case len(p.TLS) > maxPastHosts || len(p.Drops) > maxPastDrops:
		return errors.New("too many hosts or drops")
	case p.Last().Year() < 1970 || p.Last().Year() > 2200:
		return errors.New("nothing in it has a time")
	}
	for _, h := range p.TLS {
		if _, err := rfc6125.ParseHost(h.Host); err != nil {
			return err
		}
	}
	for i := range p.Drops {
		switch p.Drops[i].Kind {
		case DropDANE, DropDANEPartly, DropSTS, DropSTSUnknown, DropSTSNone, DropSTSTesting, DropTLS:
		default:
			return fmt.Errorf("no such drop: %.40q", p.Drops[i].Kind)
		}
	}
	return nil
}

// memoryKey is the key of a domain. A domain name has no slash, and no space.
func memoryKey(domain rfc6125.Host, port uint16) string {
	if port == 0 || port == smtpPort {
		return memoryKeyPrefix + domain.String()
	}
	return fmt.Sprintf("%s%s %d", memoryKeyPrefix, domain, port)
}
