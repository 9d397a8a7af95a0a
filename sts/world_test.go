package sts_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
	mxpkix "github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// hostAddr is where the policy hosts of the test world lie.
var hostAddr = netip.MustParseAddr("9.9.9.10")

// certificates are made once: they are valid from 1999 to 2049, so under synctest too.
var (
	ca     = newAuthority("root")
	evilCA = newAuthority("another root")
)

type authority struct{ *certtest.Pair }

func newAuthority(name string) authority {
	template := certtest.Authority(name)
	template.NotBefore, template.NotAfter = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC)
	return authority{certtest.Issue(template, nil)}
}

// leaf makes a certificate; change may alter the template.
func (a authority) leaf(change func(*x509.Certificate), names ...string) *tls.Certificate {
	return a.signed(nil, func(c *x509.Certificate) {
		c.Subject.CommonName, c.BasicConstraintsValid = "leaf", true
		if change != nil {
			change(c)
		}
	}, names)
}

// rsaLeaf is leaf with an RSA key.
func (a authority) rsaLeaf(bits int, names ...string) *tls.Certificate {
	return a.signed(must(rsa.GenerateKey(rand.Reader, bits)), func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = 0, nil }, names)
}

// signed makes the certificate of a server that sends no other.
func (a authority) signed(key crypto.Signer, change func(*x509.Certificate), names []string) *tls.Certificate {
	template := certtest.Server(names...)
	template.NotBefore, template.NotAfter = a.Cert.NotBefore, a.Cert.NotAfter
	change(template)
	p := must(certtest.Sign(template, key, a.Pair))
	return &tls.Certificate{Certificate: [][]byte{p.Cert.Raw}, PrivateKey: p.Key}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func host(s string) rfc6125.Host { return must(rfc6125.ParseHost(s)) }

// A world is a small Internet without sockets: DNS, and HTTPS policy hosts behind
// in-memory pipes. It works under synctest.
type world struct {
	t   *testing.T
	dns *dnsfake.Resolver
	cfg sts.Config

	mu       sync.Mutex
	handlers map[string]http.HandlerFunc // by Host header
	certs    map[string]*tls.Certificate // by SNI
	tls      *tls.Config                 // base of the server's configuration
	requests []*http.Request
	hellos   []string         // SNI of each ClientHello
	dialled  []netip.AddrPort // in order
	dialErr  func(netip.AddrPort) error
	logs     logBuffer
	conns    chan net.Conn
	ends     []net.Conn // the servers' ends
	done     chan struct{}
	served   sync.WaitGroup
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Accept, Close and Addr make a world a net.Listener.
func (w *world) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}
func (w *world) Close() error   { return nil }
func (w *world) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(9, 9, 9, 10), Port: 443} }

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, dns: dnsfake.New(), handlers: map[string]http.HandlerFunc{}, certs: map[string]*tls.Certificate{},
		tls: &tls.Config{}, conns: make(chan net.Conn), done: make(chan struct{}),
	}
	w.dns.SetClock(time.Now)
	w.cfg = sts.Config{
		Resolver: w.dns, Roots: mxpkix.NewRoots(ca.Cert), Dial: w.dial, Timeout: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(&w.logs, nil)),
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.mu.Lock()
			w.requests = append(w.requests, r)
			h := w.handlers[r.Host]
			w.mu.Unlock()
			if h == nil {
				http.NotFound(rw, r)
				return
			}
			h(rw, r)
		}),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	w.served.Go(func() {
		srv.Serve(tls.NewListener(w, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.hellos = append(w.hellos, h.ServerName)
			c := w.tls.Clone()
			if cert := w.certs[h.ServerName]; cert != nil {
				c.Certificates = []tls.Certificate{*cert}
			}
			return c, nil
		}}))
	})
	t.Cleanup(func() {
		close(w.done)
		srv.Close()
		for _, c := range w.ends {
			c.Close()
		}
		w.served.Wait()
	})
	return w
}

func (w *world) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	w.dialled = append(w.dialled, addr)
	refuse := w.dialErr
	w.mu.Unlock()
	if refuse != nil {
		if err := refuse(addr); err != nil {
			return nil, err
		}
	}
	a, b := pipe()
	w.mu.Lock()
	w.ends = append(w.ends, b)
	w.mu.Unlock()
	select {
	case w.conns <- b:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.done:
		return nil, errors.New("the world has ended")
	}
}

// serve sets what the policy host of domain answers.
func (w *world) serve(domain string, h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handlers["mta-sts."+domain] = h
}

// domain publishes a record, an address, a certificate and a policy for name.
func (w *world) domain(name, id, policy string) {
	w.record(name, "v=STSv1; id="+id+";")
	w.dns.Add("mta-sts." + name + ". 300 IN A " + hostAddr.String())
	w.mu.Lock()
	w.certs["mta-sts."+name] = ca.leaf(nil, "mta-sts."+name)
	w.mu.Unlock()
	w.serve(name, text(policy))
}

// record publishes texts as TXT records in the place of those before.
func (w *world) record(name string, texts ...string) {
	w.dns.Remove("_mta-sts."+name, typeTXT)
	for _, s := range texts {
		w.dns.Add(fmt.Sprintf("_mta-sts.%s. 300 IN TXT %q", name, s))
	}
}

func text(body string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, body)
	}
}

func status(code int) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(code) }
}

// client makes a client of the world's configuration; change may alter it.
func (w *world) client(change ...func(*sts.Config)) *sts.Client {
	w.t.Helper()
	cfg := w.cfg
	for _, f := range change {
		f(&cfg)
	}
	c, err := sts.NewClient(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	})
	return c
}

// seen returns the requests that the policy hosts have seen, and forgets them if asked.
func (w *world) seen(forget bool) []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := slices.Clone(w.requests)
	if forget {
		w.requests = nil
	}
	return r
}

// attempts returns the addresses that were dialled, in order.
func (w *world) attempts() []netip.AddrPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.dialled)
}

// fetches counts the requests that the policy hosts have seen.
func (w *world) fetches() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.requests)
}

func newMemory(t *testing.T) *store.Memory {
	t.Helper()
	m, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func policy(mode string, maxAge int, mx ...string) string {
	s := "version: STSv1\nmode: " + mode + "\n"
	for _, m := range mx {
		s += "mx: " + m + "\n"
	}
	return s + fmt.Sprintf("max_age: %d\n", maxAge)
}

// gated answers only after the gate is open.
func gated(gate <-chan struct{}, h http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		<-gate
		h(rw, r)
	}
}

// synctestWait is synctest.Wait for a goroutine beside the test's own.
func synctestWait() { synctest.Wait() }
