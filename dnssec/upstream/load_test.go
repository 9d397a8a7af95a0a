package upstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/rfc6125"
)

// own answers with a TXT record that holds the name asked for, so that a mixed-up
// answer is seen.
func own(q *dns.Msg) *dns.Msg {
	m := dnsfake.Answer(q, fmt.Sprintf("%s 60 IN TXT %q", q.Question[0].Name, q.Question[0].Name))
	m.AuthenticatedData = true
	return m
}

// load asks questions for names from many goroutines, some of which leave early, and
// checks that each gets its own answer.
func load(t *testing.T, r dnssec.Resolver, names, questions, goroutines int, leave bool) {
	t.Helper()
	qs := make([]dnssec.Question, names)
	for i := range qs {
		n, err := rfc6125.ParseName(fmt.Sprintf("n%d.example.org", i))
		if err != nil {
			t.Fatal(err)
		}
		qs[i] = dnssec.Question{Name: n, Type: dnssec.TypeTXT}
	}
	order := rand.New(rand.NewPCG(3, 4)).Perm(questions)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(questions); i = next.Add(1) - 1 {
				q := qs[order[i]%names]
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if leave && i%7 == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(i%5)*time.Millisecond)
				}
				a, err := r.Resolve(ctx, q)
				cancel()
				if leave && i%7 == 0 && errors.Is(err, dnssec.ErrLookup) {
					continue
				}
				if err != nil || len(a.Records) != 1 || string(a.Records[0].Data[1:]) != q.Name.FQDN() || a.Status != dnssec.Secure {
					t.Errorf("%s: %v %v", q, a.Records, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestOneQuestionForMany(t *testing.T) {
	// 10,000 questions for 1,000 names from 256 goroutines: 1,000 questions on the wire.
	ca := newAuthority()
	srv := dnsfake.StartTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.serverCert("", []string{"127.0.0.1"}, nil)}},
		func(r *dnsfake.Request) { r.Reply(own(r.Msg)) })
	s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: dot(t, srv, "tls://%s", upstream.Config{RootCAs: ca.pool})})
	if err != nil {
		t.Fatal(err)
	}
	c := dnssec.NewCached(s, dnssec.CacheConfig{})
	defer c.Close()
	load(t, c, 1000, 10_000, 256, false)
	// A question whose answer is late, on a busy machine, is sent a second time.
	if n := srv.Requests(); n < 1000 || n > 1100 {
		t.Errorf("%d questions on the wire", n)
	}
	if n := srv.Conns(); n > 4 {
		t.Errorf("%d connections", n)
	}
}

func TestLoadOnBadServers(t *testing.T) {
	// Two servers that lose, mix up, truncate, refuse and close, under load, with callers
	// that leave: every answer is the right one, and nothing is left behind (goleak).
	var n atomic.Int64
	bad := func(r *dnsfake.Request) {
		k := n.Add(1)
		m := own(r.Msg)
		switch {
		case r.Network == "udp" && k%3 == 0: // lost
			return
		case r.Network == "udp" && k%5 == 0:
			m.Answer = nil
			m.Truncated = true
		case k%11 == 0:
			m.Rcode, m.Answer = dns.RcodeServerFailure, nil
		case k%4 == 0: // something else first
			x := own(r.Msg)
			x.Id++
			r.Reply(x)
			x = own(r.Msg)
			x.Question[0].Name = "other.example."
			r.Reply(x)
		}
		r.Reply(m)
		if r.Network == "tcp" && k%2 == 0 {
			r.Close()
		}
	}
	good := func(r *dnsfake.Request) {
		if n.Add(1)%3 != 0 || r.Network != "udp" {
			r.Reply(own(r.Msg))
		}
	}
	c := client(t, upstream.Config{Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}, dnsfake.Start(t, bad), dnsfake.Start(t, good))
	s, err := dnssec.NewStub(dnssec.StubConfig{Upstream: c})
	if err != nil {
		t.Fatal(err)
	}
	load(t, s, 200, 400, 64, true)
}
