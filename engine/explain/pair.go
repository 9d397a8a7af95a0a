package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
)

// Hosts with two certificates, of which a sender sees one.

// own names the host's certificate, after "its".
func (c reasonView) own() string {
	if c.key == "" {
		return "own"
	}
	return c.key + "certificate"
}

// KeyOf returns the kind of key of a certificate, "RSA", "ECDSA" or "Ed25519", where it is
// one of two that the address has shown; else "".
func KeyOf(p *engine.Peer) string {
	if p.Other == nil {
		return ""
	}
	return p.KeyKind().String()
}

// AddressName is an address, with the kind of key of one of two certificates:
// "192.0.2.1 (RSA certificate)".
func AddressName(a netip.Addr, p *engine.Peer) string {
	if key := KeyOf(p); key != "" {
		return fmt.Sprintf("%s (%s certificate)", a, key)
	}
	return a.String()
}

// a is the article before "certificate", and the kind of key of one of two.
func (c reasonView) a() string {
	if c.key == "" {
		return "a "
	}
	return "an " + c.key // RSA, ECDSA, Ed25519
}

// publishNow is the cure to publish the record of the key that a host shows, or those of its
// two keys. verb begins it: "Publish the TLSA"; when says when they are compared.
func publishNow(s *reason.Shown, verb, host, when string) string {
	if s.Pair == nil {
		return fmt.Sprintf("%s record of the key that %s shows now (compare it with the key on the server %s):", verb, host, when)
	}
	return fmt.Sprintf("%s records of the two keys that %s shows now, %s and %s (compare them with the keys on the server %s):", verb, host, s.Pair.Key, s.Pair.Other, strings.TrimSuffix(when, " it"))
}

// madeNow ends a sentence about what is to be replaced.
func (c reasonView) madeNow(s *reason.Shown) string {
	if s != nil && s.Pair != nil {
		return fmt.Sprintf("by these, which are made from the two keys that %s shows now", c.host)
	}
	return fmt.Sprintf("by this one, which is made from the key that %s shows now", c.host)
}

// recordLines are the lines of a zone file of the record, and of the one for the other key
// where the host has two.
func recordLines(s *reason.Shown, owner string, rec dane.Record) []string {
	out := []string{fmt.Sprintf("%s. IN TLSA %s", owner, rec)}
	if s.Pair == nil {
		return out
	}
	if other, ok := tlsaNow(&reason.Shown{Chain: s.Pair.OtherChain}, dane.Recipe{Usage: rec.Usage, Selector: rec.Selector, MatchingType: rec.MatchingType}); ok {
		out = append(out, fmt.Sprintf("%s. IN TLSA %s", owner, other))
	}
	return out
}

// matchesOther reports whether a record of usage 3 is that of the other certificate of the
// address.
func matchesOther(d *engine.Decision, r dane.Record) bool {
	if d.Peer.Other == nil || r.Usage != dane.DANEEE {
		return false
	}
	now, ok := tlsaNow(&reason.Shown{Chain: d.Peer.Other.Chain}, dane.Recipe{Usage: r.Usage, Selector: r.Selector, MatchingType: r.MatchingType})
	return ok && now == r
}

// otherLines describe the other certificate of the address.
func otherLines(d *engine.Decision, at time.Time) (out []Line) {
	if d.Peer.Other == nil || d.Event != engine.HandshakeDone {
		return nil
	}
	o := engine.Decision{Peer: *d.Peer.Other, Event: d.Peer.Other.Event}
	if c := leaf(o.Peer.Chain); c != nil {
		o.Presented = rfc6125.PresentedBy(c).Names()
	}
	// certificateLine names the kind of key of a peer that knows of another one.
	o.Peer.Other = &d.Peer
	out = append(out, Line{"certificate", certificateLine(&o, at)})
	if key := keyLine(&o); key != "" {
		out = append(out, Line{"key", key})
	}
	return out
}

// paired says what the other certificate of the host came to.
func (c reasonView) paired(ev *engine.Paired) (t statement) {
	second := fmt.Sprintf("%s has a second certificate, with an %s key, and that one", c.host, ev.Other)
	const depends = "Which of the two a sender sees depends on its TLS library."
	switch {
	case ev.Fault.IsZero():
		t.cause = sentences(second+" is good.", depends)
		return t
	case ev.Fault.ID == reason.DANENoMatch:
		t = all(ev.Fault)
		t.cause = sentences(second+" matches none of the TLSA records either.", depends)
		return t
	}
	t = all(ev.Fault)
	t.cause = sentences(second+" is not accepted either. "+t.cause, depends)
	return t
}

// recordsOfPair is the cure of a key without TLSA record where the host has two keys: the
// records of both are needed.
func (c reasonView) recordsOfPair(s *reason.Shown, recipe dane.Recipe, now dane.Record, usable []dane.Record) Cure {
	run := fmt.Sprintf("Run %s on %s with the", compareCommand(recipe), c.host)
	if s.Pair.OtherMatched.Data != "" {
		return cure(c.tlsaBy(fmt.Sprintf("%s file of the %s certificate and compare with the line below. The same: publish this line as well, and keep the record %s, which is that of the %s key. Not the same: another server answers in its place; publish nothing, and find out who that is.",
			run, s.Pair.Key, short(s.Pair.OtherMatched), s.Pair.Other)), recordLines(&reason.Shown{}, c.owner(), now)...)
	}
	stale := "the published records"
	if len(usable) == 1 {
		stale = "the published record"
	}
	lines := recordLines(s, c.owner(), now)
	slices.Sort(lines) // the same lines, whichever of the two certificates is spoken of
	return cure(c.tlsaBy(fmt.Sprintf("%s files of both certificates and compare with the lines below. The same: replace %s by these lines, one for each key. Not the same: another server answers in its place; publish nothing, and find out who that is.", run, stale)), lines...)
}
