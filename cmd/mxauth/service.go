package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/daemon"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/rollover"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/bolt"
	"github.com/mxauth/mxauth/sts"
)

// A service is a running daemon. Store, kept replies and metrics live as long as it does; the
// client is replaced when a file of trust anchors or certification authorities has changed.
type service struct {
	e         *env
	s         *settings.Settings
	load      func() (*settings.Settings, error) // reads the configuration again
	log       *slog.Logger
	level     *slog.LevelVar
	began     time.Time
	addresses []string

	store      store.Store  // as it is opened
	front      *store.Front // before it; nil for a store in memory
	answers    *answers.Answers
	metrics    *daemon.Metrics
	exceptions *exceptionsFile // nil: there is none
	http       httpDoor
	follower   *rollover.Follower // of the trust anchors; nil: they are not followed

	request engine.Request // what every request has
	base    mxauth.Config  // of each client, without what a reload changes

	trustMu sync.Mutex // held while a new generation is made
	mu      sync.Mutex // guards current
	current *generation

	policies policyCounts
	run      context.Context // of the background work
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// A generation is a client and the files that it was made of.
type generation struct {
	client *mxauth.Client
	trust  trust
	users  sync.WaitGroup     // plans under way
	stop   context.CancelFunc // of the refreshing of policies
	ended  chan struct{}      // closed when that has ended
}

// openDaemon opens store, resolver and engine. A store that cannot be opened is an error:
// what it holds protects mail. With check it creates nothing.
func openDaemon(ctx context.Context, e *env, s *settings.Settings, check bool) (_ *service, err error) {
	d := &service{e: e, s: s, level: new(slog.LevelVar), began: e.now(), metrics: daemon.NewMetrics()}
	if err := d.level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, configError("", "log.level: %w", err)
	}
	d.log = newDaemonLog(e, s, d.level)
	d.run, d.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	e.log = d.log
	if err := d.configure(ctx); err != nil {
		return nil, err
	}
	d.answers = answers.New(answers.Config{
		Plan:     d.plan,
		Request:  d.request,
		Options:  replyOptions(s),
		Patience: s.Patience, MaxEntries: s.KeptReplies, Now: e.now, Logger: d.log,
		Observe: d.metrics.Observe, Warm: d.metrics.Warm, NoName: d.metrics.NoName,
	})
	t, err := e.readTrust("trust.ca-file")
	if err != nil {
		return nil, err
	}
	if s.DNSSEC == modeTrustAD {
		c := d.base
		t.apply(&c)
		if err := e.checkTrustAD(ctx, &c); err != nil {
			return nil, err
		}
	}
	if check {
		err = d.checkStore(ctx)
	} else {
		err = d.openStore(ctx, false)
	}
	if err != nil {
		return nil, err
	}
	if err := d.follow(t, check); err != nil {
		return nil, err
	}
	d.current, err = d.generate(d.followed(t))
	return d, err
}

// follow opens the state of the trust anchors. With check it changes nothing.
func (d *service) follow(t trust, check bool) (err error) {
	path := d.s.AnchorState
	if path == "" {
		return nil
	}
	anchors := t.anchors
	if anchors == nil {
		anchors = anchor.Root()
	}
	d.follower, err = rollover.Open(rollover.Config{Path: path, Zone: anchor.SignedZone(t.anchors), Anchors: anchors, Upstream: exchanger{d},
		Changed: func([]anchor.Anchor) { d.retrust() }, Now: d.e.now, Logger: d.log})
	if err == nil && check {
		_, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return configError("", "resolver.anchor-state: %w", err)
	}
	return nil
}

// exchanger asks the resolvers of the client in force.
type exchanger struct{ d *service }

func (x exchanger) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	client, done := x.d.use()
	defer done()
	return client.Exchange(ctx, query)
}

// followed puts the anchors that are followed in the place of those of the file.
func (d *service) followed(t trust) trust {
	if d.follower != nil {
		t.anchors = d.follower.Anchors()
	}
	return t
}

// retrust makes a new client after the anchors have changed.
func (d *service) retrust() {
	if err := d.reloadTrust(); err != nil {
		d.log.Error("the new trust anchors are not in force", "err", err)
	}
	d.forget(rfc6125.Host{})
}

// configure reads the settings into request and base.
func (d *service) configure(ctx context.Context) error {
	s, e := d.s, d.e
	if err := e.configure(&d.base, "resolver.servers"); err != nil {
		return err
	}
	var flags deliveryFlags
	flags.apply(s)
	var err error
	if d.request, err = flags.request(); err != nil {
		return configError("", "%w", err)
	}
	if err := flags.configure(&d.base, s.Store); err != nil {
		return configError("", "%w", err)
	}
	if s.Exceptions != "" {
		if d.exceptions, err = openExceptions(s.Exceptions, e.now, d.warn); err != nil {
			return configError("each exception needs id, domain, reason, author and ends; see mxauth check --help", "exceptions.file: %w", err)
		}
	}
	d.base.Exceptions = d.inForce
	d.base.Lookups = d.metrics.DNS()
	d.base.Policies = sts.Observer{
		// A policy that changes takes the replies that rest on the old one with it.
		Changed:     func(domain rfc6125.Host, _, _ sts.Policy, _ bool) { d.forget(domain) },
		Fetched:     d.metrics.Fetched,
		StoreFailed: func(error) { d.metrics.StoreFailed() },
	}
	if d.servesHTTP() {
		return d.openHTTP()
	}
	return nil
}

func (d *service) warn(format string, args ...any) { d.log.Warn(fmt.Sprintf(format, args...)) }

// inForce returns the exceptions.
func (d *service) inForce() *exception.Set {
	if d.exceptions == nil {
		return nil
	}
	return d.exceptions.inForce()
}

// openStore opens the store. It is opened once: a file belongs to one process, and what
// waits to be written must outlive a reload.
func (d *service) openStore(ctx context.Context, check bool) (err error) {
	if d.store, err = d.e.openStoreOnly(storeFills); err != nil {
		if errors.Is(err, bolt.ErrLocked) {
			return configError("another mxauth holds the store; stop it, or use a store on a server (redis://)", "%w", err)
		}
		return err
	}
	d.base.Store = d.store
	if _, forgets := d.store.(*store.Memory); forgets {
		return nil
	}
	// An answer that is kept may be a day old: an absence on which it rests may be as old while
	// a server is down. Without that most mail would wait until it is back.
	c := store.FrontConfig{Behind: d.store, AbsentWhileDown: answers.MaxHold, Now: d.e.now, Logger: d.log}
	if d.front, err = store.NewFront(c); err != nil {
		return err
	}
	d.base.Store = d.front
	return d.tryStore(ctx, check)
}

// checkStore says whether the store could be opened. It creates no file: that would belong to
// the user who checks, not to that of the daemon. A file that a running daemon holds is good.
func (d *service) checkStore(ctx context.Context) error {
	path, isBolt := strings.CutPrefix(d.s.Store, "bolt:")
	if isBolt {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			st, err := os.Stat(filepath.Dir(path))
			if err == nil && !st.IsDir() {
				err = fmt.Errorf("%s is not a folder", filepath.Dir(path))
			}
			if err != nil {
				return configError("the folder of the store must exist, and the daemon must be allowed to write there", "store.path: %w", err)
			}
			return d.useMemory()
		}
	}
	err := d.openStore(ctx, true)
	if errors.Is(err, bolt.ErrLocked) && d.s.Control != "" && newDaemonClient(d.s.Control).holds(ctx, d.s.Store) {
		d.e.out.Notef("the daemon that runs has the store open")
		return d.useMemory()
	}
	return err
}

// useMemory opens a store that forgets.
func (d *service) useMemory() error {
	m, err := store.NewMemory(store.MemoryConfig{Now: d.e.now})
	d.store, d.base.Store = m, m
	return err
}

// generate makes a client.
func (d *service) generate(t trust) (*generation, error) {
	c := d.base
	t.apply(&c)
	client, err := mxauth.New(c)
	if err != nil {
		return nil, configError("", "%w", err)
	}
	return &generation{client: client, trust: t, stop: func() {}, ended: nil}, nil
}

// refresh begins the refreshing of kept policies.
func (g *generation) refresh(ctx context.Context, log *slog.Logger) {
	ctx, g.stop = context.WithCancel(ctx)
	g.ended = make(chan struct{})
	go func() {
		defer close(g.ended)
		if err := g.client.Policies().Run(ctx); err != nil && ctx.Err() == nil {
			log.Error("kept policies are no longer refreshed", "err", err)
		}
	}()
}

// close ends a generation after the last plan that uses it.
func (g *generation) close() {
	g.stop()
	if g.ended != nil {
		<-g.ended
	}
	g.users.Wait()
	_ = g.client.Close() // what it could not write is logged, and the front has it
}

// use returns the client in force, and what to call after its use.
func (d *service) use() (*mxauth.Client, func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.current
	g.users.Add(1)
	return g.client, g.users.Done
}

// plan makes a plan with the client in force.
func (d *service) plan(ctx context.Context, r engine.Request) (*engine.Plan, error) {
	client, done := d.use()
	defer done()
	return client.Plan(ctx, r)
}

// forget drops the plans and replies that rest on something of a domain that has changed;
// the zero domain means all.
func (d *service) forget(domain rfc6125.Host) {
	d.mu.Lock()
	g := d.current
	d.mu.Unlock()
	if g == nil {
		return // a policy that changes before the first answer
	}
	g.client.Engine().Forget()
	name := ""
	if domain.IsValid() {
		name = domain.String()
	}
	d.answers.Forget(name)
}

// start begins the background work.
func (d *service) start() {
	d.current.refresh(d.run, d.log)
	d.wg.Go(d.countPolicies)
	if d.shares() {
		d.wg.Go(d.watchStore)
	}
	if d.follower != nil {
		d.wg.Go(func() { d.follower.Run(d.run) })
	}
	if d.exceptions != nil {
		d.wg.Go(d.watchExceptions)
	}
	if d.servesHTTP() {
		d.wg.Go(d.watchReady)
	}
	d.register()
}

// watchExceptions reads the exceptions again when their file changes, and drops what rests
// on the old ones.
func (d *service) watchExceptions() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-d.run.Done():
			return
		case <-tick.C:
		}
		changed, err := false, checkOwned(d.s.Exceptions)
		if err == nil {
			changed, err = d.exceptions.reread(false)
		}
		switch {
		case err != nil && err.Error() != said:
			said = err.Error()
			d.log.Error("the previous exceptions stay in force", "err", err)
		case changed:
			said = ""
			d.forget(rfc6125.Host{})
			d.log.Info("the exceptions were read again", "exceptions", len(d.inForce().List()))
		}
	}
}

// reload reads again what a SIGHUP reads again. Each file that cannot be used leaves its
// old content in force and is an error; the others count.
func (d *service) reload() error {
	var errs []error
	if err := d.reloadSettings(); err != nil {
		errs = append(errs, err)
	}
	if d.exceptions != nil {
		err := checkOwned(d.s.Exceptions)
		if err == nil {
			_, err = d.exceptions.reread(true)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("exceptions: %w", err))
		}
	}
	if err := d.reloadTrust(); err != nil {
		errs = append(errs, err)
	}
	if err := d.reloadHTTP(); err != nil {
		errs = append(errs, err)
	}
	d.forget(rfc6125.Host{})
	return errors.Join(errs...)
}

// reloadSettings takes the log level from the configuration, and says what else has changed
// there.
func (d *service) reloadSettings() error {
	s, err := d.load()
	if err != nil {
		return err
	}
	if s.LogLevel != d.s.LogLevel {
		if err := d.level.UnmarshalText([]byte(s.LogLevel)); err != nil {
			return err
		}
		d.log.Info("the log level has changed", "level", s.LogLevel)
		d.s.LogLevel = s.LogLevel
	}
	if keys := d.s.Differences(s); len(keys) > 0 {
		d.log.Warn("these settings have changed and count after a restart", "settings", keys)
	}
	return nil
}

// reloadTrust makes a new client if anchors or certification authorities have changed.
// Plans under way end with the old one.
func (d *service) reloadTrust() error {
	d.trustMu.Lock()
	defer d.trustMu.Unlock()
	t, err := d.e.readTrust("trust.ca-file")
	if err != nil {
		return err
	}
	t = d.followed(t)
	d.mu.Lock()
	old := d.current
	d.mu.Unlock()
	if t.equal(&old.trust) {
		return nil
	}
	g, err := d.generate(t)
	if err != nil {
		return err
	}
	g.refresh(d.run, d.log)
	d.mu.Lock()
	d.current = g
	d.mu.Unlock()
	d.wg.Go(old.close)
	d.log.Info("trust anchors or certification authorities have changed")
	return nil
}

// refuse finds settings that a daemon must not start with. config is the configuration
// file; "" if there is none.
func refuse(s *settings.Settings, config string) error {
	for _, l := range s.Listen {
		if l.Door == "socketmap" && !s.AllowDeviation && (s.MXAlias == "refuse" || s.DANEAndSTS == "both") {
			return configError("set serve.allow-deviation = true to start anyway",
				"policy.mx-alias = refuse and policy.dane-and-sts = both cannot be expressed in an answer to Postfix: it uses every host whose TLSA records match")
		}
	}
	for _, name := range []string{s.Exceptions, config, s.TrustAnchor} {
		if name == "" {
			continue
		}
		if err := checkOwned(name); err != nil {
			return configError("chmod go-w "+name, "%s: %w", name, err)
		}
	}
	return nil
}

// alive asks a question that is answered here: the lookup path has to let it through.
func (d *service) alive(ctx context.Context) error {
	name, err := rfc6125.ParseName("localhost")
	if err != nil {
		return err
	}
	client, release := d.use()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer release()
		_, _ = client.Resolver().Resolve(ctx, dnssec.Question{Name: name, Type: dnssec.TypeA})
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no lookup ended in time: %w", ctx.Err())
	}
}

// close ends everything in reverse order.
func (d *service) close() {
	if d.answers != nil {
		d.answers.Close()
	}
	d.cancel()
	d.wg.Wait()
	if d.current != nil {
		d.current.close()
	}
	var err error
	switch {
	case d.front != nil:
		err = d.front.Close()
	case d.store != nil:
		err = d.store.Close()
	}
	if err != nil {
		d.log.Error("the store could not be closed cleanly", "err", err)
	}
}

// policyCounts are what the store holds of policies, counted now and then.
type policyCounts struct {
	kept, stale atomic.Int64
	shared      atomic.Pointer[policyCount] // of a fleet; nil until known
}

// countEvery is how often the kept policies are counted: as often as they are refreshed.
const countEvery = sts.BackOff

// countPolicies keeps the counts until the daemon ends.
func (d *service) countPolicies() {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		var c policyCount
		var err error
		if d.shares() {
			if c, err = d.sharedCount(d.run); err == nil {
				d.policies.shared.Store(&c)
			}
		} else {
			c.Kept, c.Stale, _, err = d.scanPolicies(d.run, 0)
		}
		if err == nil {
			d.policies.kept.Store(int64(c.Kept))
			d.policies.stale.Store(int64(c.Stale))
		}
		select {
		case <-d.run.Done():
			return
		case <-tick.C:
		}
	}
}

// listPolicies counts the kept policies and those that could not be refreshed, and returns up
// to limit of these, the one that ends first at the front. In a fleet that is the last count.
func (d *service) listPolicies(ctx context.Context, limit int) (kept, stale int, list []sts.Item, err error) {
	if !d.shares() {
		return d.scanPolicies(ctx, limit)
	}
	c := d.policies.shared.Load()
	if c == nil {
		return 0, 0, nil, errNotCounted
	}
	return c.Kept, c.Stale, c.List[:min(len(c.List), limit)], nil
}
