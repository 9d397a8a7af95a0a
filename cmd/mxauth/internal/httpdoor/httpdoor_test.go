package httpdoor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/httpdoor"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/pkix"
)

func TestMain(m *testing.M) {
	// net/http waits half a second before it closes a connection whose request it did not read
	// to the end, and Close does not wait for that.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// A backend plans with an engine over records that the test has.
type backend struct {
	engine  *engine.Engine
	dns     *dnsfake.Resolver
	planned atomic.Int64
	// before is called before a plan is made; nil: nothing is.
	before func(ctx context.Context) error
	ready  error
	judge  chan struct{} // decisions wait for it; nil: they do not
}

func newBackend(t testing.TB) *backend {
	t.Helper()
	r := dnsfake.New()
	r.Zone("org", dnssec.Secure)
	r.SetClock(time.Now)
	r.Add("example.org. 300 IN MX 10 mx.example.org.", "mx.example.org. 300 IN A 192.0.2.1",
		"_25._tcp.mx.example.org. 300 IN TLSA 3 1 1 "+strings.Repeat("ab", 32))
	e, err := engine.New(engine.Config{Resolver: dnssec.NewCached(r, dnssec.CacheConfig{}), Roots: pkix.NewRoots()})
	if err != nil {
		t.Fatal(err)
	}
	return &backend{engine: e, dns: r}
}

func (b *backend) Defaults() engine.Request { return engine.Request{Sorted: true} }
func (b *backend) Plan(ctx context.Context, r engine.Request) (*engine.Plan, error) {
	b.planned.Add(1)
	if b.before != nil {
		if err := b.before(ctx); err != nil {
			return nil, err
		}
	}
	return b.engine.Plan(ctx, r)
}
func (b *backend) Check(ctx context.Context, r engine.Request) (mxauth.Verdict, error) {
	p, err := b.Plan(ctx, r)
	return mxauth.Verdict{Plan: p}, err
}
func (b *backend) Decide(p *engine.Plan, i int, peer engine.Peer) engine.Decision {
	if b.judge != nil {
		<-b.judge
	}
	return b.engine.Decide(p, i, peer, time.Now())
}
func (b *backend) Told(_ context.Context, form mtapolicy.Form, key, _ string) answers.Event {
	return answers.Event{Key: key, Form: form}
}
func (b *backend) Ready() error { return b.ready }

// rows are as short as they can be.
type rows struct{}

func (rows) Plan(asked string, p *engine.Plan) any {
	return map[string]any{"domain": asked, "hosts": len(p.Hosts), "level": p.Request.Level}
}
func (rows) Check(asked string, _ *mxauth.Verdict) any { return map[string]any{"domain": asked} }
func (rows) Decision(_ *engine.Plan, i int, d engine.Decision) any {
	return map[string]any{"host": i, "outcome": d.Outcome, "deliver": d.Deliver, "reason_id": d.Reason.ID}
}
func (rows) Told(e *answers.Event) any  { return map[string]any{"key": e.Key, "form": e.Form} }
func (rows) Status(context.Context) any { return map[string]any{} }

func config(t testing.TB) (httpdoor.Config, *backend) {
	b := newBackend(t)
	return httpdoor.Config{Backend: b, Rows: rows{}, Unix: true, Check: true}, b
}

// answer is what ServeHTTP makes of a request.
func answer(s http.Handler, r *http.Request) (status int, body string, h http.Header) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

func get(target string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://localhost"+target, nil)
	set(r, header)
	return r
}

func post(path, body string, header ...string) *http.Request {
	r := httptest.NewRequest("POST", "http://localhost"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	set(r, header)
	return r
}

func set(r *http.Request, header []string) {
	for i := 0; i < len(header); i += 2 {
		switch header[i] {
		case "Host":
			r.Host = header[i+1]
		case "Content-Type":
			r.Header.Set("Content-Type", header[i+1])
		default:
			r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
		}
	}
}

// reasonOf is the reason id of a problem.
func reasonOf(t *testing.T, status int, body string) string {
	t.Helper()
	var p struct {
		Status   int    `json:"status"`
		ReasonID string `json:"reason_id"`
		Type     string `json:"type"`
		Title    string `json:"title"`
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || status >= 400 && (p.Status != status || p.Title != http.StatusText(status) || p.Type != "about:blank") {
		t.Errorf("%d %s: %v", status, body, err)
	}
	return p.ReasonID
}

// TestRefused: what is refused, by which reason, and that nothing is looked up for it.
func TestRefused(t *testing.T) {
	c, b := config(t)
	s := httpdoor.New(c)
	const plan, decide = "/v1/plan?domain=example.org", `{"request":{"next_hop":"example.org"},"host":"mx.example.org","event":"no-starttls"}`
	for _, x := range []struct {
		name   string
		r      *http.Request
		status int
		reason string
	}{
		{"rebinding", get(plan, "Host", "attacker.example"), 421, "wrong-host"},
		{"rebinding with a port", get(plan, "Host", "attacker.example:8080"), 421, "wrong-host"},
		{"rebinding by a name like an address", get(plan, "Host", "127.0.0.1.attacker.example"), 421, "wrong-host"},
		{"no Host", get(plan, "Host", ""), 421, "wrong-host"},
		{"a zone in Host", get(plan, "Host", "[fe80::1%25eth0]"), 421, "wrong-host"},
		{"localhost as a parent", get(plan, "Host", "localhost.attacker.example"), 421, "wrong-host"},
		{"cross-site", get(plan, "Sec-Fetch-Site", "cross-site"), 403, "cross-site"},
		{"same-site", get(plan, "Sec-Fetch-Site", "same-site"), 403, "cross-site"},
		{"two words of a site", get(plan, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"), 403, "cross-site"},
		{"an old browser", get(plan, "Origin", "https://attacker.example"), 403, "cross-site"},
		{"an opaque origin", get(plan, "Origin", "null"), 403, "cross-site"},
		{"cross-site decide", post("/v1/decide", decide, "Sec-Fetch-Site", "cross-site"), 403, "cross-site"},
		{"cross-site check", post("/v1/check", decide, "Sec-Fetch-Site", "cross-site"), 403, "cross-site"},
		{"a form", post("/v1/decide", decide, "Content-Type", "text/plain"), 415, "wrong-media-type"},
		{"unknown parameter", get(plan + "&levle=dane"), 400, "bad-parameter"},
		{"parameter in capitals", get(plan + "&LEVEL=dane"), 400, "bad-parameter"},
		{"parameter twice", get(plan + "&domain=example.net"), 400, "bad-parameter"},
		{"semicolon", get(plan + ";level=dane"), 400, "bad-parameter"},
		{"bad escape", get(plan + "&level=%zz"), 400, "bad-parameter"},
		{"no domain", get("/v1/plan"), 400, "bad-parameter"},
		{"bad level", get(plan + "&level=high"), 400, "bad-parameter"},
		{"bad flag", get(plan + "&audit=1"), 400, "bad-parameter"},
		{"bad port", get(plan + "&port=0"), 400, "bad-parameter"},
		{"parameters of a file", get("/openapi.yaml?x"), 400, "bad-parameter"},
		{"double slash", get("//v1/plan?domain=example.org"), 404, "not-found"},
		{"dots", get("/v1/../v1/plan?domain=example.org"), 404, "not-found"},
		{"an escape", get("/v1/%70lan?domain=example.org"), 404, "not-found"},
		{"an escaped slash", get("/v1%2fplan?domain=example.org"), 404, "not-found"},
		{"a slash at the end", get("/v1/plan/?domain=example.org"), 404, "not-found"},
		{"capitals", get("/V1/plan?domain=example.org"), 404, "not-found"},
		{"a NUL", get("/v1/plan%00?domain=example.org"), 404, "not-found"},
		{"a parameter of the path", get("/v1/plan;x=1?domain=example.org"), 404, "not-found"},
		{"backslashes", get("/v1%5cplan?domain=example.org"), 404, "not-found"},
		{"a question mark escaped", get("/v1/plan%3Fdomain=example.org"), 404, "not-found"},
		{"dots in overlong UTF-8", get("/%c0%ae%c0%ae/etc/passwd"), 404, "not-found"},
		{"a file of docs that is not served", get("/serve.md"), 404, "not-found"},
		{"a space", get("/v1/plan%20?domain=example.org"), 404, "not-found"},
		{"out of the folder", get("/..%2f..%2fetc/passwd"), 404, "not-found"},
		{"a schema by a path", get("/schemas/../plan.schema.json"), 404, "not-found"},
		{"method", httptest.NewRequest("DELETE", "http://localhost/v1/plan?domain=example.org", nil), 405, "method-not-allowed"},
		{"method by a header", func() *http.Request {
			r := post("/v1/plan?domain=example.org", "", "X-Http-Method-Override", "GET")
			return r
		}(), 405, "method-not-allowed"},
		{"GET of decide", get("/v1/decide"), 405, "method-not-allowed"},
		{"GET with a body", func() *http.Request {
			r := httptest.NewRequest("GET", "http://localhost/v1/plan?domain=example.org", strings.NewReader("x"))
			return r
		}(), 400, "bad-body"},
		{"not JSON", post("/v1/decide", "domain=example.org"), 400, "bad-body"},
		{"two values", post("/v1/decide", decide+decide), 400, "bad-body"},
		{"unknown field", post("/v1/decide", strings.Replace(decide, `"host"`, `"hots":1,"host"`, 1)), 400, "bad-body"},
		{"a field in capitals", post("/v1/decide", strings.Replace(decide, `"event"`, `"Event"`, 1)), 400, "bad-body"},
		{"a field twice", post("/v1/decide", strings.Replace(decide, `"event"`, `"event":"no-connection","event"`, 1)), 400, "bad-body"},
		{"unknown field of the request", post("/v1/decide", strings.Replace(decide, `"next_hop"`, `"sorted":true,"next_hop"`, 1)), 400, "bad-body"},
		{"deep", post("/v1/decide", strings.Repeat("[", 10000)), 400, "bad-body"},
		{"version", post("/v1/decide", strings.Replace(decide, `{`, `{"v":2,`, 1)), 400, "bad-body"},
		{"another host", post("/v1/decide", strings.Replace(decide, `"mx.`, `"mx2.`, 1)), 404, "not-in-plan"},
		{"another port", post("/v1/check", `{"request":{"next_hop":"[mx.example.org]:22"}}`), 403, "port-not-allowed"},
		{"another port by its field", post("/v1/check", `{"request":{"next_hop":"example.org","port":6379}}`), 403, "port-not-allowed"},
		{"no domain", post("/v1/check", `{"request":{"next_hop":"a..b"}}`), 400, "bad-request"},
		{"large", post("/v1/decide", `{"host":"`+strings.Repeat("a", 1<<20)+`"}`), 413, "body-too-large"},
	} {
		t.Run(x.name, func(t *testing.T) {
			before := b.planned.Load()
			status, body, h := answer(s, x.r)
			if reason := reasonOf(t, status, body); status != x.status || reason != x.reason {
				t.Errorf("%d %s, want %d %s: %s", status, reason, x.status, x.reason, body)
			}
			if h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/problem+json" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%v", h)
			}
			if n := b.planned.Load() - before; n > 0 && x.reason != "not-in-plan" {
				t.Errorf("%d plans were made for a request that is refused", n)
			}
		})
	}
}

// TestAdmitted: names and origins that are good.
func TestAdmitted(t *testing.T) {
	c, _ := config(t)
	c.Names = []string{"mx.example.com", "other.example.com:8443"}
	unix := httpdoor.New(c)
	c.Unix = false
	tcp := httpdoor.New(c)
	for _, x := range []struct {
		header    []string
		unix, tcp bool
	}{
		{[]string{"Host", "localhost"}, true, true},
		{[]string{"Host", "LOCALHOST:80"}, true, true},
		{[]string{"Host", "127.0.0.1:8461"}, true, true},
		{[]string{"Host", "[::1]:8461"}, true, true},
		{[]string{"Host", "[::1]"}, true, true},
		{[]string{"Host", "192.0.2.7"}, true, true},
		{[]string{"Host", "mxauth"}, true, false},     // no page has that name, and none reaches a socket
		{[]string{"Host", "2130706433"}, true, false}, // 127.0.0.1 as some programs read it
		{[]string{"Host", "0x7f.1"}, false, false},
		{[]string{"Host", "localhost."}, false, false},
		{[]string{"Host", "localhost:80:80"}, false, false},
		{[]string{"Host", "localhost@attacker.example"}, false, false},
		{[]string{"Host", "attacker.example#localhost"}, false, false},
		{[]string{"Host", "[::1%25lo]"}, false, false},
		{[]string{"Host", "mx.example.com"}, true, true},
		{[]string{"Host", "MX.example.com:443"}, true, true},
		{[]string{"Host", "other.example.com:8443"}, true, true},
		{[]string{"Host", "mx.example.com.attacker.example"}, false, false},
		{[]string{"Sec-Fetch-Site", "same-origin"}, true, true},
		{[]string{"Sec-Fetch-Site", "none"}, true, true},
		{[]string{"Origin", "http://localhost"}, true, true},
	} {
		for name, s := range map[string]*httpdoor.Server{"unix": unix, "tcp": tcp} {
			want := x.unix
			if name == "tcp" {
				want = x.tcp
			}
			if status, body, _ := answer(s, get("/v1/plan?domain=example.org", x.header...)); (status == 200) != want {
				t.Errorf("%s %q: %d %s", name, x.header, status, body)
			}
		}
	}
}

// TestPlanKept: the answer to a plan that is kept is the same, and one that is made again is
// answered again.
func TestPlanKept(t *testing.T) {
	c, b := config(t)
	s := httpdoor.New(c)
	ask := func(query string) string {
		status, body, _ := answer(s, get("/v1/plan?"+query))
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		return body
	}
	first := ask("domain=example.org")
	for range 3 {
		if got := ask("domain=example.org"); got != first {
			t.Errorf("%s, before %s", got, first)
		}
	}
	if got := ask("domain=example.org&level=dane"); !strings.Contains(got, `"level":"dane"`) {
		t.Errorf("another level: %s", got)
	}
	if got := ask("level=dane&domain=example.org"); !strings.Contains(got, `"level":"dane"`) {
		t.Errorf("another order: %s", got)
	}
	if got := ask("domain=EXAMPLE.org"); !strings.Contains(got, "EXAMPLE.org") {
		t.Errorf("the domain is not as asked: %s", got)
	}
	b.engine.Forget()
	if got := ask("domain=example.org"); got != first {
		t.Errorf("made anew: %s", got)
	}
	status, body, _ := answer(s, httptest.NewRequest("HEAD", "http://localhost/v1/plan?domain=example.org", nil))
	if status != 200 {
		t.Errorf("HEAD: %d %s", status, body)
	}
}

// TestChecksLimited: six checks a minute for each client, and one more every ten seconds.
func TestChecksLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := config(t)
		s := httpdoor.New(c)
		check := func(address string) (int, http.Header) {
			r := post("/v1/check", `{"request":{"next_hop":"example.org"}}`)
			r.RemoteAddr = address
			status, _, h := answer(s, r)
			return status, h
		}
		for i := range 6 {
			if status, _ := check("192.0.2.1:1000"); status != 200 {
				t.Errorf("check %d: %d", i, status)
			}
		}
		if status, h := check("192.0.2.1:2000"); status != 429 || h.Get("Retry-After") == "" {
			t.Errorf("the seventh: %d %v", status, h)
		}
		if status, _ := check("192.0.2.2:1000"); status != 200 {
			t.Errorf("another client: %d", status)
		}
		for i := range 7 { // one network is one client
			if status, _ := check(fmt.Sprintf("[2001:db8::%d]:1000", i)); (status == 200) != (i < 6) {
				t.Errorf("IPv6 %d: %d", i, status)
			}
		}
		time.Sleep(10 * time.Second)
		if status, _ := check("192.0.2.1:3000"); status != 200 {
			t.Errorf("after ten seconds: %d", status)
		}
		if status, _ := check("192.0.2.1:4000"); status != 429 {
			t.Errorf("a second one after ten seconds: %d", status)
		}
	})
	c, _ := config(t)
	c.Check = false
	if status, body, _ := answer(httpdoor.New(c), post("/v1/check", `{"request":{"next_hop":"example.org"}}`)); status != 403 || reasonOf(t, status, body) != "check-not-offered" {
		t.Errorf("not offered: %d %s", status, body)
	}
}

// TestLate: an answer that is not found in 30 seconds is 504.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := config(t)
		b.before = func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
		begun := time.Now()
		status, body, _ := answer(httpdoor.New(c), get("/v1/plan?domain=example.org"))
		if reasonOf(t, status, body) != "late" || status != 504 || time.Since(begun) != 30*time.Second {
			t.Errorf("%d %s after %v", status, body, time.Since(begun))
		}
	})
}

// TestReady: 503 with the cause until the daemon is ready.
func TestReady(t *testing.T) {
	c, b := config(t)
	b.ready = errors.New("no chain was proved")
	s := httpdoor.New(c)
	if status, body, _ := answer(s, get("/readyz")); status != 503 || !strings.Contains(body, "no chain was proved") {
		t.Errorf("%d %s", status, body)
	}
	b.ready = nil
	if status, body, _ := answer(s, get("/readyz")); status != 200 || body != "ready\n" {
		t.Errorf("%d %s", status, body)
	}
}

// TestPage: the page has the paths that are not of the API, after the same checks.
func TestPage(t *testing.T) {
	c, _ := config(t)
	c.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page "+r.URL.Path) })
	s := httpdoor.New(c)
	for target, want := range map[string]string{"/": "page /", "/style.css": "page /style.css", "/healthz": "ok\n"} {
		if _, body, _ := answer(s, get(target)); body != want {
			t.Errorf("%s: %q", target, body)
		}
	}
	for _, target := range []string{"/v1/", "/v1/plan/", "/v1/no-such-path"} {
		if status, body, _ := answer(s, get(target)); status != 404 || !strings.Contains(body, `"reason_id":"not-found"`) {
			t.Errorf("%s: %d %q", target, status, body)
		}
	}
	if status, _, _ := answer(s, get("/", "Host", "attacker.example")); status != 421 {
		t.Errorf("rebinding of the page: %d", status)
	}
}
