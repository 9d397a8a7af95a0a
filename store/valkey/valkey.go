// Package valkey is a [store.Store] on a Valkey or Redis server (6 or later), or on a cluster
// of them, that the processes of a fleet share.
//
//	rediss://mxauth:PASSWORD@valkey1.example.org:6379?addr=valkey2.example.org:6379
//
// It connects when it is first used and not before, so a program starts while its server
// is down. Every call has a deadline, nothing is retried by itself, and after a failed
// connection the next attempt waits a moment: what to do without the server is decided by
// the [store.Front] before it. Entries end on the server by themselves when they expire.
//
// Where the server can (RESP3), reads are served from a copy in this process that the
// server invalidates; such a copy is milliseconds older than another process's write, and
// never older than [DefaultCopyAge]. What this process has written it reads back itself.
//
// As durable as the server is what Put has stored; a server that keeps nothing on disk
// forgets when it restarts. Set its maxmemory-policy to noeviction, with room for all that
// is kept, or else to volatile-lru. Never to volatile-ttl: that drops what ends first, which
// the owner of a policy chooses, and policies of a year would push out those of a week. A
// server that evicts of its own accord knows nothing of classes and groups. The Front writes
// back what it still knows.
package valkey

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"
	"golang.org/x/sync/singleflight"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/inflight"
	"github.com/mxauth/mxauth/store"
)

const (
	// DefaultPrefix begins all keys on the server.
	DefaultPrefix = "mxauth/"
	// DefaultTimeout bounds one call, a new connection included.
	DefaultTimeout = time.Second
	// DefaultCopyAge is the longest life of a copy in this process.
	DefaultCopyAge = time.Minute

	// redialAfter is the pause after a failed connection.
	redialAfter = time.Second
	// ownFor is how long this process reads what it has written from the server and not
	// from a copy: longer than an invalidation takes.
	ownFor = 2 * time.Second
	// maxOwn bounds the keys for which that is noted; with more, no copies are used.
	maxOwn = 4096
	// pipeline is how many commands are sent at once.
	pipeline = 512
	// cacheBytes bounds the copies of each of the few connections.
	cacheBytes = 16 << 20
	// multiplex is the power of two of the connections.
	multiplex = 1
	// topologyEvery is how often a cluster is asked which server has which keys, besides
	// after each error: a primary that hangs gives no error by which that could be noticed.
	topologyEvery = 10 * time.Second
	// maxRedirections bounds how often a cluster may send one command elsewhere.
	maxRedirections = 4
)

// Config is the configuration of a [Store].
type Config struct {
	// URL of the server: redis://[USER:PASSWORD@]HOST[:PORT][/DB], or rediss:// over TLS
	// (also valkey:// and valkeys://, unix://). A server that is part of a cluster leads to
	// the others; "?addr=HOST:PORT", repeatable, names more of them, for when the first is
	// down. Required.
	URL string
	// Prefix of all keys on the server; "" means DefaultPrefix. Fleets that share a server
	// but not their policies have different ones.
	Prefix string
	// TLS is used with rediss://; ServerName is the host of the URL unless set, and the
	// certificate of each server of a cluster has to have that name. nil: the system's
	// roots, TLS 1.2 and later.
	TLS     *tls.Config
	Timeout time.Duration // of one call; 0 means DefaultTimeout
	// NoCopies turns the copies in this process off.
	NoCopies bool
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: discard
}

// Store is a store on a server. The client's goroutines belong to it and end with Close.
type Store struct {
	option  valkey.ClientOption
	entries string // prefix of entries on the server
	locks   string // prefix of locks
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger

	dialling singleflight.Group
	using    inflight.Group // calls and attempts in progress

	mu      sync.Mutex // guards what follows
	client  valkey.Client
	copies  bool  // the client may read copies
	dialErr error // of the last attempt
	dialAt  time.Time
	own     map[string]time.Time
	allOwn  time.Time // until then nothing is read from copies
}

// Open reads c and returns a store. It does not connect. The error reports a bad Config,
// without the URL, which may hold a password.
func Open(c Config) (*Store, error) {
	var errs []error
	option, err := valkey.ParseURL(c.URL)
	if err != nil || c.URL == "" {
		errs = append(errs, fault.New("store", "the URL is not redis://[USER:PASSWORD@]HOST[:PORT][/DB], or rediss:// for TLS"))
	}
	if c.Timeout < 0 {
		errs = append(errs, fault.Errorf("store", "Timeout is %s", c.Timeout))
	}
	if err == nil {
		errs = append(errs, checkQuery(c.URL)...)
	}
	if c.TLS != nil && err == nil && option.TLSConfig == nil {
		errs = append(errs, fault.New("store", "TLS is given, and the URL is not rediss://"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	c.Prefix = cmp.Or(c.Prefix, DefaultPrefix)
	s := &Store{entries: c.Prefix + "e/", locks: c.Prefix + "l/", timeout: c.Timeout, now: c.Now, log: c.Logger, own: map[string]time.Time{}}
	s.timeout = cmp.Or(s.timeout, DefaultTimeout)
	if s.now == nil {
		s.now = time.Now
	}
	s.log = cmp.Or(s.log, slog.New(slog.DiscardHandler))
	if c.TLS != nil {
		name := option.TLSConfig.ServerName
		option.TLSConfig = c.TLS.Clone()
		if option.TLSConfig.ServerName == "" {
			option.TLSConfig.ServerName = name
		}
		option.TLSConfig.MinVersion = max(option.TLSConfig.MinVersion, tls.VersionTLS12)
	}
	option.Dialer.Timeout = s.timeout
	option.ConnWriteTimeout = s.timeout
	option.DisableRetry = true
	option.DisableCache = c.NoCopies
	option.CacheSizeEachConn = cacheBytes
	option.PipelineMultiplex = multiplex
	option.ClusterOption = valkey.ClusterOption{ShardsRefreshInterval: topologyEvery, MaxMovedRedirections: maxRedirections}
	option.ClientSetInfo = valkey.DisableClientSetInfo
	s.option = option
	return s, nil
}

// Shared implements [store.Sharer].
func (s *Store) Shared() bool { return true }

// unavailable wraps an error of the server or the way to it.
func unavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	if r := refusal(err); errors.Is(r, ErrRefused) {
		return r
	}
	return fmt.Errorf("%w: valkey: %w", store.ErrUnavailable, err)
}

var errClosed = fmt.Errorf("%w: closed", store.ErrUnavailable)

// do runs f with a connected client under the deadline of a call.
func (s *Store) do(ctx context.Context, f func(ctx context.Context, c valkey.Client) error) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if !s.using.Enter() {
		return errClosed
	}
	defer s.using.Leave()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		return unavailable(err)
	}
	err = f(ctx, c)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return unavailable(err)
}

// connect returns the client, and makes it first if there is none. One attempt is made for
// all who wait, under its own deadline.
func (s *Store) connect(ctx context.Context) (valkey.Client, error) {
	s.mu.Lock()
	c, err := s.client, s.dialErr
	wait := err != nil && time.Since(s.dialAt) < redialAfter
	s.mu.Unlock()
	if c != nil {
		return c, nil
	}
	if wait {
		return nil, err
	}
	ch := s.dialling.DoChan("", func() (any, error) {
		if !s.using.Enter() {
			return nil, errClosed
		}
		defer s.using.Leave()
		return s.dial()
	})
	select {
	case r := <-ch:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(valkey.Client), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Store) dial() (valkey.Client, error) {
	s.mu.Lock()
	c := s.client
	s.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, copies, err := s.newClient()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialErr, s.dialAt = err, time.Now()
	if err != nil {
		return nil, err
	}
	s.client, s.copies = c, copies
	return c, nil
}

// newClient connects to the first server of the URL that answers, and to its cluster if it
// is part of one.
func (s *Store) newClient() (c valkey.Client, copies bool, err error) {
	var errs []error
	for _, address := range s.option.InitAddress {
		one := s.option
		one.InitAddress, one.ForceSingleClient = []string{address}, true
		c, copies, err = s.withCopies(one)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		mode, err := s.modeOf(c)
		switch {
		case err != nil:
			c.Close()
			errs = append(errs, err)
			continue
		case mode == modeCluster:
			c.Close()
			many := s.option
			many.InitAddress = slices.Concat(one.InitAddress, slices.DeleteFunc(slices.Clone(many.InitAddress), func(a string) bool { return a == address }))
			return s.withCopies(many)
		case len(s.option.InitAddress) > 1:
			c.Close()
			return nil, false, fmt.Errorf("%w: the URL names several servers, and the one at %s is not part of a cluster", ErrRefused, address)
		}
		return c, copies, nil
	}
	return nil, false, errors.Join(errs...)
}

// withCopies connects, without copies in this process if the server cannot invalidate them.
func (s *Store) withCopies(option valkey.ClientOption) (c valkey.Client, copies bool, err error) {
	c, err = valkey.NewClient(option)
	if errors.Is(err, valkey.ErrNoCache) {
		s.log.Info("the store's server cannot invalidate copies; every read goes to it")
		option.DisableCache = true
		c, err = valkey.NewClient(option)
	}
	return c, !option.DisableCache, err
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string) (store.Entry, bool, error) {
	return s.get(ctx, key, false)
}

// Fresh is Get past the copies in this process.
func (s *Store) Fresh(ctx context.Context, key string) (store.Entry, bool, error) {
	return s.get(ctx, key, true)
}

func (s *Store) get(ctx context.Context, key string, fresh bool) (e store.Entry, ok bool, err error) {
	err = s.do(ctx, func(ctx context.Context, c valkey.Client) error {
		name := s.entries + key
		var r valkey.ValkeyResult
		if fresh || !s.mayCopy(key) {
			r = c.Do(ctx, c.B().Get().Key(name).Build())
		} else {
			r = c.DoCache(ctx, c.B().Get().Key(name).Cache(), DefaultCopyAge)
		}
		b, err := r.AsBytes()
		if valkey.IsValkeyNil(err) {
			return nil
		}
		if err != nil {
			return err
		}
		e, err = decode(key, b)
		ok = err == nil && s.now().Before(e.Expires)
		return err
	})
	if err != nil || !ok {
		return store.Entry{}, false, err
	}
	return e, true, nil
}

// mayCopy reports whether key may be read from a copy.
func (s *Store) mayCopy(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.copies || now.Before(s.allOwn) {
		return false
	}
	until, ok := s.own[key]
	if ok && !now.Before(until) {
		delete(s.own, key)
		ok = false
	}
	return !ok
}

// wrote notes that this process has changed keys.
func (s *Store) wrote(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.copies {
		return
	}
	until := time.Now().Add(ownFor)
	if len(s.own)+len(keys) > maxOwn {
		s.allOwn = until
		clear(s.own)
		return
	}
	for _, k := range keys {
		s.own[strings.Clone(k)] = until
	}
}

// Put implements [store.Store].
func (s *Store) Put(ctx context.Context, e store.Entry) error {
	return s.PutAll(ctx, []store.Entry{e})
}

// PutAll implements [store.Batcher]; the deadline of a call is for each five hundred.
func (s *Store) PutAll(ctx context.Context, es []store.Entry) error {
	for _, e := range es {
		if err := e.Check(); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(es, pipeline) {
		if err := s.putSome(ctx, part); err != nil {
			return err
		}
	}
	if len(es) == 0 {
		return unavailable(ctx.Err())
	}
	return nil
}

func (s *Store) putSome(ctx context.Context, es []store.Entry) error {
	keys := make([]string, len(es))
	for i, e := range es {
		keys[i] = e.Key
	}
	return s.do(ctx, func(ctx context.Context, c valkey.Client) error {
		// Before and after: a read at the same time must not leave an old copy that
		// counts as good.
		s.wrote(keys...)
		defer s.wrote(keys...)
		now := s.now()
		cmds := make(valkey.Commands, len(es))
		for i, e := range es {
			name := s.entries + e.Key
			// Rounded up: an entry that the server still has is judged by its own expiry.
			ms := (e.Expires.Sub(now) + time.Millisecond - 1) / time.Millisecond
			if ms <= 0 {
				cmds[i] = c.B().Del().Key(name).Build()
			} else {
				cmds[i] = c.B().Set().Key(name).Value(valkey.BinaryString(encode(e))).PxMilliseconds(int64(ms)).Build()
			}
		}
		var errs []error
		for _, r := range c.DoMulti(ctx, cmds...) {
			if err := r.Error(); err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) > 0 {
			return errs[0]
		}
		return nil
	})
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.do(ctx, func(ctx context.Context, c valkey.Client) error {
		s.wrote(key)
		defer s.wrote(key)
		return c.Do(ctx, c.B().Del().Key(s.entries+key).Build()).Error()
	})
}

// All implements [store.Store]. It may show an entry twice. The deadline of a call is for
// each few hundred entries. A damaged value does not hide the others: the first error about
// one is returned in the end.
func (s *Store) All(ctx context.Context, prefix string, f func(store.Entry) bool) error {
	var servers []valkey.Client
	err := s.do(ctx, func(ctx context.Context, c valkey.Client) (err error) {
		servers, err = primaries(ctx, c)
		return err
	})
	if err != nil {
		return err
	}
	match := globEscape(s.entries+prefix) + "*"
	var damaged error
	for _, server := range servers {
		for cursor := uint64(0); ; {
			var es []store.Entry
			var bad error
			err := s.do(ctx, func(ctx context.Context, c valkey.Client) (err error) {
				es, bad, cursor, err = s.scan(ctx, server, c, cursor, match)
				return err
			})
			if err != nil {
				return err
			}
			damaged = cmp.Or(damaged, bad)
			for _, e := range es {
				if !f(e) {
					return nil
				}
			}
			if cursor == 0 {
				break
			}
		}
	}
	return damaged
}

// scan returns some entries of one server, the first error about a damaged one, and where
// to go on. c reads them: a cluster may have moved a key since.
func (s *Store) scan(ctx context.Context, server, c valkey.Client, from uint64, match string) (es []store.Entry, bad error, cursor uint64, err error) {
	page, err := server.Do(ctx, c.B().Scan().Cursor(from).Match(match).Count(pipeline).Build()).AsScanEntry()
	if err != nil || len(page.Elements) == 0 {
		return nil, nil, page.Cursor, err
	}
	cmds := make(valkey.Commands, len(page.Elements))
	for i, name := range page.Elements {
		cmds[i] = c.B().Get().Key(name).Build()
	}
	now := s.now()
	for i, r := range c.DoMulti(ctx, cmds...) {
		b, err := r.AsBytes()
		if valkey.IsValkeyNil(err) {
			continue // it ended in between
		}
		if err != nil {
			return nil, nil, 0, err
		}
		e, err := decode(strings.TrimPrefix(page.Elements[i], s.entries), b)
		if err != nil {
			bad = cmp.Or(bad, err)
			continue
		}
		if now.Before(e.Expires) {
			es = append(es, e)
		}
	}
	return es, bad, page.Cursor, nil
}

// globEscape makes a pattern of the server match s and nothing else.
func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// unlock deletes a lock if it is still the one that was taken.
var unlock = valkey.NewLuaScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

type lock struct {
	s           *Store
	name, token string
}

// renew prolongs a lock if it is still the one that was taken.
var renew = valkey.NewLuaScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("PEXPIRE", KEYS[1], ARGV[2]) end return 0`)

// Lock implements [store.Locker].
func (s *Store) Lock(ctx context.Context, name string, ttl time.Duration) (store.Lock, bool, error) {
	l := &lock{s, s.locks + name, rand.Text()}
	ok := false
	err := s.do(ctx, func(ctx context.Context, c valkey.Client) error {
		err := c.Do(ctx, c.B().Set().Key(l.name).Value(l.token).Nx().PxMilliseconds(max(1, ttl.Milliseconds())).Build()).Error()
		if valkey.IsValkeyNil(err) {
			return nil // another has it
		}
		ok = err == nil
		return err
	})
	if err != nil || !ok {
		return nil, false, err
	}
	return l, true, nil
}

func (l *lock) Renew(ctx context.Context, ttl time.Duration) (held bool, err error) {
	err = l.s.do(ctx, func(ctx context.Context, c valkey.Client) error {
		n, err := renew.Exec(ctx, c, []string{l.name}, []string{l.token, strconv.FormatInt(max(1, ttl.Milliseconds()), 10)}).AsInt64()
		held = n == 1
		return err
	})
	return held && err == nil, err
}

func (l *lock) Unlock(ctx context.Context) error {
	return l.s.do(ctx, func(ctx context.Context, c valkey.Client) error {
		return unlock.Exec(ctx, c, []string{l.name}, []string{l.token}).Error()
	})
}

// Close implements [store.Store]. It waits for the calls in progress, at most as long as
// their deadlines allow.
func (s *Store) Close() error {
	s.using.Close()
	s.using.Wait()
	s.mu.Lock()
	c := s.client
	s.client = nil
	s.mu.Unlock()
	if c != nil {
		c.Close()
	}
	return nil
}
