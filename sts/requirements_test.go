package sts_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"crypto/x509"
	"crypto/x509/pkix"

	"github.com/mxauth/mxauth/dnssec"
	mxpkix "github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// The requirements of RFC 8461 that fall to this package, one subtest each, named by its
// id in the register.

func recordOK(txt ...string) bool {
	_, err := sts.ParseRecord(txt)
	return err == nil
}

func policyOK(body string) bool {
	_, err := sts.ParsePolicy([]byte(body))
	return err == nil
}

// accept checks which inputs a parser takes.
func accept(t *testing.T, ok func(string) bool, yes, no []string) {
	t.Helper()
	for _, s := range yes {
		if !ok(s) {
			t.Errorf("refused: %q", s)
		}
	}
	for _, s := range no {
		if ok(s) {
			t.Errorf("accepted: %q", s)
		}
	}
}

func TestRequirementsOfTexts(t *testing.T) {
	record := func(s string) bool { return recordOK(s) }
	n32 := strings.Repeat("a", 32)
	t.Run("STS-3.1-02 grammar of a record", func(t *testing.T) {
		accept(t, record,
			[]string{"v=STSv1; id=a", "v=STSv1;id=a;", "v=STSv1 \t;\t id=a ; ", "v=STSv1; id=a; x-1.a_=b", "v=STSv1; id=a; " + n32 + "=b", "v=STSv1; id=a; x=!<>~:"},
			[]string{"V=STSv1; id=a", "v=STSV1; id=a", "v=stsv1; id=a", "v=STSv1; id=a;;", "v=STSv1;; id=a", "v=STSv1; id=a; x", "v=STSv1; id=a; -x=b", "v=STSv1; id=a; _x=b",
				"v=STSv1; id=a; x=a=b", "v=STSv1; id=a; x=", "v=STSv1; id=a; x=a b", "v=STSv1; id=a; x=\x7f", "v=STSv1; id=a; x=é", "v=STSv1; id=a; a" + n32 + "=b",
				"v=STSv1; id=a ", "v=STSv1; id =a", "v=STSv1; id= a", "v=STSv1", "v=STSv1;", "v=STSv1; x=y", " v=STSv1; id=a", "v=STSv1, id=a"})
		r, err := sts.ParseRecord([]string{"v=STSv1; x-1.a=b; id=a; id=c;"})
		if err != nil || r.ID != "a" || fmt.Sprint(r.Ext) != "[{x-1.a b} {id c}]" || r.String() != "v=STSv1; id=a; x-1.a=b; id=c;" || r.Text != "v=STSv1; x-1.a=b; id=a; id=c;" {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("STS-3.1-03 the id", func(t *testing.T) {
		accept(t, func(id string) bool { return recordOK("v=STSv1; id=" + id) },
			[]string{"a", "Z", "0", n32, "azAZ09"}, []string{"", n32 + "a", "ab_c-d", "a-b", "a.b", "é", "a b"})
	})
	t.Run("STS-3.1-04 the version comes first", func(t *testing.T) {
		accept(t, record, []string{"v=STSv1;x=y;id=1"}, []string{"id=1;v=STSv1", "x=y;v=STSv1;id=1"})
	})
	t.Run("STS-3.1-05 others are dropped before counting", func(t *testing.T) {
		for _, txt := range [][]string{
			{"v=spf1 -all", "v=STSv1; id=a"}, {"v=STSv1; id=a", ""}, {"v=STSv10; id=b", "v=STSv1 \t; id=a"},
			{"v=STSv1", "v=STSv1; id=a"}, {"v=STSv1x; id=b", "v=STSv1; id=a", " v=STSv1; id=c"}, {"v=STSv1 id=b", "v=STSv1; id=a"},
		} {
			if r, err := sts.ParseRecord(txt); err != nil || r.ID != "a" {
				t.Errorf("%q: %v, %v", txt, r.ID, err)
			}
		}
	})
	t.Run("STS-3.1-06 exactly one is left, and well-formed", func(t *testing.T) {
		for _, txt := range [][]string{nil, {}, {"x"}, {"v=STSv1; id=a", "v=STSv1; id=a"}, {"v=STSv1; id=a", "v=STSv1;"}, {"v=STSv1; id=!"}} {
			if r, err := sts.ParseRecord(txt); !errors.Is(err, sts.ErrNoRecord) || r.ID != "" || r.Text != "" {
				t.Errorf("%q: %+v, %v", txt, r, err)
			}
		}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.domain("example.org", "one", enforce)
			for _, txt := range [][]string{nil, {"v=STSv1; id=a", "v=STSv1; id=b"}, {"v=STSv1; id=!"}} {
				w.record("example.org", txt...)
				if r := w.client().Lookup(context.Background(), host("example.org")); r.Row != sts.S1 || w.fetches() != 0 || len(w.attempts()) != 0 {
					t.Errorf("%q: row %s, %d fetches", txt, r.Row, w.fetches())
				}
			}
		})
	})
	fields := func(change map[string]string, drop string) string {
		var b strings.Builder
		for _, f := range [][2]string{{"version", "STSv1"}, {"mode", "enforce"}, {"mx", "a.example"}, {"max_age", "86400"}} {
			if f[0] == drop {
				continue
			}
			if v, ok := change[f[0]]; ok {
				f[1] = v
			}
			b.WriteString(f[0] + ": " + f[1] + "\n")
		}
		return b.String()
	}
	with := func(name string) func(string) bool {
		return func(v string) bool { return policyOK(fields(map[string]string{name: v}, "")) }
	}
	t.Run("STS-3.2-03 version, mode and max_age", func(t *testing.T) {
		if !policyOK(fields(nil, "")) {
			t.Fatal("the good policy is refused")
		}
		for _, f := range []string{"version", "mode", "max_age"} {
			_, err := sts.ParsePolicy([]byte(fields(nil, f)))
			var se *sts.SyntaxError
			if !errors.As(err, &se) || se.Field != f || se.Line != 0 {
				t.Errorf("without %s: %v", f, err)
			}
			misspelt := strings.Replace(fields(nil, ""), f, strings.ToUpper(f), 1)
			if policyOK(misspelt) {
				t.Errorf("accepted: %q", misspelt)
			}
		}
		accept(t, with("version"), []string{"STSv1"}, []string{"STSv2", "stsv1", "STSv1.0", "STSv1 STSv1", ""})
		accept(t, with("mode"), []string{"enforce", "testing", "none"}, []string{"Enforce", "TESTING", "enforced", "", "off"})
		for mode, want := range map[string]sts.Mode{"enforce": sts.ModeEnforce, "testing": sts.ModeTesting, "none": sts.ModeNone} {
			if p, err := sts.ParsePolicy([]byte(fields(map[string]string{"mode": mode}, ""))); err != nil || p.Mode != want || p.Mode.String() != mode {
				t.Errorf("%s: %v, %v", mode, p.Mode, err)
			}
		}
	})
	t.Run("STS-3.2-04 max_age", func(t *testing.T) {
		accept(t, with("max_age"), []string{"0", "1", "31557600", "0031557600", "0000000001"}, []string{"31557601", "00031557600", "9999999999", "99999999999999999999", "-1", "+1", "1.5", "1d", "0x1", "", "１"})
		p, err := sts.ParsePolicy([]byte(fields(map[string]string{"max_age": "31557600"}, "")))
		if err != nil || p.MaxAge != 31557600*time.Second {
			t.Errorf("%s, %v", p.MaxAge, err)
		}
	})
	t.Run("STS-3.2-06 mx unless mode is none", func(t *testing.T) {
		for mode, want := range map[string]bool{"enforce": false, "testing": false, "none": true} {
			if got := policyOK(fields(map[string]string{"mode": mode}, "mx")); got != want {
				t.Errorf("%s without mx: valid %v", mode, got)
			}
		}
	})
	label := strings.Repeat("a", 63)
	name := strings.Repeat(label+".", 3) + strings.Repeat("a", 61) // 253 octets
	t.Run("STS-3.2-07 the value of mx", func(t *testing.T) {
		accept(t, with("mx"),
			[]string{"a.example", "*.a.example", "mx1", "A.EXAMPLE", "a-b.example", "0.example", "1.2.3", "1.2.3.4.5", "a.1", label + ".example", name, "*." + name, "a--b.example", "xn--bcher-kva.example"},
			[]string{"a.example, b.example", "a.example b.example", "*", "*.", "*.*.example", "a.*.example", "*a.example", "a*.example", ".a.example", "a..example", "a.example.", "-a.example", "a-.example", "a.-b",
				"a_b.example", "192.0.2.1", "*.192.0.2.1", "[192.0.2.1]", "::1", "a.example:25", "a/b", label + "a.example", "a" + name, "*.a" + name})
	})
	t.Run("STS-3.2-08 A-labels only", func(t *testing.T) {
		accept(t, with("mx"), []string{"xn--bcher-kva.example"}, []string{"bücher.example", "*.bücher.example"})
		p := must(sts.ParsePattern("xn--bcher-kva.example"))
		if !p.Match(host("bücher.example")) || !p.Match(host("BÜCHER.example")) {
			t.Error("the A-label does not match the host")
		}
	})
	t.Run("STS-3.2-09 line ends and blanks", func(t *testing.T) {
		good := fields(nil, "")
		want := must(sts.ParsePolicy([]byte(good)))
		for _, body := range []string{
			strings.ReplaceAll(good, "\n", "\r\n"), strings.Replace(good, "\n", "\r\n", 1), strings.TrimSuffix(good, "\n"), strings.TrimSuffix(strings.ReplaceAll(good, "\n", "\r\n"), "\r\n"),
			strings.ReplaceAll(good, ": ", ":"), strings.ReplaceAll(good, ": ", ":\t  "), strings.ReplaceAll(good, "\n", " \t\n"), strings.ReplaceAll(good, "\n", "\t \r\n"),
		} {
			p, err := sts.ParsePolicy([]byte(body))
			if err != nil || p.String() != want.String() || p.Text != body {
				t.Errorf("%q: %v", body, err)
			}
		}
		accept(t, policyOK, nil, []string{"\n" + good, good + "\n", " " + good, strings.Replace(good, "mode", " mode", 1), strings.Replace(good, ":", " :", 1), strings.ReplaceAll(good, "\n", "\r"), good[:len(good)-1] + "\r", "\ufeff" + good})
	})
	t.Run("STS-3.2-10 unknown fields", func(t *testing.T) {
		p, err := sts.ParsePolicy([]byte(fields(nil, "") + "x-future: a: b\nY.z_1: é\n"))
		if err != nil || fmt.Sprint(p.Ext) != "[{x-future a: b} {Y.z_1 é}]" || p.Mode != sts.ModeEnforce || len(p.MX) != 1 {
			t.Errorf("%+v, %v", p, err)
		}
		ext := func(l string) bool { return policyOK(fields(nil, "") + l) }
		accept(t, ext, []string{n32 + ": a", "x: a  b", "x:a\n"}, []string{"a" + n32 + ": a", "x:", "x: ", "-x: a", "_x: a", ".x: a", "x y: a", "x: a\tb", "x: a\x00b", "x: a\x1fb", "x: a\x7fb", "x: \xff", "x", ": a", "é: a"})
		if !recordOK("v=STSv1; future=1; id=a") {
			t.Error("an unknown field makes a record invalid")
		}
	})
	t.Run("STS-3.2-11 the first of a repeated field counts", func(t *testing.T) {
		p, err := sts.ParsePolicy([]byte(fields(nil, "") + "mode: none\nmax_age: 1\nversion: STSv2\nmode: junk\nmx: b.example\n"))
		if err != nil || p.Mode != sts.ModeEnforce || p.MaxAge != 86400*time.Second || len(p.MX) != 2 {
			t.Errorf("%+v, %v", p, err)
		}
		if policyOK("mode: junk\n" + fields(nil, "")) {
			t.Error("a later mode has repaired the first")
		}
	})
	t.Run("STS-4.1-02 an asterisk is one label", func(t *testing.T) {
		p := must(sts.ParsePattern("*.example.com"))
		for h, want := range map[string]bool{"a.example.com": true, "A.Example.COM": true, "example.com": false, "a.b.example.com": false, "a.example.org": false, "aexample.com": false, "com": false} {
			if p.Match(host(h)) != want {
				t.Errorf("%s: %v", h, !want)
			}
		}
		if p.Match(rfc6125.Host{}) || (sts.Pattern{}).Match(rfc6125.Host{}) || (sts.Pattern{}).Match(host("a")) || (sts.Pattern{}).IsValid() || !p.IsValid() {
			t.Error("zero values match")
		}
		pol := must(sts.ParsePolicy([]byte(policy("enforce", 1, "a.example", "*.b.example", "*.example"))))
		if m, ok := pol.Match(host("c.b.example")); !ok || m.String() != "*.b.example" {
			t.Errorf("got %s, %v", m, ok)
		}
		if m, ok := pol.Match(host("c.c.example")); ok || m.IsValid() {
			t.Errorf("got %s, %v", m, ok)
		}
	})
	t.Run("STS-4.1-01 the name compared is the MX record's", func(t *testing.T) {
		// Match takes one host and asks no one: where mx.a.example is an alias of
		// mx.b.example, the policy of the target's name does not name it.
		pol := must(sts.ParsePolicy([]byte(policy("enforce", 1, "mx.b.example"))))
		if _, ok := pol.Match(host("mx.a.example")); ok {
			t.Error("the alias matches")
		}
		if _, ok := pol.Match(host("mx.b.example")); !ok {
			t.Error("the name itself does not match")
		}
	})
	t.Run("STS-3.2-02 media type", func(t *testing.T) {
		accept(t, sts.MediaTypeOK, []string{"text/plain", "TEXT/Plain", "text/plain;charset=utf-8;x=y", "text/plain ; charset=us-ascii", " text/plain\t"},
			[]string{"text/html", "", "text/plainx", "text/plain+x", "text", "image/png; a=text/plain", "application/octet-stream"})
	})
}

func TestRequirementsOfDiscovery(t *testing.T) {
	ctx := context.Background()
	org := host("example.org")
	run := func(name string, f func(t *testing.T, w *world, c *sts.Client)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				f(t, w, w.client())
			})
		})
	}
	// row looks a domain up and compares the row.
	row := func(t *testing.T, c *sts.Client, domain string, want sts.Row) sts.Result {
		t.Helper()
		r := c.Lookup(ctx, host(domain))
		if r.Row != want {
			t.Errorf("%s: row %s, want %s (%v, %v)", domain, r.Row, want, r.TXTErr, r.FetchErr)
		}
		return r
	}
	asked := func(w *world, typ dnssec.Type) (names []string) {
		for _, q := range w.dns.Asked() {
			if q.Type == typ {
				names = append(names, q.Name.String())
			}
		}
		return names
	}
	run("STS-3.1-01 TXT at _mta-sts of the domain only", func(t *testing.T, w *world, c *sts.Client) {
		row(t, c, "mail.example.com", sts.S1)
		if got := fmt.Sprint(w.dns.Asked()); got != "[_mta-sts.mail.example.com TXT]" {
			t.Errorf("asked %s", got)
		}
	})
	run("STS-3.1-07 a lost record removes no policy", func(t *testing.T, w *world, c *sts.Client) {
		row(t, c, "example.org", sts.S3)
		w.record("example.org")
		if r := row(t, c, "example.org", sts.S8); r.Policy == nil || r.Policy.Mode != sts.ModeEnforce {
			t.Error("the policy is gone")
		}
	})
	run("STS-3.1-08 character-strings are joined", func(t *testing.T, w *world, c *sts.Client) {
		w.dns.Remove("_mta-sts.example.org", typeTXT)
		w.dns.Add(`_mta-sts.example.org. 300 IN TXT "v=STSv1; id=one" "two" ";"`)
		if r := row(t, c, "example.org", sts.S3); r.ID != "onetwo" {
			t.Errorf("id %s", r.ID)
		}
	})
	run("STS-3.1-09 aliases of the record are followed", func(t *testing.T, w *world, c *sts.Client) {
		w.dns.Remove("_mta-sts.example.org", typeTXT)
		w.dns.Add("_mta-sts.example.org. 300 IN CNAME _mta-sts.provider.example.", `_mta-sts.provider.example. 300 IN TXT "v=STSv1; id=provider"`)
		if r := row(t, c, "example.org", sts.S3); r.ID != "provider" {
			t.Errorf("id %s", r.ID)
		}
		if w.seen(false)[0].Host != "mta-sts.example.org" {
			t.Error("the policy was fetched from the alias target")
		}
	})
	run("STS-3.2-01 GET from the well-known place", func(t *testing.T, w *world, c *sts.Client) {
		row(t, c, "example.org", sts.S3)
		r := w.seen(false)[0]
		if r.Method != "GET" || r.URL.Path != "/.well-known/mta-sts.txt" || r.Host != "mta-sts.example.org" || w.attempts()[0].Port() != 443 {
			t.Errorf("%s %s at %s, %v", r.Method, r.URL, r.Host, w.attempts())
		}
	})
	run("STS-7.1-02 SNI of the policy host", func(t *testing.T, w *world, c *sts.Client) {
		row(t, c, "example.org", sts.S3)
		if fmt.Sprint(w.hellos) != "[mta-sts.example.org]" {
			t.Errorf("SNI %v", w.hellos)
		}
	})
	run("STS-3.2-05 lifetime counts from the last fetch", func(t *testing.T, w *world, c *sts.Client) {
		row(t, c, "example.org", sts.S3)
		w.serve("example.org", status(500))
		for range 6 {
			time.Sleep(24 * time.Hour)
			row(t, c, "example.org", sts.S5)
		}
		time.Sleep(24 * time.Hour)
		row(t, c, "example.org", sts.S4)
	})
	run("STS-3.3-01 the certificate of the policy host", func(t *testing.T, w *world, c *sts.Client) {
		for name, cert := range map[string]func(*world){
			"untrusted":  setCert(evilCA.leaf(nil, "mta-sts.example.org")),
			"expired":    setCert(ca.leaf(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 1, 0) }, "mta-sts.example.org")),
			"wrong name": setCert(ca.leaf(nil, "mta-sts.example.net")),
		} {
			cert(w)
			_, err := c.Fetch(ctx, org)
			if !errors.Is(err, sts.ErrFetchWebPKI) || w.fetches() != 0 {
				t.Errorf("%s: %v, %d requests", name, err, w.fetches())
			}
		}
		setCert(ca.leaf(nil, "mta-sts.example.org"))(w)
		if _, err := c.Fetch(ctx, org); err != nil {
			t.Error(err)
		}
	})
	run("STS-3.3-02 only DNS-IDs, wildcard as the whole first label", func(t *testing.T, w *world, c *sts.Client) {
		cn := func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "mta-sts.example.org"} }
		for _, bad := range []func(*world){setCert(ca.leaf(cn)), setCert(ca.leaf(nil, "mta-sts*.example.org")), setCert(ca.leaf(nil, "*-sts.example.org")), setCert(ca.leaf(nil, "*.org"))} {
			bad(w)
			if _, err := c.Fetch(ctx, org); !errors.Is(err, sts.ErrFetchWebPKI) {
				t.Errorf("got %v", err)
			}
		}
		setCert(ca.leaf(nil, "*.example.org"))(w)
		if _, err := c.Fetch(ctx, org); err != nil {
			t.Error(err)
		}
	})
	run("STS-3.3-04 only status 200", func(t *testing.T, w *world, c *sts.Client) {
		for _, code := range []int{201, 202, 203, 204, 206, 304, 400, 404, 410, 500, 503} {
			w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "text/plain")
				rw.WriteHeader(code)
				if code != 204 && code != 304 {
					rw.Write([]byte(enforce))
				}
			})
			if _, err := c.Fetch(ctx, org); err == nil || errors.Is(err, sts.ErrPolicy) {
				t.Errorf("%d: %v", code, err)
			}
		}
	})
	run("STS-3.3-05 redirects are not followed", func(t *testing.T, w *world, c *sts.Client) {
		w.domain("example.net", "one", enforce)
		for _, code := range []int{301, 302, 303, 307, 308} {
			w.seen(true)
			w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "https://mta-sts.example.net/.well-known/mta-sts.txt", code)
			})
			if _, err := c.Fetch(ctx, org); !errors.Is(err, sts.ErrFetchRedirect) || w.fetches() != 1 {
				t.Errorf("%d: %v, %d requests", code, err, w.fetches())
			}
		}
	})
	run("STS-3.3-06 no HTTP cache", func(t *testing.T, w *world, c *sts.Client) {
		w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "public, max-age=31536000")
			rw.Header().Set("ETag", `"x"`)
			text(enforce)(rw, r)
		})
		row(t, c, "example.org", sts.S3)
		w.record("example.org", "v=STSv1; id=two")
		row(t, c, "example.org", sts.S6)
		for _, r := range w.seen(false) {
			if r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != "" {
				t.Errorf("a conditional request: %v", r.Header)
			}
		}
		if w.fetches() != 2 {
			t.Errorf("%d requests", w.fetches())
		}
	})
	run("STS-3.3-07 five minutes after a failure", func(t *testing.T, w *world, c *sts.Client) {
		w.serve("example.org", status(500))
		row(t, c, "example.org", sts.S4)
		time.Sleep(5*time.Minute - 1)
		row(t, c, "example.org", sts.S4)
		if w.fetches() != 1 {
			t.Errorf("%d requests within five minutes", w.fetches())
		}
		time.Sleep(time.Nanosecond)
		row(t, c, "example.org", sts.S4)
		if w.fetches() != 2 {
			t.Errorf("%d requests after five minutes", w.fetches())
		}
	})
	run("STS-3.3-08 limits of time and size", func(t *testing.T, w *world, c *sts.Client) {
		w.serve("example.org", text(strings.Repeat("x", 65537)))
		if _, err := c.Fetch(ctx, org); !errors.Is(err, sts.ErrFetchSize) {
			t.Errorf("a long body: %v", err)
		}
		w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		slow := w.client(func(c *sts.Config) { c.Timeout = 0 })
		start := time.Now()
		if _, err := slow.Fetch(ctx, org); !errors.Is(err, sts.ErrFetchTimeout) || time.Since(start) != time.Minute {
			t.Errorf("a slow host: %v after %s", err, time.Since(start))
		}
	})
	run("STS-3.3-09 without a policy as if there were no MTA-STS", func(t *testing.T, w *world, c *sts.Client) {
		w.serve("example.org", status(500))
		if r := row(t, c, "example.org", sts.S4); r.Policy != nil || r.TXTErr != nil || r.StoreErr != nil {
			t.Errorf("got %+v", r)
		}
	})
	run("STS-3.3-10 an unexpired policy is applied when nothing live can be had", func(t *testing.T, w *world, c *sts.Client) {
		row(t, c, "example.org", sts.S3)
		for what, b := range map[string]func() sts.Row{
			"NXDOMAIN": func() sts.Row { w.record("example.org"); return sts.S8 },
			"SERVFAIL": func() sts.Row { w.dns.Fail("_mta-sts.example.org", typeTXT, dnssec.ErrServFail); return sts.S9 },
			"HTTPS hangs": func() sts.Row {
				w.record("example.org", "v=STSv1; id=hang")
				w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				return sts.S7
			},
			"bad policy": func() sts.Row {
				w.record("example.org", "v=STSv1; id=bad")
				w.serve("example.org", text("x"))
				return sts.S7
			},
		} {
			want := b()
			r := c.Lookup(ctx, org)
			if r.Row != want || r.Policy == nil || r.Policy.Text != enforce {
				t.Errorf("%s: row %s, policy %v", what, r.Row, r.Policy)
			}
		}
	})
	run("STS-3.4-03 never the parent's policy", func(t *testing.T, w *world, c *sts.Client) {
		row(t, c, "example.org", sts.S3)
		if r := row(t, c, "a.example.org", sts.S1); r.Policy != nil {
			t.Error("a subdomain has the parent's policy")
		}
		if got := asked(w, typeTXT); fmt.Sprint(got) != "[_mta-sts.example.org _mta-sts.a.example.org]" {
			t.Errorf("asked %v", got)
		}
	})
	run("STS-8.2-01 delegation does not change the name to prove", func(t *testing.T, w *world, c *sts.Client) {
		w.dns.Remove("mta-sts.example.org", dnssec.TypeA)
		w.dns.Add("mta-sts.example.org. 300 IN CNAME mta-sts.provider.example.", "mta-sts.provider.example. 300 IN A "+hostAddr.String())
		setCert(ca.leaf(nil, "mta-sts.provider.example"))(w)
		if _, err := c.Fetch(ctx, org); !errors.Is(err, sts.ErrFetchWebPKI) {
			t.Errorf("the provider's own certificate: %v", err)
		}
		setCert(ca.leaf(nil, "mta-sts.example.org"))(w)
		f, err := c.Fetch(ctx, org)
		if err != nil || len(f.Aliases) != 1 {
			t.Errorf("%v, aliases %v", err, f.Aliases)
		}
	})
}

func TestRequirementsOfRefresh(t *testing.T) {
	withRun(t, "STS-3.3-11 refreshed within a day", enforce, func(t *testing.T, w *refreshing) {
		first := w.cached().Fetched
		time.Sleep(24*time.Hour + 5*time.Minute) // the look for what is due comes every five minutes
		if r := w.cached(); !r.Fetched.After(first) {
			t.Error("not refreshed within a day")
		}
	})
	withRun(t, "STS-3.3-12 a failed refresh is shown", enforce, func(t *testing.T, w *refreshing) {
		w.serve("example.org", status(500))
		time.Sleep(25 * time.Hour)
		if !strings.Contains(w.logs.String(), "level=WARN msg=\"mta-sts policy not refreshed\"") {
			t.Error("no warning")
		}
	})
	withRun(t, "STS-3.3-12 but not of mode none", policy("none", 604800), func(t *testing.T, w *refreshing) {
		w.serve("example.org", status(500))
		time.Sleep(25 * time.Hour)
		if strings.Contains(w.logs.String(), "not refreshed") || w.fetches() < 2 {
			t.Errorf("%d fetches, log:\n%s", w.fetches(), w.logs.String())
		}
	})
	withRun(t, "STS-10.2-01 refreshed whatever the record says", enforce, func(t *testing.T, w *refreshing) {
		time.Sleep(week)
		if n := w.fetches(); n < 7 || n > 10 {
			t.Errorf("%d fetches in a week", n)
		}
	})
}

func TestRequirementsOfMXCertificates(t *testing.T) {
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	verify := func(cert func(*x509.Certificate), by authority, names ...string) error {
		leaf := must(x509.ParseCertificate(by.leaf(cert, names...).Certificate[0]))
		_, err := mxpkix.VerifyServer(mxpkix.Request{Chain: []*x509.Certificate{leaf}, Roots: mxpkix.NewRoots(ca.Cert), At: at}, []rfc6125.Reference{rfc6125.NewReference(host("mx.example.com"))})
		return err
	}
	t.Run("STS-4.2-01 unexpired and to a trusted root", func(t *testing.T) {
		if err := verify(nil, ca, "mx.example.com"); err != nil {
			t.Errorf("good: %v", err)
		}
		if err := verify(func(c *x509.Certificate) { c.NotAfter = at.Add(-time.Second) }, ca, "mx.example.com"); !errors.Is(err, mxpkix.ErrExpired) {
			t.Errorf("expired: %v", err)
		}
		if err := verify(nil, evilCA, "mx.example.com"); !errors.Is(err, mxpkix.ErrNoAnchor) {
			t.Errorf("another root: %v", err)
		}
	})
	t.Run("STS-4.2-02 a DNS-ID that matches the MX host", func(t *testing.T) {
		for _, name := range []string{"mx.example.com", "*.example.com", "MX.EXAMPLE.COM"} {
			if err := verify(nil, ca, name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, names := range [][]string{{"mx2.example.com"}, {"example.com"}, {"*.mx.example.com"}, {"m*.example.com"}, nil} {
			err := verify(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "mx.example.com"} }, ca, names...)
			if !errors.Is(err, mxpkix.ErrName) {
				t.Errorf("%v: %v", names, err)
			}
		}
	})
}
