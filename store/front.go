package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/internal/fault"
)

// Limits of a [Front].
const (
	// DefaultFrontAge is how long a copy of what others may change is used without
	// asking the backing store: so long a change elsewhere may go unseen. It is also how
	// long an absence is remembered.
	DefaultFrontAge = time.Minute
	// frontTimeout bounds one question to a shared store: mail waits for it.
	frontTimeout = 500 * time.Millisecond
	// downFor is how long a shared store that has failed is left alone, so that a dead
	// server costs one timeout now and then and not one a message.
	downFor = 5 * time.Second
	// maxUnwritten bounds the entries that wait for a store that has failed.
	maxUnwritten = 10_000
	// maxNoted bounds the keys whose use was reported to the backing store; with more, all are
	// reported once more.
	maxNoted = 65_536
)

// FrontConfig is the configuration of a [Front].
type FrontConfig struct {
	Behind Store   // required; closed with the Front
	Memory *Memory // the copies; nil: one of the default size. Nothing else may use it.
	// Age is how long a copy of an entry of a shared store is used without asking
	// again; 0 means DefaultFrontAge. For a store of this process alone copies are good
	// until they expire.
	Age time.Duration
	// AbsentWhileDown is how long an absence that a shared store has stated counts while that
	// store is unavailable; 0: not at all, and the key is then not known. Another process may
	// have stored something since, so it should be no longer than what else was found without
	// the store is used.
	AbsentWhileDown time.Duration
	Now             func() time.Time // nil: time.Now
	Logger          *slog.Logger     // nil: discard
}

// Front is a [Store] that keeps copies in memory of a slower backing
// store, so that what is warm costs neither disk nor network, and so that a backing store
// that dies takes nothing away which this process knows:
//
//   - A copy goes on being served while the backing store is unavailable, and an entry
//     that could not be written is kept and written later ([Front.Sync]). Put still
//     returns the error: the entry is not durable yet.
//   - A shared store that answers "absent" for what has a copy here has lost it (it was
//     restarted, or its own eviction took it): the copy is written back. To take an
//     entry away from all processes that share a store, put another one in its place
//     which says so; Delete is seen only by processes that hold no copy.
//   - What has no copy here, while the backing store is unavailable, is not known
//     ([ErrUnavailable]); it is absent only if the store has stated that within
//     FrontConfig.AbsentWhileDown.
//
// It starts no goroutine.
type Front struct {
	mem    *Memory
	behind Store
	shared bool
	age    time.Duration
	absent time.Duration // AbsentWhileDown
	now    func() time.Time
	log    *slog.Logger

	mu        sync.Mutex // guards what follows
	down      time.Time  // the backing store is left alone until then
	fault     error      // why it failed when it was last asked; nil if it did not
	unwritten map[string]Entry
	noted     map[string]time.Time // when the use of a copy was last reported to the backing store
	stats     FrontStats
}

// NewFront returns a Front. It asks nothing of the backing store. The error reports what
// is wrong with c.
func NewFront(c FrontConfig) (*Front, error) {
	var errs []error
	if c.Behind == nil {
		errs = append(errs, fault.New("store", "no Behind"))
	}
	if c.Age < 0 {
		errs = append(errs, fault.Errorf("store", "Age is %s", c.Age))
	}
	if c.AbsentWhileDown < 0 {
		errs = append(errs, fault.Errorf("store", "AbsentWhileDown is %s", c.AbsentWhileDown))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	f := &Front{mem: c.Memory, behind: c.Behind, shared: shared(c.Behind), age: c.Age, absent: c.AbsentWhileDown, now: c.Now, log: c.Logger, unwritten: map[string]Entry{}, noted: map[string]time.Time{}}
	f.age = cmp.Or(f.age, DefaultFrontAge)
	if f.now == nil {
		f.now = time.Now
	}
	f.log = cmp.Or(f.log, slog.New(slog.DiscardHandler))
	if f.mem == nil {
		m, err := NewMemory(MemoryConfig{Now: c.Now})
		if err != nil {
			return nil, err
		}
		f.mem = m
	}
	return f, nil
}

// absentPrefix begins the keys under which absences are remembered in memory. Keys of
// entries are prefixed too, so that no key of a caller can be taken for an absence.
const (
	copyPrefix   = "+"
	absentPrefix = "-"
	copyHead     = 8 // octets before the value of a copy: when it was made, Unix nanoseconds
)

// within reports whether less than d has gone by since then. What lies in the future was
// noted by a clock that was ahead, and is not trusted.
func within(then, now time.Time, d time.Duration) bool {
	age := now.Sub(then)
	return age >= 0 && age < d
}

// Get implements [Store].
func (f *Front) Get(ctx context.Context, key string) (Entry, bool, error) {
	return f.get(ctx, key, false, true)
}

// Fresh is [Front.Get] without trusting a copy of what others may have changed: the
// backing store is asked first. Should it be unavailable, the copy is served.
func (f *Front) Fresh(ctx context.Context, key string) (Entry, bool, error) {
	return f.get(ctx, key, f.shared, true)
}

// Peek implements [Peeker], as far as the backing store does.
func (f *Front) Peek(ctx context.Context, key string) (Entry, bool, error) {
	return f.get(ctx, key, false, false)
}

func (f *Front) get(ctx context.Context, key string, ask, use bool) (Entry, bool, error) {
	e, have, made, err := f.copyOf(ctx, key, use)
	if err != nil {
		return Entry{}, false, err
	}
	if !have {
		if e, have = f.waiting(key); have {
			return e, true, nil
		}
	}
	if have && use {
		f.noteUse(key)
	}
	if !ask {
		if have && (!f.shared || within(made, f.now(), f.age)) {
			return e, true, nil
		}
		if !have && f.isAbsent(ctx, key, f.age) {
			return Entry{}, false, nil
		}
	}
	var got Entry
	var ok bool
	err = f.call(ctx, func(ctx context.Context) (err error) {
		if use {
			got, ok, err = f.behind.Get(ctx, key)
		} else {
			got, ok, err = Peek(ctx, f.behind, key)
		}
		return err
	})
	switch {
	case err != nil && have:
		f.count(func(s *FrontStats) { s.Stale++ })
		return e, true, nil
	case err != nil:
		if errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrDamaged) && f.absent > 0 && f.isAbsent(ctx, key, f.absent) {
			f.count(func(s *FrontStats) { s.Stale++ })
			return Entry{}, false, nil
		}
		return Entry{}, false, err
	case ok:
		if w, waits := f.waiting(key); waits {
			return w, true, nil // newer than in the backing store
		}
		f.keep(ctx, got)
		return got, true, nil
	case have:
		if w, waits := f.waiting(key); waits {
			return w, true, nil // not lost, or known to be: it has yet to be written
		}
		f.count(func(s *FrontStats) { s.Healed++ })
		f.log.LogAttrs(ctx, slog.LevelWarn, "the shared store has lost an entry, which is written back", slog.String("key", key))
		// An error is counted and logged where it happens; the entry then waits.
		_ = f.Put(ctx, e)
		return e, true, nil
	}
	_ = f.mem.Put(ctx, Entry{Key: absentPrefix + key, Value: f.stamp(0), Class: Negative, Expires: f.now().Add(max(f.age, f.absent))})
	return Entry{}, false, nil
}

// isAbsent reports whether the backing store has said less than d ago that nothing is there.
func (f *Front) isAbsent(ctx context.Context, key string, d time.Duration) bool {
	a, ok, err := f.mem.Get(ctx, absentPrefix+key)
	return err == nil && ok && within(stamped(a), f.now(), d)
}

// stamp is the time at the beginning of what is kept in memory, with room for n octets
// more; stamped reads it.
func (f *Front) stamp(n int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, copyHead+n), uint64(f.now().UnixNano()))
}

func stamped(e Entry) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(e.Value))) }

// noteUse reports to the backing store, which does not see it, that a copy is used: now and then.
func (f *Front) noteUse(key string) {
	u, ok := f.behind.(UseNoter)
	if !ok {
		return
	}
	now := f.now()
	f.mu.Lock()
	at, told := f.noted[key]
	told = told && within(at, now, UsePrecision)
	if !told {
		if len(f.noted) >= maxNoted {
			clear(f.noted)
		}
		f.noted[strings.Clone(key)] = now
	}
	f.mu.Unlock()
	if !told {
		u.NoteUse(key)
	}
}

// copyOf returns the copy of an entry and when it was made.
func (f *Front) copyOf(ctx context.Context, key string, use bool) (e Entry, ok bool, made time.Time, err error) {
	e, ok, err = f.mem.get(ctx, copyPrefix+key, use)
	if err != nil || !ok {
		return Entry{}, false, time.Time{}, err
	}
	made = stamped(e)
	e.Key, e.Value = key, e.Value[copyHead:]
	return e, true, made, nil
}

// keep makes a copy of e. What is in the way of that is no fault: the copy is for speed.
func (f *Front) keep(ctx context.Context, e Entry) {
	_ = f.mem.Put(ctx, Entry{Key: copyPrefix + e.Key, Value: append(f.stamp(len(e.Value)), e.Value...), Class: e.Class, Expires: e.Expires, Group: e.Group})
	_ = f.mem.Delete(ctx, absentPrefix+e.Key)
}

// waiting returns an entry that waits to be written.
func (f *Front) waiting(key string) (Entry, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.unwritten[key]
	if ok && !f.now().Before(e.Expires) {
		delete(f.unwritten, key)
		return Entry{}, false
	}
	return e, ok
}

// call does one thing with the backing store: not at all while it is down, and with a
// timeout if it is shared.
func (f *Front) call(ctx context.Context, do func(context.Context) error) error {
	if !f.shared {
		err := do(ctx)
		if err != nil {
			f.count(func(s *FrontStats) { s.Failed++ })
		}
		return err
	}
	f.mu.Lock()
	left := f.down.Sub(f.now())
	down := left > 0 && left <= downFor
	f.mu.Unlock()
	if down {
		return fmt.Errorf("%w: it has failed less than %s ago", ErrUnavailable, downFor)
	}
	cctx, cancel := context.WithTimeout(ctx, frontTimeout)
	defer cancel()
	err := do(cctx)
	if err != nil && (!errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDamaged)) {
		if errors.Is(err, ErrDamaged) {
			f.count(func(s *FrontStats) { s.Failed++ })
		}
		return err // the entry's fault, not the store's
	}
	if err != nil && ctx.Err() != nil {
		return err // the caller has left; that says nothing of the store
	}
	f.mu.Lock()
	was := f.fault != nil
	f.fault = err
	if err != nil {
		f.down = f.now().Add(downFor)
		f.stats.Failed++
	}
	f.mu.Unlock()
	switch {
	case err != nil && !was:
		f.log.LogAttrs(ctx, slog.LevelError, "the shared store is unavailable; known policies are still served from memory", slog.String("error", err.Error()))
	case err == nil && was:
		f.log.LogAttrs(ctx, slog.LevelInfo, "the shared store is available again")
	}
	return err
}

// Check asks the backing store for an entry that it does not have, and returns the error of a
// store that cannot be reached; it wraps [ErrUnavailable], or is ctx's. A shared store that
// has just failed is not asked.
func (f *Front) Check(ctx context.Context) error {
	err := f.call(ctx, func(ctx context.Context) error {
		_, _, err := f.behind.Get(ctx, checkKey)
		return err
	})
	if errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	return nil
}

// Unavailable returns the error of a shared store that failed when it was last asked, else nil.
func (f *Front) Unavailable() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault
}

// checkKey is a key that no entry has.
const checkKey = "check"

func (f *Front) count(add func(*FrontStats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	add(&f.stats)
}

// Put implements [Store]. When the backing store cannot be written, the entry is kept
// in memory, served, and written by a later [Front.Sync]; the error then says that it
// is not durable yet.
func (f *Front) Put(ctx context.Context, e Entry) error {
	return f.PutAll(ctx, []Entry{e})
}

// PutAll implements [Batcher].
func (f *Front) PutAll(ctx context.Context, es []Entry) error {
	for _, e := range es {
		if err := e.Check(); err != nil {
			return err
		}
	}
	if err := f.open(ctx); err != nil {
		return err
	}
	for _, e := range es {
		f.keep(ctx, e)
	}
	err := f.call(ctx, func(ctx context.Context) error { return PutAll(ctx, f.behind, es) })
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range es {
		if err == nil {
			delete(f.unwritten, e.Key)
		} else if _, there := f.unwritten[e.Key]; there || len(f.unwritten) < maxUnwritten {
			f.unwritten[strings.Clone(e.Key)] = e
		} else {
			f.stats.Lost++
		}
	}
	return err
}

// open reports whether the Front can be used at all.
func (f *Front) open(ctx context.Context) error {
	_, _, err := f.mem.Get(ctx, absentPrefix)
	return err
}

// Delete implements [Store]. After an error the entry may come back from the backing store.
func (f *Front) Delete(ctx context.Context, key string) error {
	if err := f.mem.Delete(ctx, copyPrefix+key); err != nil {
		return err
	}
	f.mu.Lock()
	delete(f.unwritten, key)
	f.mu.Unlock()
	return f.call(ctx, func(ctx context.Context) error { return f.behind.Delete(ctx, key) })
}

// All implements [Store]: what waits to be written, and then the backing store.
func (f *Front) All(ctx context.Context, prefix string, fn func(Entry) bool) error {
	if err := f.open(ctx); err != nil {
		return err
	}
	now := f.now()
	seen := map[string]bool{}
	var wait []Entry
	f.mu.Lock()
	for k, e := range f.unwritten {
		if strings.HasPrefix(k, prefix) {
			seen[k] = true
			if now.Before(e.Expires) {
				wait = append(wait, e)
			}
		}
	}
	f.mu.Unlock()
	for _, e := range wait {
		if !fn(e) {
			return nil
		}
	}
	return f.behind.All(ctx, prefix, func(e Entry) bool { return seen[e.Key] || fn(e) })
}

// Sync writes what could not be written before. It returns the first error, and leaves
// what it could not write for the next time.
func (f *Front) Sync(ctx context.Context) error {
	f.mu.Lock()
	es := make([]Entry, 0, len(f.unwritten))
	for _, e := range f.unwritten {
		es = append(es, e)
	}
	f.mu.Unlock()
	for _, e := range es {
		err := f.call(ctx, func(ctx context.Context) error { return f.behind.Put(ctx, e) })
		if err != nil {
			return err
		}
		f.mu.Lock()
		if now, ok := f.unwritten[e.Key]; ok && now.Expires.Equal(e.Expires) && string(now.Value) == string(e.Value) {
			delete(f.unwritten, e.Key)
		}
		f.mu.Unlock()
	}
	return nil
}

// Lock implements [Locker] through the backing store. A store that is no Locker belongs
// to this process, which need not agree with anybody: the lock is given at once.
func (f *Front) Lock(ctx context.Context, name string, ttl time.Duration) (l Lock, ok bool, err error) {
	locker, is := f.behind.(Locker)
	if !is {
		return noLock{}, true, nil
	}
	err = f.call(ctx, func(ctx context.Context) (err error) {
		l, ok, err = locker.Lock(ctx, name, ttl)
		return err
	})
	return l, ok, err
}

type noLock struct{}

func (noLock) Renew(context.Context, time.Duration) (bool, error) { return true, nil }
func (noLock) Unlock(context.Context) error                       { return nil }

// Shared implements [Sharer].
func (f *Front) Shared() bool { return f.shared }

// Close writes what waits, if it can within a short time, and closes the backing store.
// The error is that of the writing or the closing.
func (f *Front) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), frontTimeout)
	defer cancel()
	err := f.Sync(ctx)
	f.mem.Close()
	return errors.Join(err, f.behind.Close())
}

// FrontStats counts the events of a [Front] since its start.
type FrontStats struct {
	Memory    Stats  // of the copies
	Stale     uint64 // copies served because the backing store did not answer
	Failed    uint64 // calls of the backing store that failed
	Healed    uint64 // entries that a shared store had lost and that were given back to it, at once or with the next Sync
	Unwritten int    // entries that wait to be written now
	Lost      uint64 // entries that did not even find room to wait, and are in memory only
}

// Stats returns the counts of now.
func (f *Front) Stats() FrontStats {
	f.mu.Lock()
	s := f.stats
	s.Unwritten = len(f.unwritten)
	f.mu.Unlock()
	s.Memory = f.mem.Stats()
	return s
}
