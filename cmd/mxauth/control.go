package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// The control socket speaks HTTP. It is a unix socket of mode 0600: who may connect may also
// read and write the store.
const (
	// maxStale and maxListed bound what a status lists.
	maxStale = 20
	// statusTime bounds the questions that a status asks.
	statusTime = 5 * time.Second
	// maxControlBody bounds an import: as many policies as a store holds.
	maxControlBody = 1 << 30
	// whoHeader names the person at the other end, for the log.
	whoHeader = "Mxauth-Who"
	maxWho    = 100
)

// A statusRow is what mxauth status prints.
type statusRow struct {
	V          int            `json:"v"`
	Version    string         `json:"version"`
	Began      time.Time      `json:"began"`
	Uptime     int64          `json:"uptime_seconds"`
	Listeners  []string       `json:"listeners"`
	Resolver   resolverStatus `json:"resolver"`
	Replies    keptStatus     `json:"replies"`
	DNS        keptStatus     `json:"dns_answers"`
	Lookups    int            `json:"lookups"` // under way
	Store      storeStatus    `json:"store"`
	Policies   policyStatus   `json:"policies"`
	Exceptions int            `json:"exceptions"`
	Temps      []answers.Temp `json:"temps"` // the newest first
}

type resolverStatus struct {
	DNSSEC  string           `json:"dnssec"` // validate or trust-ad
	OK      bool             `json:"ok"`
	Verdict string           `json:"verdict"`
	Servers []upstreamStatus `json:"servers"`
}

type upstreamStatus struct {
	Server   string  `json:"server"`
	Failures int     `json:"failures"` // in a row
	Rests    bool    `json:"rests"`
	RTT      float64 `json:"rtt_ms,omitempty"`
}

type keptStatus struct {
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

type storeStatus struct {
	Where     string `json:"where"`
	Failures  uint64 `json:"failures"`  // calls that failed
	Unwritten int    `json:"unwritten"` // entries that wait
	// Unavailable says why a store on a server could not be used when it was last asked.
	Unavailable string `json:"unavailable,omitempty"`
}

type policyStatus struct {
	Kept  int        `json:"kept"`
	Stale int        `json:"stale"`          // could not be refreshed
	List  []sts.Item `json:"list,omitempty"` // of those, the one that ends first at the front
	Error string     `json:"error,omitempty"`
}

// status looks at the daemon.
func (d *service) status(ctx context.Context) statusRow {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	r := statusRow{V: 1, Version: version(), Began: d.began.UTC(), Uptime: int64(d.e.now().Sub(d.began) / time.Second),
		Listeners: d.addresses, Lookups: d.answers.Lookups(), Temps: d.answers.Recent(),
		Resolver:   resolverStatus{DNSSEC: d.s.DNSSEC},
		Exceptions: len(inForce(d.inForce().List(), d.e.now()))}
	if r.Temps == nil {
		r.Temps = []answers.Temp{}
	}
	n, bytes := d.answers.Kept()
	r.Replies = keptStatus{n, int64(bytes)}
	client, done := d.use()
	defer done()
	r.DNS.Entries, r.DNS.Bytes = client.CachedAnswers()
	for _, h := range client.Upstreams() {
		r.Resolver.Servers = append(r.Resolver.Servers, upstreamStatus{h.Server.String(), h.Failures, h.Rests, float64(h.RTT) / float64(time.Millisecond)})
	}
	r.Resolver.OK, r.Resolver.Verdict = judgeResolver(ctx, client.Resolver(), d.s.DNSSEC)
	r.Store.Where = withoutPassword(d.s.Store)
	if d.front != nil {
		st := d.front.Stats()
		r.Store.Failures, r.Store.Unwritten = st.Failed, st.Unwritten
		if err := d.front.Unavailable(); err != nil {
			r.Store.Unavailable = errorText(err)
		}
	}
	var err error
	r.Policies.Kept, r.Policies.Stale, r.Policies.List, err = d.listPolicies(ctx, maxStale)
	if err != nil {
		r.Policies.Error = errorText(err)
	}
	return r
}

// judgeResolver asks for the keys of the root, which every delivery rests on.
func judgeResolver(ctx context.Context, r dnssec.Resolver, mode string) (ok bool, verdict string) {
	a, err := r.Resolve(ctx, dnssec.Question{Name: rfc6125.RootName(), Type: dnssec.TypeDNSKEY})
	switch {
	case err != nil:
		return false, errorText(err)
	case a.Status != dnssec.Secure && mode == modeTrustAD:
		return false, "does not set AD for the signed root: it does not validate"
	case a.Status != dnssec.Secure:
		return false, "the root is " + a.Status.String() + ": no answer can be proved"
	}
	return true, "answers, and the root is signed"
}

// control is the handler of the control socket; nil if there is none.
func (d *service) control() http.Handler {
	if d.s.Control == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) { respond(w, d.status(r.Context())) })
	mux.HandleFunc("GET /v1/ask", d.serveAsk)
	mux.HandleFunc("GET /v1/policies", d.servePolicies)
	mux.HandleFunc("GET /v1/policies/{domain}", d.servePolicy)
	mux.HandleFunc("DELETE /v1/policies/{domain}", d.serveDeletePolicy)
	mux.HandleFunc("POST /v1/warm/{domain}", d.serveWarm)
	mux.HandleFunc("GET /v1/export", d.serveExport)
	mux.HandleFunc("POST /v1/import", d.serveImport)
	mux.HandleFunc("GET /v1/memory", d.serveMemories)
	mux.HandleFunc("GET /v1/memory/{domain}", d.serveMemory)
	mux.HandleFunc("DELETE /v1/memory/{domain}", d.serveForgetMemory)
	mux.HandleFunc("GET /v1/exceptions", func(w http.ResponseWriter, _ *http.Request) { respond(w, exceptionRows(d.inForce().List(), d.e.now())) })
	return mux
}

// respond writes a value as one line of JSON.
func respond(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client has left
}

// refuseRequest writes an error. What the store cannot say is told apart from what is not there.
func refuseRequest(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, store.ErrUnavailable):
		code = http.StatusServiceUnavailable
	case errors.Is(err, errBadRequest):
		code = http.StatusBadRequest
	case errors.Is(err, errNotKept):
		code = http.StatusNotFound
	}
	http.Error(w, err.Error(), code)
}

var (
	errBadRequest = errors.New("bad request")
	errNotKept    = errors.New("nothing is kept")
)

// domainOf reads the domain of a path.
func domainOf(r *http.Request) (rfc6125.Host, error) {
	h, err := rfc6125.ParseHost(r.PathValue("domain"))
	if err != nil {
		return h, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	return h, nil
}

// whoOf is who the client says it is. The socket admits no one else.
func whoOf(r *http.Request) string {
	s := r.Header.Get(whoHeader)
	return s[:min(len(s), maxWho)]
}

// cache returns the policies of the client in force, and what to call after their use.
func (d *service) cache() (*sts.Cache, func()) {
	client, done := d.use()
	return client.Policies().Cache(), done
}

func (d *service) servePolicies(w http.ResponseWriter, r *http.Request) {
	c, done := d.cache()
	defer done()
	list := []sts.Item{}
	err := c.List(r.Context(), func(i sts.Item) bool {
		list = append(list, i)
		return true
	})
	if err != nil {
		refuseRequest(w, err)
		return
	}
	respond(w, list)
}

func (d *service) servePolicy(w http.ResponseWriter, r *http.Request) {
	c, done := d.cache()
	defer done()
	domain, err := domainOf(r)
	if err == nil {
		var i sts.Item
		var ok bool
		if i, ok, err = c.Show(r.Context(), domain); ok && err == nil {
			respond(w, i)
			return
		}
	}
	if err == nil {
		err = errNotKept
	}
	refuseRequest(w, err)
}

func (d *service) serveDeletePolicy(w http.ResponseWriter, r *http.Request) {
	c, done := d.cache()
	defer done()
	domain, err := domainOf(r)
	if err == nil {
		var ok bool
		ok, err = c.Delete(r.Context(), domain, whoOf(r))
		// Also after an error: the policy may be gone.
		d.forget(domain)
		if err == nil && !ok {
			err = errNotKept
		}
	}
	if err != nil {
		refuseRequest(w, err)
	}
}

func (d *service) serveExport(w http.ResponseWriter, r *http.Request) {
	c, done := d.cache()
	defer done()
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Trailer", errorTrailer)
	if _, err := c.Export(r.Context(), w); err != nil {
		w.Header().Set(errorTrailer, err.Error())
	}
}

// errorTrailer reports an error that came after the first line of an answer.
const errorTrailer = "Mxauth-Error"

// An importedRow is the answer to an import.
type importedRow struct {
	sts.Imported
	Error string `json:"error,omitempty"`
	Line  bool   `json:"line,omitempty"` // the error is one of the text
}

func (d *service) serveImport(w http.ResponseWriter, r *http.Request) {
	c, done := d.cache()
	defer done()
	n, err := c.Import(r.Context(), http.MaxBytesReader(w, r.Body, maxControlBody), whoOf(r))
	d.forget(rfc6125.Host{})
	row := importedRow{Imported: n}
	if err != nil {
		row.Error, row.Line = err.Error(), errors.Is(err, sts.ErrImport)
	}
	respond(w, row)
}

// errNoMemory: the store of the daemon is one in memory.
var errNoMemory = fmt.Errorf("%w: this daemon remembers nothing; its store is in memory", errNotKept)

func (d *service) memory() (*memory.Memory, func(), error) {
	client, done := d.use()
	if client.Memory() == nil {
		done()
		return nil, nil, errNoMemory
	}
	return client.Memory(), done, nil
}

func (d *service) serveMemories(w http.ResponseWriter, r *http.Request) {
	m, done, err := d.memory()
	if err != nil {
		refuseRequest(w, err)
		return
	}
	defer done()
	list := []memory.Past{}
	err = m.All(r.Context(), func(p memory.Past) bool {
		list = append(list, p)
		return true
	})
	if err != nil {
		refuseRequest(w, err)
		return
	}
	respond(w, list)
}

// portOf reads the port of a query; 0 if there is none.
func portOf(r *http.Request) (uint16, error) {
	s := r.URL.Query().Get("port")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: %.10q is not a port", errBadRequest, s)
	}
	return uint16(n), nil
}

func (d *service) serveMemory(w http.ResponseWriter, r *http.Request) {
	d.oneMemory(w, r, func(m *memory.Memory, domain rfc6125.Host, port uint16) error {
		p, ok, err := m.Past(r.Context(), domain, port)
		if err == nil && !ok {
			err = errNotKept
		}
		if err == nil {
			respond(w, p)
		}
		return err
	})
}

func (d *service) serveForgetMemory(w http.ResponseWriter, r *http.Request) {
	d.oneMemory(w, r, func(m *memory.Memory, domain rfc6125.Host, port uint16) error {
		ok, err := m.Forget(r.Context(), domain, port)
		d.forget(domain)
		if err == nil && !ok {
			err = errNotKept
		}
		if err == nil {
			d.log.LogAttrs(r.Context(), slog.LevelInfo, "what a domain proved is forgotten", slog.String("domain", domain.String()), slog.String("who", whoOf(r)))
		}
		return err
	})
}

func (d *service) oneMemory(w http.ResponseWriter, r *http.Request, f func(*memory.Memory, rfc6125.Host, uint16) error) {
	m, done, err := d.memory()
	if err == nil {
		defer done()
		var domain rfc6125.Host
		var port uint16
		if domain, err = domainOf(r); err == nil {
			if port, err = portOf(r); err == nil {
				err = f(m, domain, port)
			}
		}
	}
	if err != nil {
		refuseRequest(w, err)
	}
}

// inForce leaves out what has ended.
func inForce(list []exception.Exception, now time.Time) []exception.Exception {
	return slices.DeleteFunc(list, func(x exception.Exception) bool { return !now.Before(x.Ends) })
}
