// Package page is the page of mxauth in a browser: a form with one field, and what a check
// of that domain came to, in words and as a picture.
//
//	GET  /          the form
//	POST /          domain=example.org: the answer
//	POST /evidence  domain=example.org: a file for mxauth replay
//	GET  /page.css  the style
//
// It is HTML without scripts. It asks for nothing from elsewhere, sets no cookie, keeps
// nothing, and changes nothing. The package has no mail logic: a [Source] looks.
package page

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mxauth/mxauth/advise/ladder"
	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/internal/text"
)

// Limits of requests.
const (
	// maxForm bounds the body of a form: a name has at most 253 characters, each of which a
	// form may write with nine.
	maxForm = 4 << 10
	// maxDomain bounds what is shown again of a text that is no domain.
	maxDomain = 253
	// maxLooks is how many looks run side by side: each connects to hosts elsewhere.
	maxLooks = 4
	// DefaultTimeout is how long a look may take.
	DefaultTimeout = 90 * time.Second
)

// A Source looks at domains. Its methods are called by up to four goroutines at once, and
// return soon after ctx ends.
type Source interface {
	// Look looks at a domain. An error wraps [engine.ErrRequest] where the text is no domain,
	// or is ctx's.
	Look(ctx context.Context, domain string) (Answer, error)
	// Evidence looks at a domain and returns what the answer rests on, as mxauth check
	// --evidence writes it. Errors are those of Look.
	Evidence(ctx context.Context, domain string) ([]byte, error)
}

// An Answer is what a look came to.
type Answer struct {
	Domain   string // as it was asked for
	Headline string // the verdict in a few words
	Note     string // what it means for a message that does not go; ""
	Plan     *engine.Plan
	Hosts    []probe.HostResult // as Plan.Hosts
	Account  explain.Account
	Hints    []string // for who sends, beyond those of Account
	Findings []lint.Finding
	// NoFindings says that the findings did not come in time.
	NoFindings bool
	Told       []Told
	At         time.Time
}

// Told is the answer that one kind of mail server gets for the domain.
type Told struct {
	Server string // "Postfix"
	About  string // "the domain", or a host
	Reply  string // as it is told; "" if there is no entry
	Note   string
	// Differs says where that lets the mail server do something else than the answer says.
	Differs []string
}

// Config of a [Page]. Source is required.
type Config struct {
	Source Source
	// Admit is called before each look; where wait is not zero, the client has to wait for so
	// long. Nil: everyone may look at any time.
	Admit   func(r *http.Request) (wait time.Duration)
	Timeout time.Duration // of a look; 0: DefaultTimeout
	Version string        // shown at the end of the page; "": none
	Logger  *slog.Logger  // nil: discard
}

// A Page serves the page. It implements [http.Handler] and may be used by many goroutines at
// once.
type Page struct {
	c     Config
	inner http.Handler
	turns chan struct{}
}

// New makes a page.
func New(c Config) *Page {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	p := &Page{c: c, turns: make(chan struct{}, maxLooks)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { p.show(w, http.StatusOK, &view{}) })
	mux.HandleFunc("POST /{$}", p.look)
	mux.HandleFunc("POST /evidence", p.evidence)
	mux.HandleFunc("GET /page.css", p.style)
	mux.HandleFunc("/", p.other)
	// No other site may make a visitor's browser look at what it likes.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fail(w, http.StatusForbidden, "", "This request comes from a page of another site. Type the domain here.")
	}))
	p.inner = guard.Handler(mux)
	return p
}

// policy forbids everything but the style sheet, the form and the icon of the page itself.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	p.inner.ServeHTTP(w, r)
}

// other answers what is no path, or no method, of the page.
func (p *Page) other(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/", "/evidence", "/page.css":
		w.Header().Set("Allow", map[string]string{"/": "GET, HEAD, POST", "/evidence": "POST", "/page.css": "GET, HEAD"}[r.URL.Path])
		p.fail(w, http.StatusMethodNotAllowed, "", "This page does not accept "+r.Method+" here. Type a domain.")
	default:
		p.fail(w, http.StatusNotFound, "", "There is no such page. Type a domain.")
	}
}

// style serves the style sheet: that of the page and that of the picture.
func (p *Page) style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = io.WriteString(w, css+ladder.Style)
}

// look answers the form.
func (p *Page) look(w http.ResponseWriter, r *http.Request) {
	if _, a, ok := ask(p, w, r, p.c.Source.Look); ok {
		p.show(w, http.StatusOK, newView(&a))
	}
}

// evidence sends the file of a look.
func (p *Page) evidence(w http.ResponseWriter, r *http.Request) {
	domain, file, ok := ask(p, w, r, p.c.Source.Evidence)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(domain)}))
	w.Header().Set("Content-Length", strconv.Itoa(len(file)))
	_, _ = w.Write(file)
}

// ask asks the source for the domain of the form when it is this request's turn. Where there
// is nothing to show, it answers the request and returns false.
func ask[T any](p *Page, w http.ResponseWriter, r *http.Request, source func(context.Context, string) (T, error)) (domain string, got T, ok bool) {
	domain, ok = p.domain(w, r)
	if !ok {
		return domain, got, false
	}
	ctx, end, ok := p.turn(w, r, domain)
	if !ok {
		return domain, got, false
	}
	defer end()
	got, err := source(ctx, domain)
	if err != nil {
		p.failed(w, r, domain, err)
	}
	return domain, got, err == nil
}

// fileName is the name of the file of a domain: letters, digits, dots and hyphens alone.
func fileName(domain string) string {
	b := []byte(domain)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			b[i] = '_'
		}
	}
	if len(b) > 100 {
		b = b[:100]
	}
	return "mxauth-" + string(bytes.TrimLeft(b, ".")) + ".json"
}

// turn waits for nothing: it returns the context of a look, or says that there is no turn.
func (p *Page) turn(w http.ResponseWriter, r *http.Request, domain string) (ctx context.Context, end func(), ok bool) {
	wait := time.Duration(0)
	if p.c.Admit != nil {
		wait = p.c.Admit(r)
	}
	if wait <= 0 {
		select {
		case p.turns <- struct{}{}:
			ctx, cancel := context.WithTimeout(r.Context(), p.c.Timeout)
			return ctx, func() { cancel(); <-p.turns }, true
		default:
			wait = busyWait
		}
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	p.fail(w, http.StatusTooManyRequests, domain, fmt.Sprintf("Too many checks at a time. Try again in %d seconds.", seconds))
	return nil, nil, false
}

// busyWait is after which time somebody tries again who found no turn: most looks take less.
const busyWait = 5 * time.Second

// domain reads the form. Where it is not good, it answers.
func (p *Page) domain(w http.ResponseWriter, r *http.Request) (string, bool) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		p.fail(w, http.StatusUnsupportedMediaType, "", "The form was not sent as a form. Type a domain.")
		return "", false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		p.fail(w, http.StatusRequestEntityTooLarge, "", "That is too long for a domain, which has at most 253 characters.")
		return "", false
	case err != nil:
		w.Header().Set("Connection", "close")
		p.fail(w, http.StatusBadRequest, "", "The form did not arrive in full. Type the domain again.")
		return "", false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form) != 1 || len(form["domain"]) != 1 {
		p.fail(w, http.StatusBadRequest, "", "The form has one field, the domain. Type it here.")
		return "", false
	}
	domain, fault := readDomain(form.Get("domain"))
	if fault != "" {
		p.fail(w, http.StatusUnprocessableEntity, domain, fault)
		return "", false
	}
	return domain, true
}

// failed answers where a look failed.
func (p *Page) failed(w http.ResponseWriter, r *http.Request, domain string, err error) {
	switch {
	case r.Context().Err() != nil: // the client has gone
	case errors.Is(err, engine.ErrRequest):
		p.fail(w, http.StatusUnprocessableEntity, domain, "This is not a domain that mail can be sent to.")
	case errors.Is(err, context.DeadlineExceeded):
		p.fail(w, http.StatusGatewayTimeout, domain, fmt.Sprintf("The servers of %s did not answer within %v. Try again.", domain, p.c.Timeout))
	default:
		p.c.Logger.Error("the page could not check a domain", "domain", domain, "err", err)
		p.fail(w, http.StatusInternalServerError, domain, "The check failed on this side; the log of the daemon has more.")
	}
}

// fail shows the form with what is wrong.
func (p *Page) fail(w http.ResponseWriter, status int, domain, fault string) {
	p.show(w, status, &view{Field: domain, Fault: fault})
}

// show writes a page, whole or not at all.
func (p *Page) show(w http.ResponseWriter, status int, v *view) {
	v.Version = p.c.Version
	var b bytes.Buffer
	if err := pages().Execute(&b, v); err != nil {
		p.c.Logger.Error("internal error; this is a bug of mxauth", "err", err)
		http.Error(w, "an internal error; the log of the daemon has more", http.StatusInternalServerError)
		return
	}
	// The template escapes what means something in HTML; what a reader would not see for what
	// it is remains.
	out := text.Lines(b.String())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, out)
}
