// Package bolt is a [store.Store] in one file on disk (bbolt): the embedded default of
// the programs. It belongs to one process at a time.
//
// When Put returns nil the entry is on the disk: it survives the death of the process at
// any moment (kill -9), and that of the machine as far as the disk keeps what it has
// confirmed. Writers that come at the same time share one transaction, and so one wait
// for the disk.
//
// What is kept here is security, so the store never becomes empty in silence. A file that
// exists is checked as a whole before it is used: structure, a checksum a record, and
// totals over all records by which a lost one is missed. A damaged file, also an empty
// one, is an error ([store.ErrDamaged]) that names what is wrong; [Rescue] copies what is
// sound into a new file. Only a file that is not there is created.
package bolt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/internal/room"
)

const (
	// DefaultMaxEntries bounds the entries: ten times the domains that a very large
	// sender meets in a year, in about half a gigabyte.
	DefaultMaxEntries = 1_000_000
	// DefaultMaxBytes bounds keys and values together. The file is larger, up to about
	// three times: pages are not filled, and old ones wait to be used again.
	DefaultMaxBytes = 1 << 30

	fileMode = 0o600 // the file reveals whom we write to
)

// ErrLocked is wrapped by the error of [Open] if another process has the file open. It
// wraps [store.ErrUnavailable].
var ErrLocked = fmt.Errorf("%w: another process has the store open", store.ErrUnavailable)

// ErrNotExist is wrapped by the error of [Open] if Config.MustExist is set and there is no
// file. It wraps [store.ErrUnavailable] and [fs.ErrNotExist].
var ErrNotExist = fmt.Errorf("%w: no such store: %w", store.ErrUnavailable, fs.ErrNotExist)

// ErrExposed is wrapped by the error of [Open] if users other than the owner of the file can
// read it, and learn whom mail is sent to, or write to it, and so decide which policies
// apply. It wraps [store.ErrUnavailable].
var ErrExposed = fmt.Errorf("%w: not private", store.ErrUnavailable)

// Config is the configuration of a [Store].
type Config struct {
	Path string // required; created, with mode 0600, if it does not exist
	// MustExist makes Open fail with ErrNotExist instead of creating the file.
	MustExist bool
	// MaxEntries and MaxBytes (of keys and values) bound what is kept; 0 means the
	// defaults. See [store.Store] for what is dropped first.
	MaxEntries int
	MaxBytes   int64
	// MaxFile bounds the file in bytes: a Put that would need more fails. 0: no bound.
	MaxFile int64
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: discard
}

// Store is a store in one file. It starts no goroutine.
type Store struct {
	db     *bbolt.DB
	path   string
	limits room.Limits
	opened time.Time // for the last use of entries where it is not noted
	now    func() time.Time
	log    *slog.Logger

	// turn is held, as a token, by the writer that commits for all.
	turn chan struct{}

	mu      sync.Mutex // guards what follows
	closed  bool
	broken  error // damage that was met after Open; then nothing works any more
	pending []*op
	using   sync.WaitGroup // calls in progress; Add only while closed is false
	stats   store.Stats
	uses    map[string]struct{} // keys that were used, to be noted
	sweep   []byte              // the key after which the next look for expired entries begins
}

var (
	bucketAbout   = []byte("about")
	bucketEntries = []byte("entries")
	keyFormat     = []byte("format")
	keyTotals     = []byte("totals")
)

// The name of the format. A file of version 1 becomes one of version 2 with the first
// write; its records are of either version.
const (
	formatName1 = "mxauth store 1"
	formatName  = "mxauth store 2"
)

// maxUses bounds the uses that wait to be noted. They are written with the next change, or
// by the call that finds so many.
const maxUses = 4096

// Open opens the store in a file, or creates it. The error wraps [ErrLocked] if another
// process has it open, [store.ErrDamaged] if it is damaged, [ErrExposed] if other users
// have access to it, and [store.ErrUnavailable] in any case but that of a bad Config.
func Open(c Config) (*Store, error) {
	var errs []error
	if c.Path == "" {
		errs = append(errs, fault.New("store", "no Path"))
	}
	if c.MaxEntries < 0 || c.MaxBytes < 0 || c.MaxFile < 0 {
		errs = append(errs, fault.New("store", "a negative bound"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := &Store{path: c.Path, limits: room.Limits{Entries: c.MaxEntries, Bytes: c.MaxBytes}, now: c.Now, log: c.Logger,
		turn: make(chan struct{}, 1), uses: map[string]struct{}{}}
	s.limits.Entries = cmp.Or(s.limits.Entries, DefaultMaxEntries)
	s.limits.Bytes = cmp.Or(s.limits.Bytes, DefaultMaxBytes)
	if s.now == nil {
		s.now = time.Now
	}
	s.log = cmp.Or(s.log, slog.New(slog.DiscardHandler))
	s.opened = s.now()
	_, err := os.Lstat(c.Path)
	if errors.Is(err, fs.ErrNotExist) && c.MustExist {
		return nil, fmt.Errorf("store %s: %w", c.Path, ErrNotExist)
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.log.Info("a new store is created", "path", c.Path)
		err = create(c.Path)
	}
	if err == nil {
		s.db, err = openChecked(c.Path, c.MaxFile)
	}
	if err == nil {
		err = s.load()
	}
	if err != nil {
		if s.db != nil {
			s.db.Close()
		}
		return nil, unavailable(fmt.Errorf("store %s: %w", c.Path, err))
	}
	return s, nil
}

// unavailable makes err wrap ErrUnavailable.
func unavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// create makes an empty store under another name and then gives it its own, so that a
// file of this name is always whole: an empty one is damage, not a beginning.
func create(path string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	tmp.Close()
	db, err := bbolt.Open(tmp.Name(), fileMode, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		about, err := tx.CreateBucket(bucketAbout)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(bucketEntries); err != nil {
			return err
		}
		return errors.Join(about.Put(keyFormat, []byte(formatName)), about.Put(keyTotals, totals{}.encode()))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	// Link, unlike Rename, does not replace what another process has made meanwhile.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := os.Rename(tmp.Name(), path); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the name of a new file durable. Systems on which a folder cannot be
// synced do it by themselves.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}

// openChecked locks a file, checks it, and opens it.
func openChecked(path string, maxFile int64) (db *bbolt.DB, err error) {
	defer guard(&err)()
	opened := func(name string, _ int, _ os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, os.O_RDWR, 0) // never O_CREATE
		if err != nil {
			return nil, err
		}
		if err := check(f); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
	return bbolt.Open(path, fileMode, &bbolt.Options{
		Timeout: 100 * time.Millisecond, FreelistType: bbolt.FreelistMapType, OpenFile: opened, MaxSize: int(maxFile), NoStatistics: true,
	})
}

// check locks f and walks through it.
func check(f *os.File) error {
	held, err := lock(f)
	if err != nil {
		return err
	}
	if held {
		return ErrLocked
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("it is no regular file but %s", st.Mode().Type())
	}
	// Damage is reported first: it needs more than another mode.
	if err := verify(f, st.Size()); err != nil {
		return err
	}
	return exposed(st, othersAccess)
}

// Permissions that a file of the store must not give.
const (
	othersAccess fs.FileMode = 0o077 // anything to group and others: it holds whom mail is sent to
	othersWrite  fs.FileMode = 0o022
)

// exposed returns an error if the file gives one of the permissions in mask. The checksums
// in the file find damage; they do not show that another user has changed a policy.
func exposed(st fs.FileInfo, mask fs.FileMode) error {
	mode := st.Mode().Perm()
	if !hasModes || mode&mask == 0 {
		return nil
	}
	can := "have access to"
	switch {
	case mode&0o044 != 0 && mode&0o022 != 0:
		can = "can read and change"
	case mode&0o044 != 0:
		can = "can read"
	case mode&0o022 != 0:
		can = "can change"
	}
	return fmt.Errorf("%w: other users %s the file (mode %04o)", ErrExposed, can, mode)
}

// guard turns a panic, and a fault in mapped memory (a file that was cut short under us),
// into an error. It is deferred as `defer guard(&err)()`.
func guard(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			*err = fmt.Errorf("%w: %v", store.ErrDamaged, p)
		}
	}
}

// load reads the totals.
func (s *Store) load() (err error) {
	defer guard(&err)()
	return s.db.View(func(tx *bbolt.Tx) error {
		t, err := readTotals(tx)
		s.stats.Entries, s.stats.Bytes = int(t.entries), int64(t.bytes)
		return err
	})
}

func readTotals(tx *bbolt.Tx) (totals, error) {
	return decodeTotals(tx.Bucket(bucketAbout).Get(keyTotals))
}

// enter notes a call in progress. The caller calls s.using.Done if there is no error.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("%w: closed", store.ErrUnavailable)
	}
	if s.broken != nil {
		return s.broken
	}
	s.using.Add(1)
	return nil
}

// met notes damage: what has met it once is not trusted any more.
func (s *Store) met(err error) error {
	if err == nil {
		return nil
	}
	err = unavailable(fmt.Errorf("store %s: %w", s.path, err))
	if !errors.Is(err, store.ErrDamaged) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
		s.log.Error("the store is damaged and not used any more", "path", s.path, "error", err.Error())
	}
	return err
}

// view runs f in a transaction that reads.
func (s *Store) view(f func(*bbolt.Bucket) error) (err error) {
	defer guard(&err)()
	return s.db.View(func(tx *bbolt.Tx) error { return f(tx.Bucket(bucketEntries)) })
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) (store.Entry, bool, error) {
	return s.get(ctx, key, true)
}

// Peek implements [store.Peeker].
func (s *Store) Peek(ctx context.Context, key string) (store.Entry, bool, error) {
	return s.get(ctx, key, false)
}

func (s *Store) get(ctx context.Context, key string, use bool) (e store.Entry, ok bool, err error) {
	if err := s.enter(ctx); err != nil {
		return e, false, err
	}
	defer s.using.Done()
	now := s.now()
	stale := false
	err = s.view(func(b *bbolt.Bucket) error {
		k := []byte(key)
		v := b.Get(k)
		if v == nil {
			return nil
		}
		r, err := decodeRecord(k, v)
		if err == nil && r.expires > now.UnixNano() {
			e, ok, stale = r.entry(k), true, r.stale(now)
		}
		return err
	})
	if err != nil {
		return store.Entry{}, false, s.met(err)
	}
	if stale && use {
		s.noteUse(key)
	}
	return e, ok, nil
}

// NoteUse implements [store.UseNoter].
func (s *Store) NoteUse(key string) {
	if s.enter(context.Background()) == nil {
		s.noteUse(key)
		s.using.Done()
	}
}

func (s *Store) noteUse(key string) {
	s.mu.Lock()
	s.uses[strings.Clone(key)] = struct{}{}
	many := len(s.uses) >= maxUses
	s.mu.Unlock()
	if !many {
		return
	}
	select {
	case s.turn <- struct{}{}:
		s.commit()
		<-s.turn
	default: // a writer is about to take them
	}
}

// chunk is how many entries All reads in one transaction: one that stays open keeps the
// file from being grown, and would block a writer that f waits for.
const chunk = 512

// All implements [store.Store], in the order of keys.
func (s *Store) All(ctx context.Context, prefix string, f func(store.Entry) bool) error {
	next, more := []byte(prefix), true
	for more {
		var es []store.Entry
		if err := s.enter(ctx); err != nil {
			return err
		}
		now := s.now().UnixNano()
		err := s.view(func(b *bbolt.Bucket) error {
			c := b.Cursor()
			n := 0
			for k, v := c.Seek(next); ; k, v = c.Next() {
				if k == nil || !strings.HasPrefix(string(k), prefix) {
					more = false
					return nil
				}
				if n++; n > chunk {
					next = append([]byte(nil), k...)
					return nil
				}
				r, err := decodeRecord(k, v)
				if err != nil {
					return err
				}
				if r.expires > now {
					es = append(es, r.entry(k))
				}
			}
		})
		s.using.Done()
		if err != nil {
			return s.met(err)
		}
		for _, e := range es {
			if !f(e) {
				return nil
			}
		}
	}
	return nil
}

// Stats returns the counts of now.
func (s *Store) Stats() store.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Close implements [store.Store]. It waits for the calls in progress.
func (s *Store) Close() (err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.using.Wait()
	s.commit() // uses that wait; no one else can have the turn
	s.mu.Lock()
	broken := s.broken != nil
	s.mu.Unlock()
	if broken {
		// bbolt may have been left with its locks held: closing it could wait for ever.
		// The file stays open until the process ends; nothing is unwritten.
		return nil
	}
	defer guard(&err)()
	return unavailable(s.db.Close())
}
