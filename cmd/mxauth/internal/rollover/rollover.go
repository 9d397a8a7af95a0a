// Package rollover follows the keys of a trust point as RFC 5011 says, and keeps their state
// in a file of Unbound's form:
//
//	. 172800 IN DNSKEY 257 3 8 AwEAA... ;;state=2 [ VALID ] ;;count=0 ;;lastchange=1502438004
//
// One process writes the file; others may read it as their trust anchors.
package rollover

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// askTime bounds one question for the keys.
const askTime = 30 * time.Second

// Config of a [Follower]. Path, Zone, Anchors and Upstream are required.
type Config struct {
	Path string // of the state
	Zone rfc6125.Name
	// Anchors are believed while there is no state.
	Anchors []anchor.Anchor
	// Upstream is asked for the keys. Changed anchors need no other one.
	Upstream dnssec.Upstream
	// Changed is told the anchors when they are not those before; by one goroutine at a time.
	Changed func([]anchor.Anchor)
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: discard
}

// A Follower follows one trust point.
type Follower struct {
	c Config

	mu      sync.Mutex // guards what follows
	state   anchor.State
	anchors []anchor.Anchor // in force
}

// Open reads the state, if there is one. A file that cannot be read is an error: to go on
// from older anchors would believe keys that have been revoked since.
func Open(c Config) (*Follower, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Changed == nil {
		c.Changed = func([]anchor.Anchor) {}
	}
	f := &Follower{c: c, anchors: c.Anchors, state: anchor.State{Zone: c.Zone}}
	file, err := os.Open(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s, err := anchor.ParseState(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	if s.Zone != c.Zone {
		return nil, fmt.Errorf("%s: the keys are those of %s, and the trust anchors those of %s", c.Path, s.Zone, c.Zone)
	}
	if len(s.Anchors()) == 0 {
		return nil, fmt.Errorf("%s: %w: every key is revoked or not believed yet; get the present anchors and remove the file", c.Path, anchor.ErrAnchor)
	}
	f.state, f.anchors = s, s.Anchors()
	return f, nil
}

// Anchors returns the anchors in force.
func (f *Follower) Anchors() []anchor.Anchor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.anchors
}

// Run looks at the keys when that is due (RFC 5011 section 2.3) until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	for {
		wait := f.Check(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// Check looks at the keys once, writes the state if it has changed, and returns when to look
// again.
func (f *Follower) Check(ctx context.Context) (wait time.Duration) {
	next, err := f.look(ctx)
	wait, changed := f.conclude(ctx, next, err)
	if changed != nil {
		f.c.Changed(changed)
	}
	return wait
}

// conclude takes what was seen into the state. It returns the anchors if they have changed.
func (f *Follower) conclude(ctx context.Context, next anchor.State, err error) (wait time.Duration, changed []anchor.Anchor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait = next.Refresh()
	if err != nil {
		wait = f.state.Retry()
		if ctx.Err() == nil {
			f.c.Logger.Warn("the keys of the trust anchor could not be looked at", "zone", f.c.Zone, "again_in", wait, "err", err)
		}
		if next.Keys == nil {
			return wait, nil
		}
	}
	if same(f.state, next) {
		f.state = next // the time of the last look
		return wait, nil
	}
	// Written before it is believed: what is believed must outlive the process.
	if err := write(f.c.Path, next); err != nil {
		f.c.Logger.Error("the state of the trust anchors could not be written; they stay as they were", "err", err)
		return f.state.Retry(), nil
	}
	f.tell(next)
	f.state = next
	anchors := next.Anchors()
	switch {
	case len(anchors) == 0:
		// Without anchors everything would count as unsigned. The validator goes on with the
		// revoked ones, which prove nothing: mail to signed domains waits.
		f.c.Logger.Error("every trust anchor has been revoked; get the present ones and remove the state", "zone", f.c.Zone, "file", f.c.Path)
	case !sameAnchors(f.anchors, anchors):
		f.anchors, changed = anchors, anchors
	}
	return wait, changed
}

// look asks for the key set and draws the conclusions. After an error the state may still have
// learned of a revocation; without keys there is nothing new.
func (f *Follower) look(ctx context.Context) (next anchor.State, err error) {
	set, err := f.ask(ctx)
	if err != nil {
		return next, err
	}
	now := f.c.Now()
	f.mu.Lock()
	state := f.state
	f.mu.Unlock()
	algorithms, budget := proof.DefaultAlgorithms(), proof.NewBudget()
	if len(state.Keys) == 0 {
		// RFC 5011 follows keys: those that the digests name are the first.
		var t proof.Trust
		for _, a := range f.c.Anchors {
			switch {
			case a.Zone != f.c.Zone || !a.ValidAt(now):
			case a.DS != nil:
				t.DS = append(t.DS, *a.DS)
			case a.Key != nil:
				t.Keys = append(t.Keys, *a.Key)
			}
		}
		believed, _, err := proof.Authenticate(set, t, algorithms, now, budget)
		if err != nil {
			return next, err
		}
		state = anchor.NewState(f.c.Zone, matching(f.c.Zone, believed.Keys(), t), now)
	}
	o, err := state.Observe(set, algorithms, now, budget)
	next = state.Step(o, now)
	if err != nil && len(o.Revoked) == 0 {
		return anchor.State{}, err
	}
	return next, err
}

// matching are the keys that an anchor names.
func matching(zone rfc6125.Name, keys []proof.Key, t proof.Trust) []anchor.Anchor {
	var out []anchor.Anchor
	for _, k := range keys {
		named := false
		for _, d := range t.DS {
			named = named || d.Matches(zone, k)
		}
		for _, o := range t.Keys {
			named = named || bytes.Equal(o.Data, k.Data)
		}
		if named && !k.Revoked() {
			key := k
			out = append(out, anchor.Anchor{Zone: zone, Key: &key})
		}
	}
	return out
}

// errNoKeys: the answer has no key of the zone.
var errNoKeys = errors.New("the answer has no DNSKEY records")

// ask fetches the key set with its signatures, whatever the resolver thinks of it.
func (f *Follower) ask(ctx context.Context) (*proof.RRset, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	q := wire.Query{Name: f.c.Zone, Type: uint16(dnssec.TypeDNSKEY), CD: true, DO: true}
	r, err := f.c.Upstream.Exchange(ctx, q.Append(nil))
	if err != nil {
		return nil, err
	}
	m, err := wire.Parse(r.Message)
	if err != nil {
		return nil, err
	}
	for _, set := range proof.Group(m.Answer) {
		if set.Owner == f.c.Zone && set.Type == uint16(dnssec.TypeDNSKEY) && len(set.Data) > 0 {
			return &set, nil
		}
	}
	return nil, errNoKeys
}

// tell logs what has changed.
func (f *Follower) tell(next anchor.State) {
	old := map[string]anchor.Status{}
	for _, k := range f.state.Keys {
		old[string(k.Key.Data)] = k.Status
	}
	for _, k := range next.Keys {
		if was, ok := old[string(k.Key.Data)]; !ok || was != k.Status {
			f.c.Logger.Info("the state of a trust anchor has changed", "zone", next.Zone, "tag", k.Key.Tag, "algorithm", k.Key.Algorithm, "was", was, "is", k.Status)
		}
		delete(old, string(k.Key.Data))
	}
	for _, was := range old {
		f.c.Logger.Info("a trust anchor is followed no more", "zone", next.Zone, "was", was)
	}
}

// same reports whether two states differ in the times of the last look at most.
func same(a, b anchor.State) bool {
	if len(a.Keys) != len(b.Keys) {
		return false
	}
	for i := range a.Keys {
		x, y := a.Keys[i], b.Keys[i]
		if x.Status != y.Status || !x.Since.Equal(y.Since) || x.TTL != y.TTL || !bytes.Equal(x.Key.Data, y.Key.Data) {
			return false
		}
	}
	return true
}

// sameAnchors reports whether the keys are the same.
func sameAnchors(a, b []anchor.Anchor) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Key == nil || b[i].Key == nil || !bytes.Equal(a[i].Key.Data, b[i].Key.Data) {
			return false
		}
	}
	return true
}

// write puts the state into the file, all of it or nothing.
func write(path string, s anchor.State) (err error) {
	text, err := s.MarshalText()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".anchors-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Chmod(0o644) // anchors are public, and other programs may read them
	}
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
