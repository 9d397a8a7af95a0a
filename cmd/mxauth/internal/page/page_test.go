package page_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/page"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/rfc6125"
)

// A source answers as its function does.
type source func(ctx context.Context, domain string) (page.Answer, error)

func (s source) Look(ctx context.Context, domain string) (page.Answer, error) { return s(ctx, domain) }

func (s source) Evidence(ctx context.Context, domain string) ([]byte, error) {
	_, err := s(ctx, domain)
	return []byte("{}"), err
}

// post sends the form.
func post(h http.Handler, path, domain string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(url.Values{"domain": {domain}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// evil is a text of a stranger.
const evil = "`</p></pre><script>alert(1)</script>` \" onload=\"alert(1)\x1b[31m\u202e<svg onload=alert(1)>"

// hostile is an answer all of whose texts are those of a stranger.
func hostile(t *testing.T) page.Answer {
	t.Helper()
	h, err := rfc6125.ParseHost("mx.example.org")
	if err != nil {
		t.Fatal(err)
	}
	p := &engine.Plan{Request: engine.Request{NextHop: evil}, Hosts: []engine.Host{{Name: h}}}
	p.MX.Listed = []engine.MXHost{{Name: h}}
	d := engine.Decision{Host: h, Outcome: engine.Refused, Judged: true, Event: engine.HandshakeDone, Presented: []string{evil}}
	d.Peer = engine.Peer{Event: engine.HandshakeDone, TLS: evil, Detail: evil}
	return page.Answer{Domain: evil, Headline: evil, Note: evil, Plan: p, Hosts: []probe.HostResult{{Decision: d}},
		Account: explain.Account{Cause: evil, RFC: "javascript:alert(1)", Also: []string{evil}, Owner: []explain.Cure{{Text: evil, Lines: []string{evil}}}, Sender: []string{evil}},
		Hints:   []string{evil}, Told: []page.Told{{Server: evil, About: evil, Reply: evil, Note: evil}},
		Findings: []lint.Finding{{ID: lint.ID(evil), Text: evil, Evidence: []string{evil}, Do: evil, RFC: evil,
			Steps: []lint.Step{{Text: evil, Owner: evil, Type: "TLSA", Records: []string{evil}, URL: evil, File: []string{evil}, Caution: evil, Wait: 86400}}}}}
}

// TestHostile: nothing that a stranger wrote becomes a part of the page.
func TestHostile(t *testing.T) {
	a := hostile(t)
	p := page.New(page.Config{Source: source(func(context.Context, string) (page.Answer, error) { return a, nil })})
	w := post(p, "/", "example.org")
	if w.Code != 200 {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	if strings.ContainsAny(w.Body.String(), "\x1b\u202e") {
		t.Error("a character that is not seen as what it is")
	}
	checkHTML(t, w.Body.String())
}

// allowed are the elements of the page.
var allowed = strings.Fields(`html head meta title link body a header p main h1 h2 h3 form label div input button section ul ol li pre code dl dt dd strong span
	details summary footer svg desc g rect path circle text`)

// checkHTML holds a page to be made of its elements, with ids that occur once and labels that
// lead to their field.
func checkHTML(t *testing.T, text string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	var wanted []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(allowed, n.Data) {
			t.Errorf("an element <%s>", n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "src":
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			case a.Key == "href" && !strings.HasPrefix(a.Val, "https://www.rfc-editor.org/rfc/rfc") && !slices.Contains([]string{"/", "/page.css", "#main", ""}, a.Val) && !strings.HasPrefix(a.Val, "data:image/svg+xml,"):
				t.Errorf("a link to %q", a.Val)
			case a.Key == "id":
				ids[a.Val]++
			case a.Key == "for", a.Key == "aria-describedby", a.Key == "aria-labelledby":
				wanted = append(wanted, strings.Fields(a.Val)...)
			}
		}
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("the id %s occurs %d times", id, n)
		}
	}
	for _, id := range wanted {
		if ids[id] == 0 {
			t.Errorf("no element has the id %s", id)
		}
	}
}

// TestFailures: what went wrong is said, and no more than that.
func TestFailures(t *testing.T) {
	for want, err := range map[int]error{
		http.StatusUnprocessableEntity: fmt.Errorf("%w: %s", engine.ErrRequest, evil),
		http.StatusGatewayTimeout:      context.DeadlineExceeded,
		http.StatusInternalServerError: errors.New("the password of the store is " + evil),
	} {
		p := page.New(page.Config{Source: source(func(context.Context, string) (page.Answer, error) { return page.Answer{}, err })})
		for _, path := range []string{"/", "/evidence"} {
			w := post(p, path, "example.org")
			if body := w.Body.String(); w.Code != want || strings.Contains(body, "password") || !strings.Contains(body, `value="example.org"`) {
				t.Errorf("%v: %d, want %d\n%s", err, w.Code, want, body)
			}
			checkHTML(t, w.Body.String())
		}
	}
}

// TestTurns: four look at a time; the fifth is asked to come back.
func TestTurns(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	p := page.New(page.Config{Source: source(func(context.Context, string) (page.Answer, error) {
		in <- struct{}{}
		<-out
		return page.Answer{}, engine.ErrRequest
	})})
	done := make(chan int)
	for range 4 {
		go func() { done <- post(p, "/", "example.org").Code }()
	}
	for range 4 {
		<-in
	}
	if w := post(p, "/", "example.org"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("the fifth: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	close(out)
	for range 4 {
		if code := <-done; code != http.StatusUnprocessableEntity {
			t.Errorf("one of the first: %d", code)
		}
	}
}

// TestFileName: a domain cannot choose where its evidence goes.
func TestFileName(t *testing.T) {
	p := page.New(page.Config{Source: source(func(context.Context, string) (page.Answer, error) { return page.Answer{}, nil })})
	for domain, want := range map[string]string{
		"example.org": "attachment; filename=mxauth-example.org.json",
		"bücher.test": "attachment; filename=mxauth-b__cher.test.json",
		strings.Repeat("a", 63) + "." + strings.Repeat("b", 63): "attachment; filename=mxauth-" + strings.Repeat("a", 63) + "." + strings.Repeat("b", 36) + ".json",
	} {
		if got := post(p, "/evidence", domain).Header().Get("Content-Disposition"); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
}

// FuzzForm: whatever a form holds, the answer is a page of its own elements.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"domain=example.org", "domain=%22%3E%3Cscript%3E", "domain=me%40example.org", "domain=https%3A%2F%2Fexample.org", "%", "domain=\xff", "a=b&domain=c"} {
		f.Add(s)
	}
	p := page.New(page.Config{Source: source(func(_ context.Context, domain string) (page.Answer, error) {
		if _, err := rfc6125.ParseHost(domain); err != nil {
			panic("looked at " + domain)
		}
		return page.Answer{}, engine.ErrRequest
	})})
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code < 400 || w.Code >= 500 {
			t.Errorf("status %d", w.Code)
		}
		checkHTML(t, w.Body.String())
	})
}
