package anchor

import (
	"bytes"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/rfc6125"
)

// The rollover of anchors by RFC 5011 is here a pure step: a state, a key set that was
// seen, and a time make the next state. The one that keeps the state (a resolver, or a
// program around this package) asks for the key set when [State.Refresh] says so, lets
// [State.Observe] judge it and [State.Step] draw the conclusion.

// Hold-down times (RFC 5011 section 2.4).
const (
	// AddHoldDown is how long a new key has to be seen before it is believed, so that
	// the owner can revoke a stolen key which tries to add its own successor.
	AddHoldDown = 30 * 24 * time.Hour
	// RemoveHoldDown is how long a revoked key is remembered.
	RemoveHoldDown = 30 * 24 * time.Hour
)

// maxKeys bounds the keys that are followed for a zone. RFC 5011 section 2.4.3 wants at
// least five.
const maxKeys = 32

// A Status is a state of a key (RFC 5011 section 4.2). Its numbers are those of
// Unbound's files.
type Status uint8

// The states. Only Valid and Missing keys are anchors.
const (
	Start   Status = iota // not followed
	AddPend               // new, and not believed yet
	Valid                 // believed
	Missing               // believed, and not seen in the last set
	Revoked               // revoked by itself
	Removed               // revoked, and gone for long
)

// String returns the state's name as Unbound's files have it.
func (s Status) String() string {
	switch s {
	case AddPend:
		return "ADDPEND"
	case Valid:
		return "VALID"
	case Missing:
		return "MISSING"
	case Revoked:
		return "REVOKED"
	case Removed:
		return "REMOVED"
	}
	return "START"
}

// A KeyState is one key that is followed.
type KeyState struct {
	Key    proof.Key // without the REVOKE bit
	Status Status
	Since  time.Time // of the last change of Status
	// TTL is the original TTL of the set in which the key was new: it is not believed
	// before that has passed either (RFC 5011 section 2.4.1).
	TTL time.Duration
}

// A State holds the known keys of a zone. The zero State follows nothing.
type State struct {
	Zone rfc6125.Name
	Keys []KeyState
	// Seen is when the last set was validated, TTL its original TTL and SigLife the time
	// that was left to its signature then. All zero before the first one.
	Seen    time.Time
	TTL     time.Duration
	SigLife time.Duration
}

// NewState begins with DNSKEY anchors of one zone, all valid. Anchors of other kinds or
// zones are left out: RFC 5011 follows keys, and a digest is replaced by its key when
// that is first seen.
func NewState(zone rfc6125.Name, anchors []Anchor, now time.Time) State {
	s := State{Zone: zone}
	for _, a := range anchors {
		if a.Zone == zone && a.Key != nil && len(s.Keys) < maxKeys {
			s.Keys = append(s.Keys, KeyState{Key: *a.Key, Status: Valid, Since: now})
		}
	}
	return s
}

// Anchors are the keys that are believed: those in state Valid or Missing (RFC 5011
// section 4.2).
func (s State) Anchors() []Anchor {
	var out []Anchor
	for _, k := range s.Keys {
		if k.Status == Valid || k.Status == Missing {
			key := k.Key
			out = append(out, Anchor{Zone: s.Zone, Key: &key})
		}
	}
	return out
}

// An Observation is a key set that was seen.
type Observation struct {
	// Valid is set if a believed key signs the set.
	Valid bool
	// Keys are those of the set that are zone keys with the SEP bit and without REVOKE
	// (RFC 5011 section 3: only such keys are followed).
	Keys []proof.Key
	// Revoked are the keys that carry REVOKE and prove it by signing the set, as they
	// were before. It is set whether or not the set is valid: a revocation is vouched
	// for by nothing but the key itself.
	Revoked [][]byte
	TTL     time.Duration // original TTL
	SigLife time.Duration // what is left to the signature
}

// Observe judges a DNSKEY set with its signatures by the keys that s believes. It
// returns an error that wraps one of package proof's sentinels if the set is not valid;
// the Observation then holds only what it revokes.
func (s State) Observe(set *proof.RRset, a proof.Algorithms, now time.Time, b *proof.Budget) (Observation, error) {
	o := Observation{Revoked: proof.SelfRevoked(set, a, now, b)}
	var t proof.Trust
	for _, k := range s.Anchors() {
		if !slices.ContainsFunc(o.Revoked, func(d []byte) bool { return bytes.Equal(d, k.Key.Data) }) {
			t.Keys = append(t.Keys, *k.Key)
		}
	}
	ks, signed, err := proof.Authenticate(set, t, a, now, b)
	if err != nil {
		return o, err
	}
	o.Valid = true
	o.TTL = time.Duration(signed.TTL) * time.Second
	for i := range set.Sigs {
		if g := &set.Sigs[i]; g.KeyTag == signed.KeyTag && g.Algorithm == signed.Algorithm {
			o.TTL = time.Duration(g.OriginalTTL) * time.Second
		}
	}
	o.SigLife = signed.Expires.Sub(now)
	const sep = 1
	for _, k := range ks.Keys() {
		if k.ZoneKey() && !k.Revoked() && k.Flags&sep != 0 && a[k.Algorithm] != nil {
			o.Keys = append(o.Keys, k)
		}
	}
	return o, nil
}

// Step is the state that follows from an observation at a time (RFC 5011 section 4). It
// does not change s.
func (s State) Step(o Observation, now time.Time) State {
	next := s
	next.Keys = nil
	for _, k := range s.Keys {
		if k = k.step(o, now); k.Status != Start {
			next.Keys = append(next.Keys, k)
		}
	}
	if !o.Valid {
		return next
	}
	next.Seen, next.TTL, next.SigLife = now, o.TTL, o.SigLife
	for _, k := range o.Keys {
		if len(next.Keys) >= maxKeys { // TA5011-2.4.3-01: RFC 5011 section 2.4.3
			break
		}
		known := slices.ContainsFunc(s.Keys, func(f KeyState) bool { return bytes.Equal(f.Key.Data, k.Data) })
		if !known {
			next.Keys = append(next.Keys, KeyState{Key: k, Status: AddPend, Since: now, TTL: o.TTL})
		}
	}
	return next
}

// step is the table of RFC 5011 section 4.1 for one key. Start means that it is not
// followed any more.
func (k KeyState) step(o Observation, now time.Time) KeyState {
	to := func(s Status) KeyState { k.Status, k.Since = s, now; return k }
	revoked := slices.ContainsFunc(o.Revoked, func(d []byte) bool { return bytes.Equal(d, k.Key.Data) })
	present := slices.ContainsFunc(o.Keys, func(f proof.Key) bool { return bytes.Equal(f.Data, k.Key.Data) })
	switch k.Status {
	case AddPend:
		switch {
		case revoked, o.Valid && !present:
			return to(Start)
		// TA5011-2.2-01: RFC 5011 section 2.2
		case o.Valid && now.Sub(k.Since) >= max(AddHoldDown, k.TTL):
			return to(Valid)
		}
	case Valid, Missing: // TA5011-2.2-02: RFC 5011 section 2.2
		switch {
		case revoked:
			return to(Revoked)
		case o.Valid && k.Status == Valid && !present:
			return to(Missing)
		case o.Valid && k.Status == Missing && present:
			return to(Valid)
		}
	case Revoked:
		switch {
		case revoked:
			k.Since = now // RemTime counts from when it is seen last
		case now.Sub(k.Since) >= RemoveHoldDown:
			return to(Removed)
		}
	}
	return k
}

// Bounds of the time between two looks at the keys (RFC 5011 section 2.3).
const (
	minRefresh = time.Hour
	maxRefresh = 15 * 24 * time.Hour
	maxRetry   = 24 * time.Hour
)

// Refresh is how long after the last valid set the keys are to be asked for again.
func (s State) Refresh() time.Duration {
	// TA5011-2.3-01: RFC 5011 section 2.3
	return max(minRefresh, min(maxRefresh, s.TTL/2, s.SigLife/2))
}

// Retry is how long after a failure they are.
func (s State) Retry() time.Duration {
	return max(minRefresh, min(maxRetry, s.TTL/10, s.SigLife/10))
}
