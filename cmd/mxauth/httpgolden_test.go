package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/smtp"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxauth/mxauth/docs"
)

// httpWorlds are the worlds of the lab that testdata/http asks about.
var httpWorlds = strings.Fields(`dane-ee dane-ta sts-enforce sts-testing tlsa-mismatch half-dane one-of-two null-mx no-such-domain
	stripped-sts stripped-nothing mx-servfail tlsa-servfail idn alias-under-enforce requiretls-not-offered`)

const (
	httpToken = "0123456789abcdef0123456789abcdef"
	// itsChain is the chain of a mail host in a request.
	itsChain = "CHAIN"
)

// An httpCase is one question of testdata/http. The file with its name has the answer.
type httpCase struct {
	name   string
	ask    string   // method and target
	header []string // name and value in turn
	body   string   // JSON; itsChain is the chain of host
	host   string
	status int
	// unkept says that the plan is not kept: the test does not wait until it is.
	unkept bool
}

// httpCases are the questions to a daemon on a unix socket.
var httpCases = []httpCase{
	{name: "plan-dane", ask: "GET /v1/plan?domain=dane-ee.test", status: 200},
	{name: "plan-sts", ask: "GET /v1/plan?domain=sts-enforce.test", status: 200},
	{name: "plan-sts-testing", ask: "GET /v1/plan?domain=sts-testing.test", status: 200},
	{name: "plan-half-dane", ask: "GET /v1/plan?domain=half-dane.test", status: 200},
	{name: "plan-two-hosts", ask: "GET /v1/plan?domain=one-of-two.test", status: 200},
	{name: "plan-alias", ask: "GET /v1/plan?domain=alias-under-enforce.test", status: 200},
	{name: "plan-unicode", ask: "GET /v1/plan?domain=b%C3%BCcher.test", status: 200},
	{name: "plan-nothing", ask: "GET /v1/plan?domain=stripped-nothing.test", status: 200},
	{name: "plan-null-mx", ask: "GET /v1/plan?domain=null-mx.test", status: 200},
	{name: "plan-no-such-domain", ask: "GET /v1/plan?domain=no-such-domain.test", status: 200},
	{name: "plan-servfail", ask: "GET /v1/plan?domain=mx-servfail.test", status: 200, unkept: true},
	{name: "plan-literal", ask: "GET /v1/plan?domain=%5B192.0.2.1%5D:587", status: 200},
	{name: "plan-secure", ask: "GET /v1/plan?domain=stripped-nothing.test&level=secure&names=mail.example.org,mx.example.org", status: 200},
	{name: "plan-requiretls", ask: "GET /v1/plan?domain=sts-enforce.test&requiretls=true", status: 200},
	{name: "plan-tls-required-no", ask: "GET /v1/plan?domain=tlsa-mismatch.test&tls_required_no=true", status: 200},
	{name: "plan-opportunistic", ask: "GET /v1/plan?domain=dane-ee.test&level=opportunistic", status: 200},
	{name: "plan-submission", ask: "GET /v1/plan?domain=sts-enforce.test&port=587", status: 200},
	{name: "plan-head", ask: "HEAD /v1/plan?domain=dane-ee.test", status: 200, unkept: true},
	{name: "plan-no-domain", ask: "GET /v1/plan", status: 400},
	{name: "plan-bad-domain", ask: "GET /v1/plan?domain=a..b", status: 400},
	{name: "plan-hostile-domain", ask: "GET /v1/plan?domain=%1B%5B31m%E2%80%AEevil%00.test", status: 400},
	{name: "plan-address", ask: "GET /v1/plan?domain=postmaster%40dane-ee.test", status: 400},
	{name: "plan-file", ask: "GET /v1/plan?domain=/etc/passwd", status: 400},
	{name: "plan-unknown-parameter", ask: "GET /v1/plan?domain=dane-ee.test&levle=dane", status: 400},
	{name: "plan-parameter-twice", ask: "GET /v1/plan?domain=dane-ee.test&domain=sts-enforce.test", status: 400},
	{name: "plan-bad-level", ask: "GET /v1/plan?domain=dane-ee.test&level=high", status: 400},
	{name: "plan-bad-port", ask: "GET /v1/plan?domain=dane-ee.test&port=70000", status: 400},
	{name: "plan-names-without-level", ask: "GET /v1/plan?domain=dane-ee.test&names=mx.example.org", status: 400},
	{name: "plan-cross-site", ask: "GET /v1/plan?domain=dane-ee.test", header: []string{"Sec-Fetch-Site", "cross-site"}, status: 403},
	{name: "plan-rebinding", ask: "GET /v1/plan?domain=dane-ee.test", header: []string{"Host", "attacker.example"}, status: 421},
	{name: "plan-post", ask: "POST /v1/plan?domain=dane-ee.test", status: 405},

	{name: "policy-dane", ask: "GET /v1/policy?key=dane-ee.test", status: 200},
	{name: "policy-sts", ask: "GET /v1/policy?key=sts-enforce.test&form=QUERY", status: 200},
	{name: "policy-extended", ask: "GET /v1/policy?key=sts-enforce.test&form=QUERYwithTLSRPT", status: 200},
	{name: "policy-sendmail", ask: "GET /v1/policy?key=sts-enforce.test&form=sts", status: 200},
	{name: "policy-exim", ask: "GET /v1/policy?key=one-of-two.test&form=exim&host=mx1.one-of-two.test", status: 200},
	{name: "policy-exim-domain", ask: "GET /v1/policy?key=one-of-two.test&form=exim", status: 200},
	{name: "policy-exim-other-host", ask: "GET /v1/policy?key=one-of-two.test&form=exim&host=mx.attacker.example", status: 200},
	{name: "policy-deviation", ask: "GET /v1/policy?key=dane-ta.test", status: 200},
	{name: "policy-nothing", ask: "GET /v1/policy?key=stripped-nothing.test", status: 200},
	{name: "policy-servfail", ask: "GET /v1/policy?key=tlsa-servfail.test", status: 200},
	{name: "policy-parent", ask: "GET /v1/policy?key=.test", status: 200},
	{name: "policy-no-domain", ask: "GET /v1/policy?key=a..b", status: 200},
	{name: "policy-no-key", ask: "GET /v1/policy", status: 400},
	{name: "policy-bad-form", ask: "GET /v1/policy?key=dane-ee.test&form=postfix", status: 400},
	{name: "policy-host-without-exim", ask: "GET /v1/policy?key=dane-ee.test&host=mx.dane-ee.test", status: 400},

	{name: "decide-dane", ask: "POST /v1/decide", host: "mx.dane-ee.test", status: 200,
		body: `{"v":1,"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test","tls":"TLS 1.3","chain":["CHAIN"]}`},
	{name: "decide-dane-ta", ask: "POST /v1/decide", host: "mx.dane-ta.test", status: 200,
		body: `{"v":1,"request":{"next_hop":"dane-ta.test"},"host":"mx.dane-ta.test","tls":"TLSv1.3","chain":["CHAIN"]}`},
	{name: "decide-sts", ask: "POST /v1/decide", host: "mx.sts-enforce.test", status: 200,
		body: `{"v":1,"request":{"next_hop":"sts-enforce.test"},"host":"mx.sts-enforce.test","tls":"TLS 1.3","chain":["CHAIN"]}`},
	{name: "decide-mismatch", ask: "POST /v1/decide", host: "mx.tlsa-mismatch.test", status: 200,
		body: `{"v":1,"request":{"next_hop":"tlsa-mismatch.test"},"host":"mx.tlsa-mismatch.test","tls":"TLS 1.3","chain":["CHAIN"]}`},
	{name: "decide-wrong-name", ask: "POST /v1/decide", host: "mx.dane-ee.test", status: 200,
		body: `{"v":1,"request":{"next_hop":"sts-enforce.test"},"host":"mx.sts-enforce.test","tls":"TLS 1.3","chain":["CHAIN"]}`},
	{name: "decide-old-tls", ask: "POST /v1/decide", host: "mx.dane-ee.test", status: 200,
		body: `{"v":1,"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test","tls":"TLS 1.1","chain":["CHAIN"]}`},
	{name: "decide-stripped", ask: "POST /v1/decide", status: 200,
		body: `{"v":1,"request":{"next_hop":"stripped-sts.test"},"host":"mx.stripped-sts.test","event":"no-starttls"}`},
	{name: "decide-no-connection", ask: "POST /v1/decide", status: 200,
		body: `{"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test","event":"no-connection","detail":"connection refused"}`},
	{name: "decide-handshake", ask: "POST /v1/decide", status: 200,
		body: `{"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test","address":"192.0.2.1:25","event":"handshake-failed","detail":"remote error: tls: handshake failure"}`},
	{name: "decide-audit", ask: "POST /v1/decide", status: 200,
		body: `{"request":{"next_hop":"dane-ee.test","options":{"audit":true}},"host":"mx.dane-ee.test","event":"no-starttls","code":454}`},
	{name: "decide-requiretls", ask: "POST /v1/decide", host: "mx.requiretls-not-offered.test", status: 200,
		body: `{"request":{"next_hop":"requiretls-not-offered.test","requiretls":true},"host":"mx.requiretls-not-offered.test","tls":"TLS 1.3","chain":["CHAIN"]}`},
	{name: "decide-raw-key", ask: "POST /v1/decide", status: 200,
		body: `{"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test","tls":"TLS 1.3","raw_key":"AAAA"}`},
	{name: "decide-junk", ask: "POST /v1/decide", status: 200,
		body: `{"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test","tls":"TLS 1.3","chain":["AAAA"]}`},
	{name: "decide-other-host", ask: "POST /v1/decide", status: 404,
		body: `{"request":{"next_hop":"dane-ee.test"},"host":"mx.attacker.example","event":"no-starttls"}`},
	{name: "decide-bad-domain", ask: "POST /v1/decide", status: 400,
		body: `{"request":{"next_hop":"../../etc/passwd"},"host":"mx","event":"no-starttls"}`},
	{name: "decide-nothing-shown", ask: "POST /v1/decide", status: 400, body: `{"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test"}`},
	{name: "decide-unknown-field", ask: "POST /v1/decide", status: 400,
		body: `{"request":{"next_hop":"dane-ee.test","sorted":true},"host":"mx.dane-ee.test","event":"no-starttls"}`},
	{name: "decide-field-twice", ask: "POST /v1/decide", status: 400,
		body: `{"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test","event":"no-starttls","event":"no-connection"}`},
	{name: "decide-version", ask: "POST /v1/decide", status: 400, body: `{"v":2,"request":{"next_hop":"dane-ee.test"},"host":"mx.dane-ee.test","event":"no-starttls"}`},
	{name: "decide-not-json", ask: "POST /v1/decide", status: 415, header: []string{"Content-Type", "text/plain"}, body: `{}`},
	{name: "decide-get", ask: "GET /v1/decide", status: 405},

	{name: "status", ask: "GET /v1/status", status: 200},
	{name: "status-parameter", ask: "GET /v1/status?verbose=1", status: 400},
	{name: "healthz", ask: "GET /healthz", status: 200},
	{name: "readyz", ask: "GET /readyz", status: 200},
	{name: "metrics", ask: "GET /metrics", status: 200},
	{name: "not-found", ask: "GET /v2/plan?domain=dane-ee.test", status: 404},
	{name: "no-page", ask: "GET /", status: 404},
	{name: "dots", ask: "GET /v1/../v1/plan?domain=dane-ee.test", status: 404},
	{name: "check-bad-port", ask: "POST /v1/check", status: 403, body: `{"request":{"next_hop":"[mx.dane-ee.test]:6379"}}`},
	{name: "check-bad-domain", ask: "POST /v1/check", status: 400, body: `{"request":{"next_hop":"a..b","port":25}}`},
}

// httpChecks are the questions of one client that may begin six checks a minute.
var httpChecks = []httpCase{
	{name: "check-dane", ask: "POST /v1/check", status: 200, body: `{"v":1,"request":{"next_hop":"dane-ee.test"}}`},
	{name: "check-sts", ask: "POST /v1/check", status: 200, body: `{"v":1,"request":{"next_hop":"sts-enforce.test"}}`},
	{name: "check-mismatch", ask: "POST /v1/check", status: 200, body: `{"v":1,"request":{"next_hop":"tlsa-mismatch.test"}}`},
	{name: "check-half-dane", ask: "POST /v1/check", status: 200, body: `{"v":1,"request":{"next_hop":"half-dane.test"}}`},
	{name: "check-two-hosts", ask: "POST /v1/check", status: 200, body: `{"v":1,"request":{"next_hop":"one-of-two.test"}}`},
	{name: "check-servfail", ask: "POST /v1/check", status: 200, body: `{"v":1,"request":{"next_hop":"mx-servfail.test"}}`},
	{name: "check-too-many", ask: "POST /v1/check", status: 429, body: `{"v":1,"request":{"next_hop":"null-mx.test"}}`},
}

// httpClosed are the questions to a daemon that wants a token, offers no checks and can prove
// nothing, since its anchor is of another root.
var httpClosed = []httpCase{
	{name: "no-token", ask: "GET /v1/plan?domain=dane-ee.test", status: 401},
	{name: "wrong-token", ask: "GET /healthz", status: 401, header: []string{"Authorization", "Bearer 0" + httpToken[1:31] + "0"}},
	{name: "token", ask: "GET /healthz", status: 200, header: []string{"Authorization", "Bearer " + httpToken}},
	{name: "not-ready", ask: "GET /readyz", status: 503, header: []string{"Authorization", "Bearer " + httpToken}},
	{name: "status-not-ready", ask: "GET /v1/status", status: 200, header: []string{"Authorization", "Bearer " + httpToken}},
	{name: "plan-not-proved", ask: "GET /v1/plan?domain=dane-ee.test", status: 200, unkept: true, header: []string{"Authorization", "Bearer " + httpToken}},
	{name: "policy-not-proved", ask: "GET /v1/policy?key=dane-ee.test", status: 200, header: []string{"Authorization", "Bearer " + httpToken}},
	{name: "check-not-offered", ask: "POST /v1/check", status: 403, header: []string{"Authorization", "Bearer " + httpToken},
		body: `{"request":{"next_hop":"dane-ee.test"}}`},
}

// httpAudit are the questions to a daemon in audit mode, 20 seconds one after the other.
var httpAudit = []httpCase{
	{name: "audit-policy", ask: "GET /v1/policy?key=dane-ee.test", status: 200},
	{name: "audit-policy-kept", ask: "GET /v1/policy?key=dane-ee.test", status: 200},
}

// bodySchemas are the schemas of answers that are no problems, by path.
var bodySchemas = map[string]string{"/v1/plan": "plan", "/v1/policy": "policy", "/v1/decide": "decision", "/v1/check": "check", "/v1/status": "status"}

// An httpGoldens holds answers to testdata/http.
type httpGoldens struct {
	*testing.T
	d       *served
	lab     *testLab
	schemas map[string]*schema
	files   map[string]bool
}

// TestHTTPGolden holds the bodies that a daemon sends over HTTP to testdata/http, and to
// the schemas in docs. `go test ./cmd/mxauth -run TestHTTPGolden -update` writes them.
func TestHTTPGolden(t *testing.T) {
	g := &httpGoldens{T: t, lab: startLab(t, serveWorlds(t, httpWorlds...), goldenClock), schemas: map[string]*schema{}, files: map[string]bool{}}
	t.Run("open", func(t *testing.T) {
		c := g.start(t, g.lab, "")
		g.warm(t, c)
		for i := range httpCases {
			g.ask(t, c, &httpCases[i])
		}
		g.documents(t, c)
	})
	t.Run("check", func(t *testing.T) {
		c := g.start(t, g.lab, "")
		g.warm(t, c)
		for i := range httpChecks {
			g.ask(t, c, &httpChecks[i])
		}
	})
	t.Run("closed", func(t *testing.T) {
		l := *g.lab
		l.anchor = testFile(t, "other.ds", []byte(". IN DS 1 13 2 "+strings.Repeat("00", 32)+"\n"))
		c := g.start(t, &l, fmt.Sprintf("check = false\ntoken-file = %q\n", testFile(t, "token", []byte(httpToken+"\n"))))
		for i := range httpClosed {
			g.ask(t, c, &httpClosed[i])
		}
	})
	t.Run("private", func(t *testing.T) {
		d, c := newHTTP(t, g.lab, "")
		text := readFile(t, d.config)
		without := strings.Replace(text, "allow-address = [\"127.0.0.0/8\"]\n", "", 1)
		if without == text {
			t.Fatal(text)
		}
		write(t, d.config, without)
		d.now, g.d = goldenClock, d
		d.start()
		g.ask(t, c, &httpCase{name: "check-private-address", ask: "POST /v1/check", status: 200, body: `{"request":{"next_hop":"stripped-nothing.test"}}`})
	})
	t.Run("audit", func(t *testing.T) {
		var seconds atomic.Int64
		c := g.startAt(t, g.lab, func() time.Time { return goldenClock().Add(time.Duration(seconds.Load()) * time.Second) }, "[policy]\naudit = true\n")
		g.warm(t, c)
		for i := range httpAudit {
			g.ask(t, c, &httpAudit[i])
			seconds.Add(20)
		}
	})
	t.Run("faults", g.faults)
	for name, excused := range map[string][]string{
		"problem": nil, "policy": nil,
		"decision": {".exception"}, // the daemon has none; script exceptions has
	} {
		s := g.schemas[name]
		if s == nil {
			t.Errorf("no answer is as %s.schema.json says", name)
			continue
		}
		if got := s.unseen(); !slices.Equal(got, excused) {
			t.Errorf("%s.schema.json: no answer has %q, excused are %q", name, got, excused)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "http", "*"))
	if err != nil || len(files) != len(g.files) {
		t.Errorf("%d files for %d answers, %v", len(files), len(g.files), err)
	}
}

// warm has the daemon plan every world, forget the plans, and make them again, so that all
// rest on policies that are kept. Whether a first plan is made before or after the policy is
// kept is left to chance.
func (g *httpGoldens) warm(t *testing.T, c *httpClient) {
	c.t = t
	plan := func() {
		for _, w := range g.lab.Worlds() {
			if strings.HasSuffix(w.Name, "-servfail") {
				continue // not kept
			}
			target := "/v1/plan?domain=" + url.QueryEscape(w.Domain)
			eventually(t, target, func() bool {
				_, answer, _ := c.ask("GET", target, "")
				return strings.Contains(answer, `"kept_until"`)
			})
		}
	}
	plan()
	g.d.reload()
	plan()
}

// start starts a daemon at goldenClock.
func (g *httpGoldens) start(t *testing.T, l *testLab, extra string) *httpClient {
	return g.startAt(t, l, goldenClock, extra)
}

func (g *httpGoldens) startAt(t *testing.T, l *testLab, now func() time.Time, extra string) (c *httpClient) {
	g.d, c = startHTTPAt(t, l, now, extra)
	return c
}

// ask asks a question and holds its answer to the file.
func (g *httpGoldens) ask(t *testing.T, c *httpClient, x *httpCase) {
	t.Run(x.name, func(t *testing.T) {
		method, target, _ := strings.Cut(x.ask, " ")
		c.t = t
		body := x.body
		if before, after, ok := strings.Cut(body, itsChain); ok {
			body = before + strings.Join(g.chain(t, c, x.host), `","`) + after
		}
		header := x.header
		var status int
		var answer string
		var h http.Header
		settled := func() bool {
			status, answer, h = c.ask(method, target, body, header...)
			switch path, _, _ := strings.Cut(target, "?"); {
			case path == "/v1/plan" && status == http.StatusOK && !x.unkept:
				// Until every lookup has ended, also those that do not decide.
				return strings.Contains(answer, `"kept_until"`)
			case path == "/readyz":
				return status == x.status && !strings.Contains(answer, errUnproved.Error()+`"`)
			}
			return true
		}
		eventually(t, x.ask, settled)
		g.hold(t, x, status, answer, h)
	})
}

// hold holds an answer to the file and to its schema.
func (g *httpGoldens) hold(t *testing.T, x *httpCase, status int, answer string, h http.Header) {
	t.Helper()
	if status != x.status {
		t.Errorf("%d, want %d: %s", status, x.status, answer)
	}
	_, target, _ := strings.Cut(x.ask, " ")
	path, _, _ := strings.Cut(target, "?")
	name := bodySchemas[path]
	if status >= http.StatusBadRequest {
		name = "problem"
	}
	text := answer
	if name != "" && answer != "" {
		s := g.schemas[name]
		if s == nil {
			var err error
			if s, err = loadSchema(name); err != nil {
				t.Fatal(err)
			}
			g.schemas[name] = s
		}
		if err := s.validate([]byte(answer)); err != nil {
			t.Errorf("%v\n%s", err, answer)
		}
		if strings.Index(answer, "\n") != len(answer)-1 {
			t.Errorf("not one line: %q", answer)
		}
		var b bytes.Buffer
		if err := json.Indent(&b, []byte(answer), "", "  "); err != nil {
			t.Fatal(err)
		}
		text = b.String()
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", x.ask)
	for i := 0; i < len(x.header); i += 2 {
		fmt.Fprintf(&out, "%s: %s\n", x.header[i], x.header[i+1])
	}
	if x.body != "" {
		fmt.Fprintf(&out, "\n%s\n", x.body)
	}
	fmt.Fprintf(&out, "\n%d %s\n", status, http.StatusText(status))
	for _, name := range []string{"Allow", "Cache-Control", "Connection", "Content-Type", "Retry-After", "Www-Authenticate", "X-Content-Type-Options"} {
		if v := h.Values(name); len(v) > 0 {
			fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(v, ", "))
		}
	}
	g.files[x.name] = true
	golden(t, filepath.Join("testdata", "http", x.name), out.String()+"\n"+g.stable(path, text))
}

// httpMeasured is what a daemon measures.
var httpMeasured = regexp.MustCompile(`"(rtt_ms|bytes|lookups)": [0-9.e-]+`)

// countedHere are the metrics that the questions here alone decide.
var countedHere = regexp.MustCompile(`^mxauth_http_requests_total\{path="(/v1/decide|/v1/check|/healthz|other)"`)

// stable takes what differs from run to run out of an answer.
func (g *httpGoldens) stable(path, answer string) string {
	if path == "/metrics" { // docs/metrics.md has the others
		var kept []string
		for line := range strings.Lines(answer) {
			if countedHere.MatchString(line) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	answer = strings.ReplaceAll(answer, g.d.dir, "/run/mxauth")
	answer = httpMeasured.ReplaceAllString(answer, `"$1": 0`)
	return strings.ReplaceAll(plainAnswer(answer), g.lab.Plain().String(), "ADDRESS")
}

// chain is what a mail host of the lab shows in its handshake, as base64.
func (g *httpGoldens) chain(t *testing.T, c *httpClient, host string) (out []string) {
	t.Helper()
	_, domain, _ := strings.Cut(host, ".")
	_, text, _ := c.ask("GET", "/v1/plan?domain="+domain, "")
	var plan planRow
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatal(err)
	}
	for _, h := range plan.Hosts {
		if h.Host != host {
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		conn, err := g.lab.Dial(ctx, netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprint(h.Addresses[0])), 25))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client, err := smtp.NewClient(conn, host)
		if err == nil {
			err = client.StartTLS(&tls.Config{ServerName: host, InsecureSkipVerify: true}) // it is the daemon that verifies
		}
		if err != nil {
			t.Fatal(err)
		}
		state, _ := client.TLSConnectionState()
		for _, cert := range state.PeerCertificates {
			out = append(out, base64.StdEncoding.EncodeToString(cert.Raw))
		}
		return out
	}
	t.Fatalf("no host %s: %s", host, text)
	return nil
}

// documents holds the files of docs that are served to those files.
func (g *httpGoldens) documents(t *testing.T, c *httpClient) {
	c.t = t
	for _, name := range append(docs.Schemas(), "openapi.yaml") {
		want, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		status, got, h := c.ask("GET", "/"+name, "")
		mediaType := "application/schema+json"
		if name == "openapi.yaml" {
			mediaType = "application/yaml"
		}
		if status != http.StatusOK || got != string(want) || h.Get("Content-Type") != mediaType {
			t.Errorf("%s: %d, %s, %d bytes for %d", name, status, h.Get("Content-Type"), len(got), len(want))
		}
	}
}

// faults holds the answers of a daemon that has a fault.
func (g *httpGoldens) faults(t *testing.T) {
	for _, x := range []struct {
		httpCase
		backend faulty
	}{
		{httpCase{name: "internal-error", ask: "GET /v1/policy?key=dane-ee.test", status: 500}, faulty{panics: true}},
		{httpCase{name: "late", ask: "GET /v1/plan?domain=dane-ee.test", status: 504}, faulty{plan: context.DeadlineExceeded}},
		{httpCase{name: "busy", ask: "GET /v1/plan?domain=dane-ee.test", status: 503}, faulty{plan: context.Canceled}},
		{httpCase{name: "store-lost", ask: "GET /readyz", status: 503}, faulty{ready: errors.New("the store is lost: dial tcp 127.0.0.1:6379: connect: connection refused")}},
		{httpCase{name: "chunks", ask: "POST /v1/decide", status: 411, header: []string{"Transfer-Encoding", "chunked"}, body: "{}"}, faulty{}},
		{httpCase{name: "body-too-large", ask: "POST /v1/decide", status: 413, header: []string{"Content-Length", "1048577"}}, faulty{}},
		{httpCase{name: "body-of-get", ask: "GET /v1/status", status: 400, header: []string{"Content-Length", "2"}, body: "{}"}, faulty{}},
	} {
		t.Run(x.name, func(t *testing.T) {
			method, target, _ := strings.Cut(x.ask, " ")
			r := httptest.NewRequest(method, "http://localhost"+target, strings.NewReader(x.body))
			r.Header.Set("Content-Type", "application/json")
			if x.body == "" {
				r.Body, r.ContentLength = http.NoBody, 0
			}
			if x.name == "chunks" {
				r.TransferEncoding, r.ContentLength = []string{"chunked"}, -1
			}
			if x.name == "body-too-large" {
				r.ContentLength = 1<<20 + 1
			}
			resp := serveFaulty(x.backend, r)
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			g.hold(t, &x.httpCase, resp.StatusCode, string(body), resp.Header)
		})
	}
}
