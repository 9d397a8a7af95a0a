package sts_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/dnssec"
	mxpkix "github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/sts"
)

// TestFetchNotes: what is more than the kind of a failure, for advice.
func TestFetchNotes(t *testing.T) {
	notes := map[string]sts.FetchNote{"compressed": sts.NoteEncoding, "header over the limit": sts.NoteHeader, "header without end": sts.NoteHeader,
		"no TLS": sts.NoteAlert, "no certificate": sts.NoteAlert, "RSA key exchange": sts.NoteAlert}
	eachFetch(t, fetchCases, func(t *testing.T, w *world, c fetchCase) {
		c.breaks(w)
		_, err := w.client().Fetch(context.Background(), host("example.org"))
		var fe *sts.FetchError
		if !errors.As(err, &fe) || fe.Note != notes[c.name] {
			t.Errorf("note %d, want %d: %v", fe.Note, notes[c.name], err)
		}
		if errors.Is(err, sts.ErrFetchRedirect) && fe.Location != "" && !strings.Contains(err.Error(), fe.Location) {
			t.Errorf("%v does not show %q", err, fe.Location)
		}
	})
}

// fetchCase breaks one thing about the fetch of the policy of example.org.
type fetchCase struct {
	name   string
	breaks func(w *world)
	kind   error
	status int
	detail string // in the text of the error
}

func setCert(c *tls.Certificate) func(*world) {
	return func(w *world) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.certs["mta-sts.example.org"] = c
	}
}

func setHandler(h http.HandlerFunc) func(*world) {
	return func(w *world) { w.serve("example.org", h) }
}

// hijack answers with raw bytes.
func hijack(raw string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		c, _, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		io.WriteString(c, raw)
		c.(*tls.Conn).NetConn().Close()
	}
}

func header(name, value, body string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		rw.Header().Set(name, value)
		io.WriteString(rw, body)
	}
}

func addrs(lines ...string) func(*world) {
	return func(w *world) {
		w.dns.Remove("mta-sts.example.org", dnssec.TypeA)
		w.dns.Add(lines...)
	}
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

var fetchCases = []fetchCase{
	{"no addresses", addrs(), sts.ErrFetchDNS, 0, "no addresses"},
	{"the lookup fails", func(w *world) {
		w.dns.Fail("mta-sts.example.org", dnssec.TypeA, dnssec.ErrServFail)
		w.dns.Fail("mta-sts.example.org", dnssec.TypeAAAA, dnssec.ErrBogus)
	}, sts.ErrFetchDNS, 0, "SERVFAIL"},
	{"one family fails and the other has none", func(w *world) {
		w.dns.Fail("mta-sts.example.org", dnssec.TypeA, dnssec.ErrServFail)
	}, sts.ErrFetchDNS, 0, "SERVFAIL"},
	{"loopback", addrs("mta-sts.example.org. 300 IN A 127.0.0.1"), sts.ErrFetchAddress, 0, "127.0.0.1 is loopback"},
	{"private", addrs("mta-sts.example.org. 300 IN A 10.1.2.3"), sts.ErrFetchAddress, 0, "private"},
	{"mapped", addrs("mta-sts.example.org. 300 IN AAAA ::ffff:169.254.169.254"), sts.ErrFetchAddress, 0, "link-local"},
	{"nothing listens", func(w *world) {
		w.dialErr = func(netip.AddrPort) error { return errors.New("connection refused") }
	}, sts.ErrFetchTCP, 0, "connection refused"},
	{"no TLS", func(w *world) { w.tls.MinVersion, w.tls.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }, sts.ErrFetchTLS, 0, "protocol version"},
	{"RSA of 1,024 bits", setCert(ca.rsaLeaf(1024, "mta-sts.example.org")), sts.ErrFetchWebPKI, 0, "RSA with 1024 bits, fewer than 2048"},
	{"RSA key exchange", func(w *world) {
		setCert(ca.rsaLeaf(2048, "mta-sts.example.org"))(w)
		w.tls.MaxVersion, w.tls.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	}, sts.ErrFetchTLS, 0, "handshake failure"},
	{"no certificate", setCert(nil), sts.ErrFetchTLS, 0, "tls"},
	{"untrusted", setCert(evilCA.leaf(nil, "mta-sts.example.org")), sts.ErrFetchWebPKI, 0, "no path to an anchor"},
	{"expired", setCert(ca.leaf(func(c *x509.Certificate) { c.NotAfter = time.Date(1999, 6, 1, 0, 0, 0, 0, time.UTC) }, "mta-sts.example.org")), sts.ErrFetchWebPKI, 0, "expired"},
	{"not yet valid", setCert(ca.leaf(func(c *x509.Certificate) { c.NotBefore = time.Date(2001, 6, 1, 0, 0, 0, 0, time.UTC) }, "mta-sts.example.org")), sts.ErrFetchWebPKI, 0, "not yet valid"},
	{"another name", setCert(ca.leaf(nil, "www.example.org")), sts.ErrFetchWebPKI, 0, "name"},
	{"the domain's own name", setCert(ca.leaf(nil, "example.org")), sts.ErrFetchWebPKI, 0, "name"},
	{"only a common name", setCert(ca.leaf(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "mta-sts.example.org"} })), sts.ErrFetchWebPKI, 0, "name"},
	{"wildcard within a label", setCert(ca.leaf(nil, "mta-sts*.example.org")), sts.ErrFetchWebPKI, 0, "name"},
	{"redirect", func(w *world) {
		w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "https://mta-sts.example.net/.well-known/mta-sts.txt", http.StatusMovedPermanently)
		})
		w.domain("example.net", "one", enforce)
	}, sts.ErrFetchRedirect, 301, "301"},
	{"status 299", setHandler(status(299)), sts.ErrFetchStatus, 299, "299"},
	{"redirect 300", setHandler(status(300)), sts.ErrFetchRedirect, 300, "300"},
	{"redirect 399", setHandler(status(399)), sts.ErrFetchRedirect, 399, "399"},
	{"not modified", setHandler(status(304)), sts.ErrFetchStatus, 304, "304"},
	{"created", setHandler(status(201)), sts.ErrFetchStatus, 201, "201"},
	{"no content", setHandler(status(204)), sts.ErrFetchStatus, 204, "204"},
	{"status 400", setHandler(status(400)), sts.ErrFetchStatus, 400, "400"},
	{"not found", setHandler(status(404)), sts.ErrFetchStatus, 404, "404"},
	{"broken host", setHandler(status(500)), sts.ErrFetchStatus, 500, "500"},
	{"html", setHandler(header("Content-Type", "text/html", enforce)), sts.ErrFetchMediaType, 200, "text/html"},
	{"no media type", setHandler(hijack("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), sts.ErrFetchMediaType, 200, "no Content-Type"},
	{"two media types", setHandler(hijack("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n")), sts.ErrFetchMediaType, 200, "more than one"},
	{"compressed", setHandler(header("Content-Encoding", "gzip", gzipped(enforce))), sts.ErrFetchMediaType, 200, "gzip"},
	{"length over the limit", setHandler(header("Content-Length", "65537", strings.Repeat("x", 65537))), sts.ErrFetchSize, 200, "65537"},
	{"body over the limit", setHandler(text(strings.Repeat("x", 65537))), sts.ErrFetchSize, 200, "65536"},
	{"body without end", setHandler(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		for {
			if _, err := rw.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
				return
			}
		}
	}), sts.ErrFetchSize, 200, "65536"},
	{"header over the limit", setHandler(header("X-Long", strings.Repeat("x", 40<<10), enforce)), sts.ErrFetchHTTP, 0, "header"},
	{"header without end", setHandler(func(rw http.ResponseWriter, r *http.Request) {
		c, _, _ := rw.(http.Hijacker).Hijack()
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for {
			if _, err := io.WriteString(c, "X-A: b\r\n"); err != nil {
				return
			}
		}
	}), sts.ErrFetchHTTP, 0, "header"},
	{"no HTTP", setHandler(hijack("220 mx ESMTP\r\n")), sts.ErrFetchHTTP, 0, "malformed HTTP"},
	{"breaks off", setHandler(hijack("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nversion: STSv1\n")), sts.ErrFetchHTTP, 200, "body"},
	{"breaks off and nothing tells the length", setHandler(hijack("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + enforce)), sts.ErrFetchHTTP, 200, "how long the body is"},
	{"closes at once", setHandler(hijack("")), sts.ErrFetchHTTP, 0, "closed without an answer"},
	{"not a policy", setHandler(text("<html>")), sts.ErrFetchSyntax, 200, "line 1"},
	{"empty", setHandler(text("")), sts.ErrFetchSyntax, 200, "no version"},
	{"hangs", setHandler(func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), sts.ErrFetchTimeout, 0, "no complete answer in time"},
	{"hangs in the body", setHandler(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, "version: STSv1\n")
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	}), sts.ErrFetchTimeout, 200, "no complete answer in time"},
	{"sends a byte a second", setHandler(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		for r.Context().Err() == nil {
			io.WriteString(rw, "x")
			rw.(http.Flusher).Flush()
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
			}
		}
	}), sts.ErrFetchTimeout, 200, "no complete answer in time"},
	{"DNS hangs", func(w *world) { w.dns.Hold("mta-sts.example.org", dnssec.TypeA) }, sts.ErrFetchTimeout, 0, "addresses"},
}

func TestFetchFailures(t *testing.T) {
	eachFetch(t, fetchCases, func(t *testing.T, w *world, c fetchCase) {
		c.breaks(w)
		cl := w.client()
		start := time.Now()
		f, err := cl.Fetch(context.Background(), host("example.org"))
		var fe *sts.FetchError
		if !errors.As(err, &fe) || fe.Kind != c.kind || fe.Status != c.status {
			t.Fatalf("got %v, want %v with status %d", err, c.kind, c.status)
		}
		if !errors.Is(err, c.kind) || !errors.Is(err, sts.ErrFetch) {
			t.Errorf("%v does not wrap its kinds", err)
		}
		if !strings.Contains(err.Error(), c.detail) {
			t.Errorf("the text %q does not hold %q", err, c.detail)
		}
		if got := errors.Is(err, sts.ErrPolicy); got != (c.kind == sts.ErrFetchSyntax) {
			t.Errorf("wraps ErrPolicy: %v", got)
		}
		if f.Policy.Mode != 0 || fe.Host != host("mta-sts.example.org") || !fe.Until.IsZero() || fe.Repeated {
			t.Errorf("got %+v beside %+v", f, fe)
		}
		if took := time.Since(start); took > 20*time.Second || (c.kind != sts.ErrFetchTimeout && took > 0) {
			t.Errorf("took %s", took)
		}
		requests := w.seen(false)
		for _, r := range requests {
			if r.Host != "mta-sts.example.org" {
				t.Errorf("a request to %s", r.Host)
			}
		}
		if len(requests) > 1 {
			t.Errorf("%d requests", len(requests))
		}
	})
}

// TestFetchKeepsCached: whatever a fetch fails by, the cached policy stays (S7, RFC
// 8461 section 3.3).
func TestFetchKeepsCached(t *testing.T) {
	eachFetch(t, fetchCases, func(t *testing.T, w *world, c fetchCase) {
		cl := w.client()
		if r := cl.Lookup(context.Background(), host("example.org")); r.Row != sts.S3 {
			t.Fatalf("row %s: %v", r.Row, r.FetchErr)
		}
		w.seen(true)
		c.breaks(w)
		w.record("example.org", "v=STSv1; id=two;")
		r := cl.Lookup(context.Background(), host("example.org"))
		if r.Row != sts.S7 || r.Policy == nil || r.Policy.Text != enforce || !errors.Is(r.FetchErr, c.kind) {
			t.Errorf("row %s, policy %v, %v", r.Row, r.Policy, r.FetchErr)
		}
	})
}

func TestFetchRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.tls.NextProtos = []string{"h2", "http/1.1"}
		t.Setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
		f, err := w.client().Fetch(context.Background(), host("example.org"))
		if err != nil {
			t.Fatal(err)
		}
		r := w.seen(false)[0]
		got := map[string]string{
			"line": r.Method + " " + r.RequestURI + " " + r.Proto, "host": r.Host, "sni": fmt.Sprint(w.hellos), "dialled": fmt.Sprint(w.attempts()),
			"accept": r.Header.Get("Accept"), "encoding": fmt.Sprint(r.Header.Values("Accept-Encoding")), "cookies": fmt.Sprint(r.Cookies()),
			"conditional": r.Header.Get("If-None-Match") + r.Header.Get("If-Modified-Since"), "proto": r.TLS.NegotiatedProtocol,
			"agent": r.UserAgent(), "cache": r.Header.Get("Cache-Control"),
		}
		want := map[string]string{
			"line": "GET /.well-known/mta-sts.txt HTTP/1.1", "host": "mta-sts.example.org", "sni": "[mta-sts.example.org]", "dialled": "[9.9.9.10:443]",
			"accept": "text/plain", "encoding": "[]", "cookies": "[]", "conditional": "", "proto": "http/1.1",
			"agent": "mxauth (MTA-STS)", "cache": "no-cache",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		if f.Policy.Text != enforce || f.Host != host("mta-sts.example.org") || f.Addr.String() != "9.9.9.10:443" || f.TLSVersion != tls.VersionTLS13 ||
			len(f.Chain) != 1 || f.ContentType != "text/plain" || !f.At.Equal(time.Now()) {
			t.Errorf("got %+v", f)
		}
	})
}

// TestFetchAddresses: which addresses are tried, in which order.
func TestFetchAddresses(t *testing.T) {
	refuse := func(bad ...string) func(netip.AddrPort) error {
		return func(a netip.AddrPort) error {
			for _, b := range bad {
				if a.Addr().String() == b {
					return errors.New("refused")
				}
			}
			return nil
		}
	}
	for _, c := range []struct {
		name  string
		lines []string
		fail  dnssec.Type // this family's lookup fails
		bad   func(netip.AddrPort) error
		allow []netip.Prefix
		port  uint16
		tried string
		kind  error
	}{
		{name: "both families, IPv6 first", lines: []string{"A 9.9.9.10", "AAAA 2620:fe::10"}, tried: "[[2620:fe::10]:443]"},
		{name: "IPv6 is dead", lines: []string{"A 9.9.9.10", "AAAA 2620:fe::10"}, bad: refuse("2620:fe::10"), tried: "[[2620:fe::10]:443 9.9.9.10:443]"},
		{name: "AAAA fails", lines: []string{"A 9.9.9.10"}, fail: dnssec.TypeAAAA, tried: "[9.9.9.10:443]"},
		{name: "A fails", lines: []string{"AAAA 2620:fe::10"}, fail: dnssec.TypeA, tried: "[[2620:fe::10]:443]"},
		{name: "not more than four", lines: []string{"A 9.9.9.1", "A 9.9.9.2", "A 9.9.9.3", "A 9.9.9.4", "A 9.9.9.5"},
			bad:   func(netip.AddrPort) error { return errors.New("refused") },
			tried: "[9.9.9.1:443 9.9.9.2:443 9.9.9.3:443 9.9.9.4:443]", kind: sts.ErrFetchTCP},
		{name: "families take turns", lines: []string{"A 9.9.9.1", "A 9.9.9.2", "A 9.9.9.3", "AAAA 2620:fe::1", "AAAA 2620:fe::2", "AAAA 2620:fe::3"},
			bad:   func(netip.AddrPort) error { return errors.New("refused") },
			tried: "[[2620:fe::1]:443 9.9.9.1:443 [2620:fe::2]:443 9.9.9.2:443]", kind: sts.ErrFetchTCP},
		{name: "bad addresses are left out", lines: []string{"A 127.0.0.1", "A 9.9.9.10", "A 192.168.1.1"}, tried: "[9.9.9.10:443]"},
		{name: "allowed by the operator", lines: []string{"A 127.0.0.1", "A 10.0.0.1"}, allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, tried: "[127.0.0.1:443]"},
		{name: "another port", lines: []string{"A 9.9.9.10"}, port: 8443, tried: "[9.9.9.10:8443]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				addrs()(w)
				for _, l := range c.lines {
					w.dns.Add("mta-sts.example.org. 300 IN " + l)
				}
				if c.fail != 0 {
					w.dns.Fail("mta-sts.example.org", c.fail, dnssec.ErrServFail)
				}
				w.dialErr = c.bad
				_, err := w.client(func(cfg *sts.Config) { cfg.Allow, cfg.Port = c.allow, c.port }).Fetch(context.Background(), host("example.org"))
				if !errors.Is(err, c.kind) {
					t.Errorf("got %v, want %v", err, c.kind)
				}
				if got := fmt.Sprint(w.attempts()); got != c.tried {
					t.Errorf("tried %s, want %s", got, c.tried)
				}
			})
		})
	}
}

// TestFetchRanksFailures: of several addresses the one that came furthest tells why.
func TestFetchRanksFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.dns.Add("mta-sts.example.org. 300 IN A 9.9.9.11", "mta-sts.example.org. 300 IN A 9.9.9.12")
		setCert(evilCA.leaf(nil, "mta-sts.example.org"))(w)
		w.dialErr = func(a netip.AddrPort) error {
			if a.Addr() != netip.MustParseAddr("9.9.9.11") {
				return errors.New("refused")
			}
			return nil
		}
		_, err := w.client().Fetch(context.Background(), host("example.org"))
		var fe *sts.FetchError
		if !errors.As(err, &fe) || fe.Kind != sts.ErrFetchWebPKI || fe.Addr.String() != "9.9.9.11:443" {
			t.Errorf("got %v", err)
		}
		if tried := w.attempts(); len(tried) != 3 {
			t.Errorf("tried %v", tried)
		}
	})
}

// TestFetchAsksOneServer: a server that has proved its name and then does not give the
// policy has answered for the host; the next address is not asked.
func TestFetchAsksOneServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.dns.Add("mta-sts.example.org. 300 IN A 9.9.9.11", "mta-sts.example.org. 300 IN A 9.9.9.12")
		w.serve("example.org", status(404))
		_, err := w.client().Fetch(context.Background(), host("example.org"))
		var fe *sts.FetchError
		if !errors.As(err, &fe) || fe.Kind != sts.ErrFetchStatus || fe.Addr.String() != "9.9.9.10:443" {
			t.Errorf("got %v", err)
		}
		if tried := w.attempts(); len(tried) != 1 {
			t.Errorf("tried %v", tried)
		}
	})
}

func TestFetchRevocation(t *testing.T) {
	t.Run("STS-3.3-03 a revocation hook that says revoked fails the fetch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.domain("example.org", "one", enforce)
			revoked := errors.New("revoked")
			asked := 0
			c := w.client(func(cfg *sts.Config) {
				cfg.CheckPath = func(p mxpkix.Path) error {
					asked++
					if len(p.Certs) != 2 {
						t.Errorf("a path of %d certificates", len(p.Certs))
					}
					return revoked
				}
			})
			_, err := c.Fetch(context.Background(), host("example.org"))
			if !errors.Is(err, sts.ErrFetchWebPKI) || !errors.Is(err, revoked) || asked != 1 {
				t.Errorf("got %v, asked %d times", err, asked)
			}
		})
	})
}

// TestFetchBounded: so many fetches at once in all, so many from one host; a caller that
// leaves gives its place back.
func TestFetchBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gate := make(chan struct{})
		for i := range 300 {
			name := fmt.Sprintf("d%d.example", i)
			w.domain(name, "one", enforce)
			w.serve(name, gated(gate, text(enforce)))
			if i < 20 {
				// The first twenty sit behind one provider.
				w.dns.Remove("mta-sts."+name, dnssec.TypeA)
				w.dns.Add("mta-sts." + name + ". 300 IN CNAME policies.provider.example.")
			}
		}
		w.dns.Add("policies.provider.example. 300 IN A " + hostAddr.String())
		c := w.client()
		results := make(chan error, 300)
		ctx, cancel := context.WithCancel(context.Background())
		for i := range 20 {
			go func() {
				_, err := c.Fetch(ctx, host(fmt.Sprintf("d%d.example", i)))
				results <- err
			}()
		}
		synctest.Wait()
		if n := w.fetches(); n != 4 {
			t.Errorf("%d fetches at once from one host, want 4", n)
		}
		for i := 20; i < 300; i++ {
			go func() {
				_, err := c.Fetch(context.Background(), host(fmt.Sprintf("d%d.example", i)))
				results <- err
			}()
		}
		synctest.Wait()
		if n := w.fetches(); n != 256 {
			t.Errorf("%d fetches at once, want 256", n)
		}
		cancel()
		synctest.Wait()
		close(gate)
		failed := 0
		for range 300 {
			if err := <-results; err != nil {
				failed++
			}
		}
		if failed != 20 {
			t.Errorf("%d failed, want the 20 that left", failed)
		}
	})
}

// TestFetchWithoutLength: a body that ends with the connection is complete if TLS says so.
func TestFetchWithoutLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) {
			c, _, _ := rw.(http.Hijacker).Hijack()
			io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"+enforce)
			c.Close()
		})
		f, err := w.client().Fetch(context.Background(), host("example.org"))
		if err != nil || f.Policy.Text != enforce {
			t.Errorf("got %+v, %v", f, err)
		}
	})
}

// TestFetchLargest: a body of exactly the limit is read.
func TestFetchLargest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		body := enforce + "x: "
		body += strings.Repeat("y", sts.MaxPolicySize-len(body))
		w.serve("example.org", text(body))
		r := w.client().Lookup(context.Background(), host("example.org"))
		if r.Row != sts.S3 || len(r.Policy.MX) == 0 || r.StoreErr != nil {
			t.Errorf("row %s, %v, %v", r.Row, r.FetchErr, r.StoreErr)
		}
		if r := w.client(func(c *sts.Config) { c.Store = nil }).Lookup(context.Background(), host("example.org")); r.Row != sts.S3 {
			t.Errorf("row %s", r.Row)
		}
		// The same with its length told.
		w.serve("example.org", header("Content-Length", "65536", body))
		if f, err := w.client().Fetch(context.Background(), host("example.org")); err != nil || len(f.Policy.Text) != 64<<10 {
			t.Errorf("%v", err)
		}
	})
}

// TestFetchIsPastTheCache: Fetch neither reads nor changes what is kept.
func TestFetchIsPastTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		c := w.client()
		for range 2 {
			if _, err := c.Fetch(context.Background(), host("example.org")); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := c.Cached(context.Background(), host("example.org")); ok || w.fetches() != 2 {
			t.Errorf("cached %v, %d requests", ok, w.fetches())
		}
	})
}

// TestFirstOfEqualFailures: of failures of one rank the first is told.
func TestFirstOfEqualFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.dns.Add("mta-sts.example.org. 300 IN A 9.9.9.11")
		w.dialErr = func(a netip.AddrPort) error { return fmt.Errorf("no route to %s", a) }
		_, err := w.client().Fetch(context.Background(), host("example.org"))
		var fe *sts.FetchError
		if !errors.As(err, &fe) || fe.Addr.String() != "9.9.9.10:443" || len(w.attempts()) != 2 {
			t.Errorf("got %v", err)
		}
		w.dialErr = nil
		setCert(evilCA.leaf(nil, "mta-sts.example.org"))(w)
		_, err = w.client().Fetch(context.Background(), host("example.org"))
		if !errors.As(err, &fe) || fe.Addr.String() != "9.9.9.10:443" || fe.Kind != sts.ErrFetchWebPKI {
			t.Errorf("got %v", err)
		}
	})
}

// TestConnectionsAreClosed: however a fetch ends, its connections are closed when it
// returns.
func TestConnectionsAreClosed(t *testing.T) {
	everyFetch(t, func(t *testing.T, w *world) {
		w.client().Fetch(context.Background(), host("example.org"))
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, e := range w.ends {
			h := e.(*end).in // what the client writes
			h.mu.Lock()
			closed := h.closed
			h.mu.Unlock()
			if !closed {
				t.Errorf("connection %d is open", i)
			}
		}
	})
}

// eachFetch calls f with a world for each case; f breaks it.
func eachFetch(t *testing.T, cases []fetchCase, f func(t *testing.T, w *world, c fetchCase)) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				f(t, w, c)
			})
		})
	}
}

// everyFetch calls f with a world for each way in which a fetch of example.org fails, and
// with one in which it does not.
func everyFetch(t *testing.T, f func(t *testing.T, w *world)) {
	cases := append([]fetchCase{{name: "good", breaks: func(*world) {}}}, fetchCases...)
	eachFetch(t, cases, func(t *testing.T, w *world, c fetchCase) {
		c.breaks(w)
		f(t, w)
	})
}
