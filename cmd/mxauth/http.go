package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/httpdoor"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// httpCheckTime is how long all mail hosts of one domain may take in a check over HTTP, so
// that the lookups before it have time left of the 30 s of an answer.
const httpCheckTime = 20 * time.Second

// An httpDoor holds the state of the listeners for HTTP.
type httpDoor struct {
	secrets map[string]*httpSecrets // by address of the listener
	ready   readiness
}

// httpSecrets are the files of one listener that a reload reads again; access and tls are nil
// where it has none.
type httpSecrets struct {
	listen settings.Listen
	access *httpdoor.Access
	tls    *httpdoor.TLSFiles
}

// openHTTP reads the files of the listeners for HTTP, and bounds what a check does.
func (d *service) openHTTP() error {
	d.http.secrets = map[string]*httpSecrets{}
	d.http.ready.lacks.Store(&errUnproved)
	d.base.ForOthers, d.base.CheckTimeout = true, httpCheckTime
	if t := d.s.CheckTime; t > 0 {
		d.base.CheckTimeout = min(t, httpCheckTime)
	}
	for _, l := range d.s.Listen {
		if l.Door != "http" {
			continue
		}
		f := &httpSecrets{listen: l}
		d.http.secrets[l.Address] = f
		if err := errors.Join(f.checkToken(), f.checkTLS()); err != nil {
			return err
		}
		var err error
		if l.TokenFile != "" {
			if f.access, err = httpdoor.OpenAccess(l.TokenFile); err != nil {
				return configError("", "listen.token-file: %w", err)
			}
		}
		if l.Certificate != "" {
			if f.tls, err = httpdoor.OpenTLS(l.Certificate, l.Key, l.ClientCA); err != nil {
				return configError("", "listen.certificate: %w", err)
			}
		}
	}
	return nil
}

// checkToken refuses tokens that other users may read or write.
func (s *httpSecrets) checkToken() error {
	return checkFile("listen.token-file", s.listen.TokenFile, checkSecret)
}

// checkTLS refuses a key that other users may read or write, and a certificate and
// authorities of clients that they may write.
func (s *httpSecrets) checkTLS() error {
	return errors.Join(checkFile("listen.key", s.listen.Key, checkSecret), checkFile("listen.certificate", s.listen.Certificate, checkOwned),
		checkFile("listen.client-ca", s.listen.ClientCA, checkOwned))
}

// checkFile checks who may use the file of a setting; "" is no file.
func checkFile(setting, name string, check func(string) error) error {
	if name == "" {
		return nil
	}
	err := check(name)
	if err == nil {
		return nil
	}
	hint := ""
	if errors.Is(err, errReadable) || errors.Is(err, errWritable) {
		hint = "chmod 0640 " + name
	}
	return configError(hint, "%s: %s: %w", setting, name, err)
}

// reload reads the files again. Tokens and TLS do not wait for each other: where one of them
// has a fault, the other counts.
func (s *httpSecrets) reload() error {
	var errs []error
	if s.access != nil {
		err := s.checkToken()
		if err == nil {
			err = s.access.Reload()
		}
		errs = append(errs, err)
	}
	if s.tls != nil {
		err := s.checkTLS()
		if err == nil {
			err = s.tls.Reload()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// reloadHTTP reads the files of all listeners for HTTP again. A fault in one leaves what it
// held before in force.
func (d *service) reloadHTTP() error {
	var errs []error
	for address, s := range d.http.secrets {
		if err := s.reload(); err != nil {
			errs = append(errs, fmt.Errorf("http=%s: %w", address, err))
		}
	}
	return errors.Join(errs...)
}

// newHTTP makes the server of a listener for HTTP.
func (d *service) newHTTP(l settings.Listen) *httpdoor.Server {
	c := httpdoor.Config{Backend: httpBackend{d}, Rows: httpRows{d}, Metrics: d.metrics.Handler(), Observe: d.metrics.HTTP,
		Check: l.Checks(), Unix: l.IsUnix(), Names: l.Names, Now: d.e.now, Logger: d.log}
	if l.Page {
		c.Page = d.newPage()
	}
	if s := d.http.secrets[l.Address]; s != nil {
		c.Access = s.access
		if s.tls != nil {
			c.TLS = s.tls.Config()
		}
	}
	return httpdoor.New(c)
}

// httpBackend is the daemon as the handlers see it.
type httpBackend struct{ d *service }

func (b httpBackend) Defaults() engine.Request { return b.d.request }

func (b httpBackend) Plan(ctx context.Context, r engine.Request) (*engine.Plan, error) {
	return b.d.plan(ctx, r)
}

func (b httpBackend) Check(ctx context.Context, r engine.Request) (mxauth.Verdict, error) {
	client, done := b.d.use()
	defer done()
	return client.CheckRequest(ctx, r)
}

func (b httpBackend) Decide(p *engine.Plan, i int, peer engine.Peer) engine.Decision {
	client, done := b.d.use()
	defer done()
	return client.Engine().Decide(p, i, peer, b.d.e.now())
}

func (b httpBackend) Told(ctx context.Context, form mtapolicy.Form, key, host string) answers.Event {
	if form == mtapolicy.PerHost {
		return b.d.answers.AskHost(ctx, key, host)
	}
	return b.d.answers.Ask(ctx, form, key)
}

func (b httpBackend) Ready() error {
	lacks := *b.d.http.ready.lacks.Load()
	if lacks == nil && b.d.front != nil {
		if err := b.d.front.Unavailable(); err != nil {
			lacks = storeLost(err)
		}
	}
	return lacks
}

// storeLost is what a daemon lacks whose store fails.
func storeLost(err error) error { return fmt.Errorf("the store is lost: %s", errorText(err)) }

// httpRows makes JSON objects.
type httpRows struct{ d *service }

func (httpRows) Plan(asked string, p *engine.Plan) any {
	return (&verdict{Verdict: mxauth.Verdict{Plan: p}, asked: asked}).planRow()
}

func (httpRows) Check(asked string, v *mxauth.Verdict) any {
	return (&verdict{Verdict: *v, asked: asked}).checkRow()
}

// A decisionRow is the answer to POST /v1/decide; docs/decision.schema.json describes it.
type decisionRow struct {
	V      int    `json:"v"`
	Domain string `json:"domain"` // as asked
	hostRow
	ValidUntil time.Time `json:"valid_until"` // of the plan
}

func (httpRows) Decision(p *engine.Plan, i int, d engine.Decision) any {
	row := decisionRow{V: rowVersion, Domain: p.Request.NextHop, hostRow: hostRowOf(p.Hosts[i], d), ValidUntil: p.ValidUntil.UTC()}
	row.TLS = d.Peer.TLS
	return row
}

func (r httpRows) Told(e *answers.Event) any {
	for name, form := range httpdoor.Forms {
		if form == e.Form {
			return askRowOf(e, name, r.d.e.now())
		}
	}
	panic("a form without a name")
}

func (r httpRows) Status(ctx context.Context) any { return r.d.status(ctx) }

// Times of the readiness of a daemon.
const (
	// readyEvery is how often the daemon looks at itself: a load balancer asks as often.
	readyEvery = 10 * time.Second
	// unprovedEvery is how often it does until a chain was proved once.
	unprovedEvery = time.Second
)

// errUnproved is what a daemon lacks at its start.
var errUnproved = errors.New("no chain from the trust anchor was proved yet")

// readiness says whether the answers of the daemon can be relied on.
type readiness struct {
	lacks atomic.Pointer[error] // what it lacks; a nil error if nothing
}

// watchReady keeps the readiness until the daemon ends.
func (d *service) watchReady() {
	proved := false
	for {
		var lacks error
		if !proved {
			proved, lacks = d.prove()
		}
		if proved && d.front != nil && !d.shares() { // a server is watched
			if err := d.front.Check(d.run); err != nil {
				lacks = storeLost(err)
			}
		}
		if d.run.Err() != nil {
			return
		}
		d.http.ready.lacks.Store(&lacks)
		wait := readyEvery
		if !proved {
			wait = unprovedEvery
		}
		select {
		case <-time.After(wait):
		case <-d.run.Done():
			return
		}
	}
}

// prove looks up the keys of the root.
func (d *service) prove() (bool, error) {
	ctx, cancel := context.WithTimeout(d.run, statusTime)
	defer cancel()
	client, done := d.use()
	defer done()
	ok, verdict := judgeResolver(ctx, client.Resolver(), d.s.DNSSEC)
	if !ok {
		return false, fmt.Errorf("%w: %s", errUnproved, verdict)
	}
	return true, nil
}

// servesHTTP reports whether there is a listener for HTTP.
func (d *service) servesHTTP() bool {
	return slices.ContainsFunc(d.s.Listen, func(l settings.Listen) bool { return l.Door == "http" })
}
