package dane_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/pkix"
)

func TestRollover(t *testing.T) {
	const ttl = time.Hour
	w := newWorld(t)
	next := issue(t, spec{dns: []string{"mx.sec.example"}, key: 5}, w.inter)
	renewed := issue(t, spec{dns: []string{"mx.sec.example"}, key: 2}, w.inter) // the same key
	future := issue(t, spec{dns: []string{"mx.sec.example"}, key: 5, from: now.AddDate(0, 1, 0), until: now.AddDate(0, 9, 0)}, w.inter)
	misnamed := issue(t, spec{dns: []string{"other.example"}, key: 5}, w.inter)
	otherCA := issue(t, spec{cn: "Other", ca: true, key: 6, until: now.AddDate(0, 3, 0)}, nil)
	moved := issue(t, spec{dns: []string{"mx.sec.example"}, key: 5}, otherCA)
	cur, nxt := w.leaf.record(3, 1, 1), next.record(3, 1, 1)

	for _, c := range []struct {
		name     string
		set      []dane.Record
		current  dane.Peer
		next     dane.Peer
		since    time.Time
		state    dane.RolloverState
		earliest time.Time
		latest   time.Time
		missing  []dane.Record
		stale    []dane.Record
		nextErr  error
		curErr   error
	}{
		{name: "nothing published for the next key", set: []dane.Record{cur}, current: chain(w.leaf), next: chain(next),
			state: dane.RolloverPublish, missing: []dane.Record{nxt}, nextErr: dane.ErrNoMatch},
		{name: "published a moment ago: two TTLs from now", set: []dane.Record{cur, nxt}, current: chain(w.leaf), next: chain(next),
			state: dane.RolloverWait, earliest: now.Add(2 * ttl)},
		{name: "published an hour ago: one TTL from now", set: []dane.Record{cur, nxt}, current: chain(w.leaf), next: chain(next), since: now.Add(-ttl),
			state: dane.RolloverWait, earliest: now.Add(ttl)},
		{name: "published two TTLs ago: now", set: []dane.Record{cur, nxt}, current: chain(w.leaf), next: chain(next), since: now.Add(-2 * ttl),
			state: dane.RolloverSafe, earliest: now},
		{name: "published long ago: now", set: []dane.Record{cur, nxt}, current: chain(w.leaf), next: chain(next), since: now.Add(-200 * ttl),
			state: dane.RolloverSafe, earliest: now},
		{name: "the same key in a new certificate: now", set: []dane.Record{cur}, current: chain(w.leaf), next: chain(renewed),
			state: dane.RolloverSafe, earliest: now},
		{name: "the same authority: now, until the present chain ends", set: []dane.Record{w.inter.record(2, 1, 1)}, current: chain(w.leaf, w.inter), next: chain(next, w.inter),
			state: dane.RolloverSafe, earliest: now, latest: yearAfter},
		{name: "a certificate of the future under DANE-TA", set: []dane.Record{w.inter.record(2, 1, 1)}, current: chain(w.leaf, w.inter), next: chain(future, w.inter),
			state: dane.RolloverWait, earliest: now.AddDate(0, 1, 0), latest: yearAfter},
		{name: "a certificate of the future under DANE-EE: its dates count for nothing", set: []dane.Record{cur, future.record(3, 1, 1)}, current: chain(w.leaf), next: chain(future),
			state: dane.RolloverWait, earliest: now.Add(2 * ttl)},
		{name: "another authority", set: []dane.Record{w.root.record(2, 0, 1), otherCA.record(2, 0, 1)}, current: chain(w.leaf, w.inter, w.root), next: chain(moved, otherCA),
			state: dane.RolloverWait, earliest: now.Add(2 * ttl), latest: yearAfter},
		{name: "another authority, not published", set: []dane.Record{w.root.record(2, 0, 1)}, current: chain(w.leaf, w.inter, w.root), next: chain(moved, otherCA),
			state: dane.RolloverPublish, latest: yearAfter, missing: []dane.Record{otherCA.record(2, 0, 1)}, nextErr: dane.ErrNoMatch},
		{name: "from the other authority, which ends sooner", set: []dane.Record{w.root.record(2, 0, 1), otherCA.record(2, 0, 1)}, current: chain(moved, otherCA), next: chain(w.leaf, w.inter, w.root),
			state: dane.RolloverWait, earliest: now.Add(2 * ttl), latest: now.AddDate(0, 3, 0)},
		{name: "a wrong name under DANE-TA", set: []dane.Record{w.inter.record(2, 1, 1)}, current: chain(w.leaf, w.inter), next: chain(misnamed, w.inter),
			state: dane.RolloverUnfit, latest: yearAfter, nextErr: dane.ErrName},
		{name: "no path under DANE-TA", set: []dane.Record{w.inter.record(2, 1, 1)}, current: chain(w.leaf, w.inter), next: chain(moved, w.inter),
			state: dane.RolloverUnfit, latest: yearAfter, nextErr: dane.ErrPath},
		{name: "nothing is known of the current certificate", set: []dane.Record{cur, nxt}, next: chain(next), since: now.Add(-ttl),
			state: dane.RolloverWait, earliest: now.Add(ttl)},
		{name: "the current one does not match: mail waits already", set: []dane.Record{nxt}, current: chain(w.leaf), next: chain(next), since: now.Add(-3 * ttl),
			state: dane.RolloverSafe, earliest: now, curErr: dane.ErrNoMatch},
		{name: "one record of each kind", set: []dane.Record{cur, w.inter.record(2, 1, 1)}, current: chain(w.leaf, w.inter), next: chain(next, w.inter), since: now.Add(-3 * ttl),
			state: dane.RolloverSafe, earliest: now, missing: []dane.Record{nxt}},
		{name: "of the digest that agility drops, too", set: []dane.Record{cur, w.leaf.record(3, 1, 2), next.record(3, 1, 2)}, current: chain(w.leaf), next: chain(next), since: now.Add(-3 * ttl),
			state: dane.RolloverSafe, earliest: now, missing: []dane.Record{nxt}},
		{name: "leftovers", set: []dane.Record{cur, w.root.record(3, 1, 1), nxt, w.leaf.record(1, 1, 1), w.root.record(2, 1, 0)}, current: chain(w.leaf, w.inter), next: chain(next, w.inter), since: now.Add(-3 * ttl),
			state: dane.RolloverSafe, earliest: now, stale: []dane.Record{w.root.record(3, 1, 1)}},
		{name: "a record of the intermediate as a server, and of the root in full, are leftovers", set: []dane.Record{cur, nxt, w.inter.record(3, 1, 1), w.root.record(3, 0, 0)}, current: chain(w.leaf, w.inter), next: chain(next, w.inter), since: now.Add(-3 * ttl),
			state: dane.RolloverSafe, earliest: now, missing: []dane.Record{next.record(3, 0, 0)}, stale: []dane.Record{w.inter.record(3, 1, 1), w.root.record(3, 0, 0)}},
		{name: "a root in DNS alone above both", set: []dane.Record{cur, nxt, w.root.record(2, 0, 0)}, current: chain(w.leaf, w.inter), next: chain(next, w.inter), since: now.Add(-3 * ttl),
			state: dane.RolloverSafe, earliest: now},
		{name: "a malformed record is no kind to be had", set: append([]dane.Record{cur, nxt}, records("3 0 1 00", "3 2 1 "+hex32)...), current: chain(w.leaf), next: chain(next), since: now.Add(-3 * ttl),
			state: dane.RolloverSafe, earliest: now},
		{name: "a key in DNS of another authority is one", set: []dane.Record{cur, nxt, otherCA.record(2, 1, 0)}, current: chain(w.leaf), next: chain(next), since: now.Add(-3 * ttl),
			state: dane.RolloverSafe, earliest: now, stale: []dane.Record{otherCA.record(2, 1, 0)}},
		{name: "no record at all", current: chain(w.leaf), next: chain(next),
			state: dane.RolloverSafe, earliest: now, missing: []dane.Record{nxt}, nextErr: dane.ErrNoUsable, curErr: dane.ErrNoUsable},
		{name: "records that are not used for mail", set: []dane.Record{w.root.record(0, 0, 1)}, current: chain(w.leaf), next: chain(next),
			state: dane.RolloverSafe, earliest: now, missing: []dane.Record{nxt}, nextErr: dane.ErrNoUsable, curErr: dane.ErrNoUsable},
		{name: "bare keys", set: []dane.Record{cur, nxt}, current: dane.Peer{RawKey: w.leaf.RawSubjectPublicKeyInfo}, next: dane.Peer{RawKey: next.RawSubjectPublicKeyInfo}, since: now.Add(-3 * ttl),
			state: dane.RolloverSafe, earliest: now},
		{name: "a bare key next, not published", set: []dane.Record{cur, w.leaf.record(3, 0, 1)}, current: chain(w.leaf), next: dane.Peer{RawKey: next.RawSubjectPublicKeyInfo},
			state: dane.RolloverPublish, missing: []dane.Record{nxt}, nextErr: dane.ErrNoMatch},
		{name: "a lone leaf gives no record of an authority", set: []dane.Record{w.root.record(2, 1, 1)}, current: chain(w.leaf, w.inter, w.root), next: chain(next),
			state: dane.RolloverPublish, latest: yearAfter, nextErr: dane.ErrNoMatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := dane.CheckRollover(dane.RolloverRequest{Set: set(c.set...), TTL: ttl, Published: c.since, Current: c.current, Next: c.next, Options: options})
			if r.State != c.state || !r.Earliest.Equal(c.earliest) || !r.Latest.Equal(c.latest) {
				t.Errorf("%s from %v to %v, want %s from %v to %v", r.State, r.Earliest, r.Latest, c.state, c.earliest, c.latest)
			}
			if !slices.Equal(r.Missing, c.missing) {
				t.Errorf("missing %v, want %v", r.Missing, c.missing)
			}
			if !slices.Equal(r.Stale, c.stale) {
				t.Errorf("stale %v, want %v", r.Stale, c.stale)
			}
			if !errors.Is(r.NextErr, c.nextErr) || (c.nextErr == nil) != (r.NextErr == nil) || !errors.Is(r.CurrentErr, c.curErr) || (c.curErr == nil) != (r.CurrentErr == nil) {
				t.Errorf("current %v, next %v", r.CurrentErr, r.NextErr)
			}
			known := len(c.current.Chain) > 0 || len(c.current.RawKey) > 0
			if r.Current.OK != (known && c.curErr == nil) || r.Next.OK != (c.nextErr == nil) {
				t.Errorf("current %+v, next %+v", r.Current, r.Next)
			}
		})
	}
	t.Run("a certificate that has expired", func(t *testing.T) {
		o := options
		o.At = yearAfter.Add(time.Hour)
		r := dane.CheckRollover(dane.RolloverRequest{Set: set(w.inter.record(2, 1, 1)), TTL: ttl, Next: chain(next, w.inter), Options: o})
		if r.State != dane.RolloverUnfit || !errors.Is(r.NextErr, pkix.ErrExpired) {
			t.Errorf("%s: %v", r.State, r.NextErr)
		}
	})
	for s, want := range map[dane.RolloverState]string{dane.RolloverPublish: "publish", dane.RolloverWait: "wait", dane.RolloverSafe: "safe", dane.RolloverUnfit: "unfit", 9: "publish"} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s)
		}
	}
}

// TestPublishedTTL: what a cache has left of a TTL is not the TTL of the zone.
func TestPublishedTTL(t *testing.T) {
	of := func(original, left uint32) dane.Lookup {
		return dane.Lookup{Answer: dnssec.Answer{OriginalTTL: original, Records: []dnssec.Record{{TTL: left}}}}
	}
	for _, c := range []struct {
		l     dane.Lookup
		want  time.Duration
		known bool
	}{
		{of(3600, 2259), time.Hour, true},
		{of(0, 2259), dane.UnknownTTL, false},
		{of(0, 172800), 48 * time.Hour, false},
		{dane.Lookup{}, dane.UnknownTTL, false},
	} {
		if ttl, known := c.l.PublishedTTL(); ttl != c.want || known != c.known {
			t.Errorf("%+v: %v, %v, want %v, %v", c.l.Answer, ttl, known, c.want, c.known)
		}
	}
}
