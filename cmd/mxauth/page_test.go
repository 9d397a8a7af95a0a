package main

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mxauth/mxauth/advise/ladder"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/docs"
)

// A pageServer is a daemon with the page.
type pageServer struct {
	*served
	base    string
	minutes atomic.Int64 // that its clock is ahead
}

// startPage starts a daemon whose HTTP listener has the page, about worlds of the lab.
func startPage(t *testing.T, worlds ...string) *pageServer {
	t.Helper()
	l := startLab(t, serveWorlds(t, worlds...), nil)
	p := &pageServer{served: newServed(t, l, "[[listen]]\ndoor = \"http\"\naddress = \"inet:127.0.0.1:0\"\npage = true\n")}
	p.now = func() time.Time { return time.Now().Add(time.Duration(p.minutes.Load()) * time.Minute) }
	p.start()
	p.log.await(t, "http=tcp:127.0.0.1:", 1)
	m := regexp.MustCompile(`http=tcp:(127\.0\.0\.1:\d+)`).FindStringSubmatch(p.log.String())
	if m == nil {
		t.Fatalf("no HTTP listener:\n%s", p.log)
	}
	p.base = "http://" + m[1]
	return p
}

// later lets a client begin checks again.
func (p *pageServer) later() { p.minutes.Add(1) }

// send sends a request as curl does, without cookies.
func send(t *testing.T, method, target, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// pictures are the pictures in a page.
var pictures = regexp.MustCompile(`(?s)<svg .*?</svg>`)

// maxPageWeight is how many bytes the page has with its style and without its picture.
const maxPageWeight = 40_000

// TestPagePlain uses the page as curl does: no cookies, no scripts.
func TestPagePlain(t *testing.T) {
	p := startPage(t, "one-of-two", "tlsa-mismatch", "classic-mismatch", "idn", "sts-enforce")
	resp, form := send(t, "GET", p.base+"/", "")
	if resp.StatusCode != 200 || !strings.Contains(form, `<form method="post" action="/" class="ask">`) {
		t.Fatalf("%s:\n%s", resp.Status, form)
	}
	const want = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	if got := resp.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %q", got)
	}
	_, css := send(t, "GET", p.base+"/page.css", "")
	for domain, says := range map[string]string{
		"one-of-two.test":     "Authenticated by dane-ee; 1 of 2 hosts would be authenticated",
		"tlsa-mismatch.test":  "refused (4.7.5)",
		"classic.example":     "encrypted, not authenticated; 0 of 5 hosts would be authenticated",
		"bücher.test":         "xn--bcher-kva.test",
		" sts-enforce.test\n": "passes by its Common Name",
	} {
		p.later()
		resp, page := send(t, "POST", p.base+"/", url.Values{"domain": {domain}}.Encode())
		if resp.StatusCode != 200 || !strings.Contains(strings.ToLower(page), strings.ToLower(says)) {
			t.Errorf("%q: %s, without %q:\n%s", domain, resp.Status, says, page)
			continue
		}
		if h := resp.Header; len(h["Set-Cookie"]) > 0 || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: header %v", domain, h)
		}
		if m := regexp.MustCompile(`(?i)<script|<style| style=| on[a-z]+=|javascript:|(src|action)="https?:`).FindString(page); m != "" {
			t.Errorf("%q: the page has %q", domain, m)
		}
		if n := len(pictures.FindAllString(page, -1)); n != 2 {
			t.Errorf("%q: %d pictures, want a wide and a narrow one", domain, n)
		}
		weight := len(pictures.ReplaceAllString(page, "")) + len(css)
		t.Logf("%q: %d bytes with the style and without the picture", strings.TrimSpace(domain), weight)
		if weight > maxPageWeight {
			t.Errorf("%q: the page has %d bytes, more than %d", domain, weight, maxPageWeight)
		}
	}
	t.Run("evidence", func(t *testing.T) {
		p.later()
		resp, file := send(t, "POST", p.base+"/evidence", "domain=sts-enforce.test")
		if got := resp.Header.Get("Content-Disposition"); resp.StatusCode != 200 || got != `attachment; filename=mxauth-sts-enforce.test.json` {
			t.Fatalf("%s, %q", resp.Status, got)
		}
		out, said, code := inProcess(t, nobodyThere, time.Now, "replay", "--trust-anchor", p.l.anchor, "--ca-file", p.l.ca, testFile(t, "e.json", []byte(file)))
		if code != 0 || !strings.HasPrefix(out, "sts-enforce.test: authenticated by mta-sts\n") {
			t.Errorf("exit status %d\n%s%s", code, out, said)
		}
	})
	t.Run("refused", func(t *testing.T) {
		const script = `"><script>alert(1)</script>`
		for what, c := range map[string]struct {
			method, path, body string
			header             []string
			status             int
			says               string
		}{
			"no domain":     {"POST", "/", "domain=", nil, 422, "Type the domain"},
			"address":       {"POST", "/", "domain=me%40sts-enforce.test", nil, 422, "If you mean sts-enforce.test"},
			"URL":           {"POST", "/", "domain=https%3A%2F%2Fsts-enforce.test%2Fx", nil, 422, "If you mean sts-enforce.test"},
			"script":        {"POST", "/", url.Values{"domain": {script}}.Encode(), nil, 422, `value="&#34;&gt;&lt;script&gt;`},
			"literal":       {"POST", "/", "domain=%5B127.0.0.1%5D", nil, 422, "This is not a domain"},
			"two fields":    {"POST", "/", "domain=a.example&domain=b.example", nil, 400, "one field"},
			"another field": {"POST", "/", "domain=a.example&level=dane", nil, 400, "one field"},
			"long":          {"POST", "/", "domain=" + strings.Repeat("a", 5000), nil, 413, "too long"},
			"JSON":          {"POST", "/", "{}", []string{"Content-Type", "application/json"}, 415, "not sent as a form"},
			"other site":    {"POST", "/", "domain=sts-enforce.test", []string{"Sec-Fetch-Site", "cross-site"}, 403, "another site"},
			"other origin":  {"POST", "/evidence", "domain=sts-enforce.test", []string{"Origin", "https://evil.example"}, 403, "another site"},
			"no such page":  {"GET", "/nothing", "", nil, 404, "no such page"},
			"method":        {"PUT", "/", "domain=sts-enforce.test", nil, 405, "does not accept PUT"},
			"GET evidence":  {"GET", "/evidence", "", nil, 405, "does not accept GET"},
		} {
			p.later()
			resp, page := send(t, c.method, p.base+c.path, c.body, c.header...)
			if resp.StatusCode != c.status || !strings.Contains(page, c.says) {
				t.Errorf("%s: %s, want %d and %q:\n%s", what, resp.Status, c.status, c.says, page)
			}
			if strings.Contains(page, "<script") || resp.Header.Get("Content-Security-Policy") != want {
				t.Errorf("%s: the page has a script, or no policy:\n%s", what, page)
			}
		}
	})
	t.Run("pace", func(t *testing.T) {
		p.later()
		var last *http.Response
		n := 0
		for ; n < 20; n++ {
			if last, _ = send(t, "POST", p.base+"/", "domain=sts-enforce.test"); last.StatusCode != 200 {
				break
			}
		}
		if n < 6 || n > 8 || last.StatusCode != 429 || last.Header.Get("Retry-After") == "" {
			t.Errorf("after %d checks: %s, Retry-After %q", n, last.Status, last.Header.Get("Retry-After"))
		}
	})
}

// TestPageOff: without page = true there is no page.
func TestPageOff(t *testing.T) {
	l := startLab(t, serveWorlds(t, "sts-enforce"), nil)
	d := startServe(t, l, "[[listen]]\ndoor = \"http\"\naddress = \"inet:127.0.0.1:0\"\n")
	d.log.await(t, "http=tcp:127.0.0.1:", 1)
	m := regexp.MustCompile(`http=tcp:(127\.0\.0\.1:\d+)`).FindStringSubmatch(d.log.String())
	if m == nil {
		t.Fatalf("no HTTP listener:\n%s", d.log)
	}
	for _, path := range []string{"/", "/page.css", "/evidence"} {
		if resp, body := send(t, "GET", "http://"+m[1]+path, ""); resp.StatusCode != 404 {
			t.Errorf("%s: %s\n%s", path, resp.Status, body)
		}
	}
}

// TestPageDoc: what docs/page.md prints can be used as it is printed.
func TestPageDoc(t *testing.T) {
	doc := readFile(t, "../../docs/page.md")
	m := regexp.MustCompile("(?s)```toml\n(.*?)```").FindStringSubmatch(doc)
	if m == nil {
		t.Fatal("no configuration in it")
	}
	s := settings.Defaults()
	if err := s.Parse("docs/page.md", m[1]); err != nil || len(s.Listen) != 1 || !s.Listen[0].Page {
		t.Errorf("%+v, %v", s.Listen, err)
	}
	for status := range 6 {
		if word := ladder.Status(status).String(); !strings.Contains(doc, "| `"+word+"` |") {
			t.Errorf("the state %q is not explained", word)
		}
	}
	blocks := regexp.MustCompile("(?s)```\n(mxauth.*?)```").FindAllStringSubmatch(doc, -1)
	n := 0
	for _, b := range blocks {
		for line := range strings.Lines(b[1]) {
			args := strings.Fields(line)[1:]
			root := newRoot(newEnv(strings.NewReader(""), io.Discard, io.Discard, func(string) string { return "" }))
			cmd, rest, err := root.Find(args)
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if n++; err != nil || cmd.Name() != "explain" {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if n < 3 {
		t.Errorf("%d commands", n)
	}
}

// TestDeviationTexts: the page has a text for each deviation that a world of the lab has.
func TestDeviationTexts(t *testing.T) {
	seen := 0
	for _, m := range regexp.MustCompile(`(?m)^\S+: [PX]\d.*$`).FindAllString(readFile(t, "testdata/replies.txt"), -1) {
		for _, id := range regexp.MustCompile(` [+-]([a-z0-9-]+)`).FindAllStringSubmatch(m, -1) {
			if seen++; docs.Deviation(id[1]) == "" {
				t.Errorf("no text for %s: %s", id[1], m)
			}
		}
	}
	if seen < 50 || docs.Deviation("no-such-deviation") != "" {
		t.Errorf("%d deviations", seen)
	}
}
