package main

import (
	"fmt"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
)

// entries puts records under their owner, to be pasted.
func entries(base rfc6125.Host, port uint16, ttl time.Duration, rs []dane.Record) []dane.Entry {
	out := []dane.Entry{}
	owner, err := dane.Owner(base, port)
	if err != nil {
		return out // a name to which nothing can be put before
	}
	for _, r := range rs {
		out = append(out, dane.Entry{Owner: owner, TTL: ttl, Record: r})
	}
	return out
}

// human prints one host for people.
func (r *tlsaRow) human(c *console) {
	words := map[string]painted{
		dane.Usable.String():   paint(good, "usable TLSA records at "+r.Base),
		dane.Unusable.String(): paint(fair, "TLSA records at "+r.Base+", none usable: TLS is demanded, no host is authenticated"),
		dane.None.String():     paint(fair, "no TLSA records in a signed zone"),
		dane.NA.String():       paint(fair, "DANE does not apply: the host's addresses are not signed, or it has none"),
		dane.Failed.String():   paint(bad, "a lookup failed: mail waits"),
	}
	c.Linef("%s port %d: %s", paint(strong, r.Host), r.Port, words[r.State])
	if r.code == exitDeferred && r.Reason != "" {
		block(c, 2, "", r.Reason)
	}
	for _, u := range r.Records {
		c.Linef("  %s%s", text.Cut(u.Record, maxRecord), paint(faint, acronyms(u.Record)))
		if !u.Usable {
			block(c, 4, "not usable: ", u.Why)
		}
	}
	for _, a := range r.Addresses {
		r.address(c, a)
	}
	if r.Next != nil {
		r.Next.human(c)
	}
}

func (r *tlsaRow) address(c *console, a tlsaAddress) {
	if a.Key != "" {
		a.Address += " (" + a.Key + " certificate)"
	}
	switch {
	case a.OK:
		c.Linef("  %s: %s by %s (depth %d)", a.Address, paint(good, "match"), text.Cut(a.Matched, maxRecord), a.Depth)
	case a.Event == engine.HandshakeDone.String():
		c.Linef("  %s: %s: %s", a.Address, paint(bad, "not authenticated, mail is refused"), a.Error)
	default:
		c.Linef("  %s: %s: %s", a.Address, paint(bad, a.Event), a.Error)
	}
	if a.Note != "" {
		block(c, 4, "", a.Note)
	}
	for _, t := range a.Trace {
		if t.Why != "" {
			block(c, 4, text.Cut(t.Record, maxRecord)+": ", t.Why)
		}
	}
}

// acronyms are the fields of a record in the words of RFC 7218, after it.
func acronyms(record string) string {
	r, err := dane.ParseRecord(record)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (%s, %s, %s)", r.Usage, r.Selector, r.MatchingType)
}

// human prints what is to be done before the switch.
func (n *tlsaNext) human(c *console) {
	if n.free {
		c.Linef("  next certificate: %s", paint(good, "switch at any time, no TLSA record has to wait"))
		if len(n.Missing) > 0 {
			c.Linef("    to have senders check it by DANE, publish in a signed zone once it is in use:")
		}
		for _, m := range n.Missing {
			c.Linef("    %s", m.Zone())
		}
		return
	}
	switch n.State {
	case dane.RolloverSafe.String():
		c.Linef("  next certificate: %s", paint(good, "it is safe to switch now"))
	case dane.RolloverWait.String():
		c.Linef("  next certificate: %s", paint(fair, "wait until "+n.Earliest.Format(time.RFC3339)+" and switch then"))
	case dane.RolloverUnfit.String():
		c.Linef("  next certificate: %s: %s", paint(bad, "do not switch, a record matches and the certificate still fails"), n.Error)
	default:
		c.Linef("  next certificate: %s: %s", paint(bad, "do not switch yet, no published record matches it"), n.Error)
	}
	if n.Latest != nil {
		c.Linef("    the present certificate serves until %s", n.Latest.Format(time.RFC3339))
	}
	if len(n.Missing) > 0 {
		c.Linef("    publish next to the present records, then wait two TTLs:")
		for _, m := range n.Missing {
			c.Linef("    %s", m.Zone())
		}
	}
	if len(n.Stale) > 0 {
		c.Linef("    these match neither certificate and may go:")
		for _, m := range n.Stale {
			c.Linef("    %s", m.Zone())
		}
	}
}

// maxRecord is how much of a record is shown where it is only to be told from others: all of
// one with a SHA2-512 digest. A record with the data itself can have thousands of digits.
const maxRecord = 140
