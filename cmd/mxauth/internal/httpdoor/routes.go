package httpdoor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/docs"
)

// A route is one path.
type route struct {
	method string // GET serves HEAD, too
	// lookups: a request causes lookups, so a page of another site must not send it.
	lookups bool
	serve   func(w http.ResponseWriter, r *http.Request) *problem
}

// table makes the routes. Paths are compared as they are sent: one with an escape, a double
// slash or dots is not found, and nothing is redirected.
func (s *Server) table() map[string]route {
	t := map[string]route{
		"/v1/plan":      {http.MethodGet, true, s.servePlan},
		"/v1/policy":    {http.MethodGet, true, s.servePolicy},
		"/v1/status":    {http.MethodGet, true, s.serveStatus},
		"/v1/decide":    {http.MethodPost, true, s.serveDecide},
		"/v1/check":     {http.MethodPost, true, s.serveCheck},
		"/healthz":      {http.MethodGet, false, s.serveHealth},
		"/readyz":       {http.MethodGet, false, s.serveReady},
		"/openapi.yaml": {http.MethodGet, false, serveFile("openapi.yaml", typeYAML)},
	}
	for _, name := range docs.Schemas() {
		t["/"+name] = route{http.MethodGet, false, serveFile(name, typeSchema)}
	}
	if s.c.Metrics != nil {
		t["/metrics"] = route{http.MethodGet, false, func(w http.ResponseWriter, r *http.Request) *problem {
			if p := noParameters(r); p != nil {
				return p
			}
			w.Header()["Cache-Control"] = noStore
			s.c.Metrics.ServeHTTP(w, r)
			return nil
		}}
	}
	return t
}

// Paths returns the paths of the API, sorted.
func (s *Server) Paths() []string {
	var out []string
	for path := range s.routes {
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

// serveFile serves a file of docs.
func serveFile(name string, mediaType []string) func(http.ResponseWriter, *http.Request) *problem {
	text, err := docs.Files.ReadFile(name)
	if err != nil {
		panic(err) // the list is made of the embedded files
	}
	return func(w http.ResponseWriter, r *http.Request) *problem {
		if p := noParameters(r); p != nil {
			return p
		}
		respond(w, http.StatusOK, mediaType, text)
		return nil
	}
}

// ServeHTTP answers a request. It implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	route, known := s.routes[path]
	if r.URL.RawPath != "" {
		known = false
	}
	seen := &recorder{ResponseWriter: w}
	defer func() {
		label := path
		if !known {
			label = "other"
		}
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.c.Logger.Error("internal error; this is a bug of mxauth", "path", label, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if seen.status == 0 {
				newProblem(http.StatusInternalServerError, idInternal, "an internal error; the log of the daemon has more").write(seen)
			}
		}
		s.c.Observe(label, seen.status)
	}()
	if p := s.admit(seen, r); p != nil {
		p.write(seen)
		return
	}
	if !known {
		// A program that mistypes a path of the API gets a problem, not HTML.
		if s.c.Page != nil && !strings.HasPrefix(r.URL.Path, "/v1/") {
			s.c.Page.ServeHTTP(seen, r)
			return
		}
		newProblem(http.StatusNotFound, idNotFound, "there is no such path; GET /openapi.yaml lists them").write(seen)
		return
	}
	if p := s.dispatch(seen, r, &route); p != nil {
		p.write(seen)
	}
}

// admit makes the checks that every path has: which server the client means, and whether it
// may ask.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) *problem {
	if !s.named(r) {
		return newProblem(http.StatusMisdirectedRequest, idWrongHost,
			fmt.Sprintf("the Host header %.80q does not name this server; use localhost, an address, or a name listed under names of this listener", r.Host))
	}
	if s.c.Access != nil && !s.c.Access.admits(r.Header) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return newProblem(http.StatusUnauthorized, idUnauthorized, "send the token of this server: Authorization: Bearer TOKEN")
	}
	// A body whose end is told by chunks is where servers and proxies that disagree are
	// made to see different requests. No client of this server needs one.
	if len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
		return newProblem(http.StatusLengthRequired, idLengthRequired, "send a body with Content-Length, not in chunks")
	}
	return nil
}

// dispatch serves a route of the API.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, route *route) *problem {
	if r.Method != route.method && (r.Method != http.MethodHead || route.method != http.MethodGet) {
		allow := route.method
		if allow == http.MethodGet {
			allow = "GET, HEAD"
		}
		w.Header().Set("Allow", allow)
		return newProblem(http.StatusMethodNotAllowed, idMethodNotAllowed, "this path takes "+strings.Replace(allow, ",", " and", 1))
	}
	if route.lookups && !SameSite(r) {
		return newProblem(http.StatusForbidden, idCrossSite, "a page of another site may not ask")
	}
	if route.method == http.MethodGet && r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		return newProblem(http.StatusBadRequest, idBadBody, "this path takes no body")
	}
	return route.serve(w, r)
}

// turn waits for a place among those who compute, until ctx ends.
func turn(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	default:
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// late is the problem of an answer that was not found in time.
func late(err error) *problem {
	if errors.Is(err, context.DeadlineExceeded) {
		return newProblem(http.StatusGatewayTimeout, idLate, fmt.Sprintf("the lookups did not end within %v; ask again", answerTime))
	}
	return newProblem(http.StatusServiceUnavailable, idBusy, "the lookups were cancelled: the client has disconnected, or the daemon stops")
}

// A recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// serveHealth answers as long as the server does.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) *problem {
	if p := noParameters(r); p != nil {
		return p
	}
	respond(w, http.StatusOK, typeText, []byte("ok\n"))
	return nil
}

// serveReady says whether answers can be relied on.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) *problem {
	if p := noParameters(r); p != nil {
		return p
	}
	if err := s.c.Backend.Ready(); err != nil {
		return newProblem(http.StatusServiceUnavailable, idNotReady, err.Error())
	}
	respond(w, http.StatusOK, typeText, []byte("ready\n"))
	return nil
}

// serveStatus says how the daemon is doing.
func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) *problem {
	if p := noParameters(r); p != nil {
		return p
	}
	ctx, cancel := limited(r)
	defer cancel()
	return respondJSON(w, s.c.Rows.Status(ctx))
}
