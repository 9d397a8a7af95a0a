package sts_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/sts"
)

// A flood is a world in which many domains have policy hosts that hang.
type flood struct {
	*world
	holes map[netip.Addr]bool
	how   string     // how they hang: "dial", "handshake"; "get" is a matter of the handlers
	open  []net.Conn // of those that hang in the handshake
	most  int        // connections to them at once
	now   int
}

func newFlood(t *testing.T, how string) *flood {
	w := &flood{world: newWorld(t), holes: map[netip.Addr]bool{}, how: how}
	w.cfg.Timeout = 0 // the default, one minute
	w.cfg.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		w.mu.Lock()
		hole := w.holes[addr.Addr()]
		w.mu.Unlock()
		if !hole {
			return w.world.dial(ctx, addr)
		}
		w.count(1)
		if w.how == "handshake" {
			a, b := net.Pipe()
			w.mu.Lock()
			w.open = append(w.open, b)
			w.mu.Unlock()
			return &hungConn{Conn: a, close: sync.OnceFunc(func() { w.count(-1) })}, nil
		}
		defer w.count(-1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return w
}

func (w *flood) count(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now += n
	w.most = max(w.most, w.now)
}

// hungConn takes what is written and never answers.
type hungConn struct {
	net.Conn
	close func()
}

func (c *hungConn) Write(p []byte) (int, error) { return len(p), nil }
func (c *hungConn) Close() error {
	c.close()
	return c.Conn.Close()
}

// hostile gives domain n a policy host that hangs, with four addresses.
func (w *flood) hostile(n int, domain string) {
	w.record(domain, "v=STSv1; id=x;")
	for a := range 4 {
		addr := netip.AddrFrom4([4]byte{5, byte(n >> 8), byte(n), byte(a + 1)})
		w.mu.Lock()
		w.holes[addr] = true
		w.mu.Unlock()
		w.dns.Add(fmt.Sprintf("mta-sts.%s. 300 IN A %s", domain, addr))
	}
}

// fetchedWithin asks for the policies of new domains as a mail server does, again and
// again, and holds the time until each is there to a bound. Nothing may be taken for an
// absent policy meanwhile.
func (w *flood) fetchedWithin(c *sts.Client, domains []string, bound time.Duration) {
	w.t.Helper()
	start := time.Now()
	defer func() { w.t.Logf("all are fetched after %v", time.Since(start)) }()
	var wg sync.WaitGroup
	for _, d := range domains {
		wg.Go(func() {
			for {
				r := c.Lookup(context.Background(), host(d))
				took := time.Since(start)
				switch {
				case r.Policy != nil && took > bound:
					w.t.Errorf("%s: fetched after %v, want %v", d, took, bound)
					return
				case r.Policy != nil:
					return
				case r.Row != sts.S13 || !r.Pending || errors.Is(r.FetchErr, sts.ErrFetch):
					w.t.Errorf("%s: after %v: row %s, %v", d, took, r.Row, r.FetchErr)
					return
				case took > 5*time.Minute:
					w.t.Errorf("%s: not fetched after %v: %v", d, took, r.FetchErr)
					return
				}
				time.Sleep(time.Second)
			}
		})
	}
	wg.Wait()
}

// TestFlood: a thousand hostile policy hosts do not keep new domains from being fetched.
func TestFlood(t *testing.T) {
	victims := func(w *flood) []string {
		var out []string
		for i := range 50 {
			d := fmt.Sprintf("victim%d.example", i)
			w.domain(d, "v1", policy("enforce", 604800, "mx."+d))
			out = append(out, d)
		}
		return out
	}
	for _, c := range []struct {
		how         string
		registrable int
		later       time.Duration // the new domains come so much later
		bound       time.Duration
	}{
		{"dial", 1, 0, 3 * time.Second},
		{"dial", 10, 0, 3 * time.Second},
		{"dial", 1000, 0, time.Minute},
		{"handshake", 1000, 35 * time.Second, time.Minute},
	} {
		t.Run(fmt.Sprintf("hang in %s, %d registrable domains, %v later", c.how, c.registrable, c.later), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFlood(t, c.how)
				list := victims(w)
				cl := w.client()
				for n := range 1000 {
					d := fmt.Sprintf("d%d.evil%d.example", n, n%c.registrable)
					w.hostile(n, d)
					go cl.Lookup(context.Background(), host(d))
				}
				synctest.Wait()
				time.Sleep(c.later)
				w.fetchedWithin(cl, list, c.bound)
				cl.Close()
				if w.most > 256 {
					t.Errorf("%d connections at once", w.most)
				}
				if c.registrable == 1 && w.most != 64 {
					t.Errorf("%d connections at once for one registrable domain, want a quarter", w.most)
				}
			})
		})
	}
	// With certificates, too: they hang behind the handshake, for as long as a fetch lasts.
	t.Run("hang in the answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newFlood(t, "get")
			gate := make(chan struct{})
			cl := w.client()
			for n := range 400 {
				d := fmt.Sprintf("evil%d.example", n)
				w.record(d, "v=STSv1; id=x;")
				w.dns.Add(fmt.Sprintf("mta-sts.%s. 300 IN A 5.5.%d.%d", d, n>>8, n&255))
				w.mu.Lock()
				w.certs["mta-sts."+d] = anyPolicyHost()
				w.mu.Unlock()
				w.serve(d, gated(gate, status(404)))
				go cl.Lookup(context.Background(), host(d))
			}
			list := victims(w)
			synctest.Wait()
			w.fetchedWithin(cl, list, time.Minute)
			close(gate)
		})
	})
}

// anyPolicyHost is a certificate for mta-sts.evilN.example.
var anyPolicyHost = sync.OnceValue(func() *tls.Certificate {
	var names []string
	for n := range 400 {
		names = append(names, fmt.Sprintf("mta-sts.evil%d.example", n))
	}
	return ca.leaf(nil, names...)
})

// TestProviderTurns: a hostile domain cannot use up the turns of a provider by an address
// of its own besides an alias of the provider.
func TestProviderTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFlood(t, "dial")
		w.dns.Add("policies.provider.example. 300 IN A " + hostAddr.String())
		w.domain("victim.example", "v1", enforce)
		w.dns.Remove("mta-sts.victim.example", dnssec.TypeA)
		w.dns.Add("mta-sts.victim.example. 300 IN CNAME policies.provider.example.")
		hole := netip.MustParseAddr("2620:fe::9")
		w.holes[hole] = true
		split := &splitResolver{w.dns, hole}
		cl := w.client(func(c *sts.Config) { c.Resolver = split })
		for n := range 20 {
			d := fmt.Sprintf("evil%d.example", n)
			w.record(d, "v=STSv1; id=x;")
			w.dns.Add("mta-sts." + d + ". 300 IN CNAME policies.provider.example.")
			go cl.Lookup(context.Background(), host(d))
		}
		synctest.Wait()
		w.fetchedWithin(cl, []string{"victim.example"}, 3*time.Second)
	})
}

// splitResolver answers for AAAA of policy hosts of evil domains with an address, though
// for A they are aliases.
type splitResolver struct {
	dnssec.Resolver
	hole netip.Addr
}

func (r *splitResolver) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	a, err := r.Resolver.Resolve(ctx, q)
	if q.Type == dnssec.TypeAAAA && len(q.Name.String()) > 12 && q.Name.String()[:12] == "mta-sts.evil" {
		b := r.hole.As16()
		a.Kind, a.Chain, a.Final, err = dnssec.Data, nil, q.Name, nil
		a.Records = []dnssec.Record{{Type: dnssec.TypeAAAA, TTL: 300, Data: b[:]}}
	}
	return a, err
}

// TestTurns: who gets a turn, and when.
func TestTurns(t *testing.T) {
	type turn struct {
		release func()
		ended   func() bool
	}
	take := func(s sts.Turns, domain, host string, first bool, patience time.Duration) *turn {
		release, ended, err := s.Acquire(context.Background(), patience, domain, host, first, 10*time.Second)
		if err != nil {
			return nil
		}
		return &turn{release, ended}
	}
	for _, c := range []struct {
		name string
		f    func(t *testing.T, s sts.Turns)
	}{
		{"limits, and turns come back", func(t *testing.T, s sts.Turns) {
			wants := func(domain, host string, want bool) *turn {
				t.Helper()
				u := take(s, domain, host, false, time.Second)
				if (u != nil) != want {
					t.Errorf("a turn for %s: %v", host, !want)
				}
				return u
			}
			var all []*turn
			keep := func(u *turn) { all = append(all, u) }
			keep(wants("a.example", "x.a.example", true))
			keep(wants("a.example", "x.a.example", true))
			wants("a.example", "x.a.example", false) // two of a host
			keep(wants("a.example", "y.a.example", true))
			keep(wants("a.example", "z.a.example", true)) // half of all, and as many are free
			wants("a.example", "y.a.example", false)
			keep(wants("b.example", "b.example", true)) // 5 of 8
			keep(wants("b.example", "b.example", true))
			keep(wants("c.example", "c.example", true)) // 7
			wants("c.example", "d.c.example", false)    // it has as many as are free
			keep(wants("d.example", "d.example", true)) // 8
			wants("e.example", "e.example", false)
			for _, u := range all {
				u.release()
			}
			for _, d := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
				u := wants(d+".example", d+".example", true)
				defer u.release()
			}
		}},
		{"hosts that have answered go first, then who came first", func(t *testing.T, s sts.Turns) {
			var held []*turn
			for i := range 8 {
				held = append(held, take(s, fmt.Sprint(i), "h.example", false, 0))
				if i%2 == 1 { // no more than two of a host
					continue
				}
			}
			for i, u := range held {
				if (u != nil) != (i < 2) {
					t.Fatalf("turn %d", i)
				}
			}
			for i := 2; i < 8; i++ {
				held[i] = take(s, fmt.Sprint(i), fmt.Sprintf("h%d.example", i), false, 0)
			}
			var mu sync.Mutex
			var order []string
			for _, n := range []string{"new1", "new2", "known1", "known2"} {
				go func() {
					u := take(s, n, n+".example", n[0] == 'k', time.Hour)
					mu.Lock()
					order = append(order, n)
					mu.Unlock()
					u.release()
				}()
				synctest.Wait()
			}
			held[0].release()
			synctest.Wait()
			if want := []string{"known1", "known2", "new1", "new2"}; !slices.Equal(order, want) {
				t.Errorf("%v, want %v", order, want)
			}
			for _, u := range held[1:] {
				u.release()
			}
		}},
		{"a turn ends when it is overdue and others wait", func(t *testing.T, s sts.Turns) {
			var held []*turn
			for i := range 8 {
				held = append(held, take(s, fmt.Sprint(i), fmt.Sprintf("h%d.example", i), false, 0))
				time.Sleep(time.Second)
			}
			time.Sleep(time.Minute)
			for _, u := range held {
				if u.ended() {
					t.Fatal("ended though none waits")
				}
			}
			got := make(chan *turn, 2)
			for i := range 2 {
				go func() { got <- take(s, "x", fmt.Sprintf("x%d.example", i), false, time.Hour) }()
			}
			synctest.Wait()
			n := 0
			for i, u := range held {
				if u.ended() {
					n++
					if i > 1 {
						t.Errorf("turn %d was ended, which is not among the oldest", i)
					}
				}
			}
			if n == 0 || n > 2 {
				t.Errorf("%d turns were ended", n)
			}
			for _, u := range held {
				u.release()
			}
			(<-got).release()
			(<-got).release()
		}},
		{"one registrable domain does not fill the queue", func(t *testing.T, s sts.Turns) {
			for i := range 8 {
				u := take(s, fmt.Sprint(i), fmt.Sprintf("h%d.example", i), false, 0)
				defer u.release()
			}
			results := make(chan bool, 100)
			for range 20 {
				go func() { results <- take(s, "evil", "evil.example", false, time.Minute) != nil }()
			}
			synctest.Wait()
			if n := len(results); n != 10 {
				t.Errorf("%d of 20 were sent away, want those beyond half the queue", n)
			}
			time.Sleep(30 * time.Second)
			release, _, err := s.Acquire(context.Background(), time.Second, "new", "new.example", false, 0)
			if err == nil {
				release()
				t.Error("a turn though there is none")
			}
			time.Sleep(time.Hour)
		}},
		{"who leaves takes nothing", func(t *testing.T, s sts.Turns) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if _, _, err := s.Acquire(ctx, time.Hour, "a", "a.example", false, 0); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			for i := range 8 {
				u := take(s, fmt.Sprint(i), fmt.Sprintf("h%d.example", i), false, 0)
				defer u.release()
			}
			ctx, cancel = context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if _, _, err := s.Acquire(ctx, time.Hour, "a", "a.example", false, 0); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sts.NewTurns(8, 4, 2, 20)
				c.f(t, s)
				synctest.Wait()
				if n := s.Left(); n != 0 {
					t.Errorf("%d things are left", n)
				}
			})
		})
	}
}

// TestS13 is row S13: a fetch without an outcome is no failed one.
func TestS13(t *testing.T) {
	hangs := func(t *testing.T) (*world, chan struct{}) {
		w := newWorld(t)
		w.cfg.Timeout = 0
		w.domain("example.org", "one", enforce)
		gate := make(chan struct{})
		w.serve("example.org", gated(gate, text(enforce)))
		return w, gate
	}
	ctx, domain := context.Background(), host("example.org")
	// lookup asks, and holds row and waiting time to what is wanted.
	lookup := func(t *testing.T, c *sts.Client, row sts.Row, took time.Duration) sts.Result {
		t.Helper()
		start := time.Now()
		r := c.Lookup(ctx, domain)
		if d := time.Since(start); r.Row != row || d.Round(time.Second) != took || r.Pending != (row == sts.S13) {
			t.Errorf("row %s after %v (pending %v), want %s after %v: %v", r.Row, d, r.Pending, row, took, r.FetchErr)
		}
		return r
	}
	for name, f := range map[string]func(*testing.T){
		"a host that hangs delays once": func(t *testing.T) {
			w, gate := hangs(t)
			defer close(gate)
			st := newMemory(t)
			c := w.client(func(c *sts.Config) { c.Store = st })
			if r := lookup(t, c, sts.S13, 10*time.Second); !errors.Is(r.FetchErr, sts.ErrPending) || errors.Is(r.FetchErr, sts.ErrFetch) {
				t.Errorf("%v", r.FetchErr)
			}
			if n := st.Stats().Entries; n != 0 {
				t.Errorf("%d entries: there is a back-off before the fetch has ended", n)
			}
			time.Sleep(45 * time.Second)
			// The fetch ends while this one waits: at 60 s.
			if r := lookup(t, c, sts.S4, 5*time.Second); !errors.Is(r.FetchErr, sts.ErrFetchTimeout) {
				t.Errorf("%v", r.FetchErr)
			}
			lookup(t, c, sts.S4, 0) // in back-off
			n := w.fetches()
			for range 10 {
				time.Sleep(6 * time.Minute)
				r := lookup(t, c, sts.S4, 0)
				var fe *sts.FetchError
				if !errors.As(r.FetchErr, &fe) || !fe.Repeated || !errors.Is(fe, sts.ErrFetchTimeout) || !r.Until.After(time.Now()) {
					t.Errorf("%+v, until %v", fe, r.Until)
				}
				synctest.Wait()
				if n++; w.fetches() != n {
					t.Errorf("%d fetches, want %d: it is to be repeated, without a wait", w.fetches(), n)
				}
			}
		},
		"after an hour it is waited for again": func(t *testing.T) {
			w, gate := hangs(t)
			defer close(gate)
			c := w.client(func(c *sts.Config) { c.Store = newMemory(t) })
			lookup(t, c, sts.S13, 10*time.Second)
			time.Sleep(50*time.Second + time.Hour)
			lookup(t, c, sts.S13, 10*time.Second)
		},
		"the repeated fetch is taken up": func(t *testing.T) {
			w, gate := hangs(t)
			c := w.client()
			lookup(t, c, sts.S13, 10*time.Second)
			time.Sleep(10 * time.Minute)
			close(gate)
			lookup(t, c, sts.S4, 0)
			synctest.Wait()
			if r := c.Lookup(ctx, domain); r.Row != sts.S5 || r.Policy == nil {
				t.Errorf("row %s", r.Row)
			}
		},
		"a host that answers after 20 seconds is honoured": func(t *testing.T) {
			w, gate := hangs(t)
			c := w.client()
			time.AfterFunc(20*time.Second, func() { close(gate) })
			lookup(t, c, sts.S13, 10*time.Second)
			time.Sleep(5 * time.Second)
			if r := lookup(t, c, sts.S3, 5*time.Second); r.Policy == nil {
				t.Errorf("%+v", r)
			}
			lookup(t, c, sts.S5, 0)
		},
		"an id that changes every time": func(t *testing.T) {
			w, gate := hangs(t)
			defer close(gate)
			c := w.client()
			for i := range 8 {
				w.record("example.org", fmt.Sprintf("v=STSv1; id=%d;", i))
				if i < 3 {
					lookup(t, c, sts.S13, 10*time.Second)
				} else {
					lookup(t, c, sts.S4, 0)
				}
				time.Sleep(6 * time.Minute)
			}
		},
		"the wait is an option": func(t *testing.T) {
			w, gate := hangs(t)
			defer close(gate)
			c := w.client(func(c *sts.Config) { c.Wait = 3 * time.Second })
			lookup(t, c, sts.S13, 3*time.Second)
		},
		"a program that ends waits for the fetch, which is S4": func(t *testing.T) {
			w, gate := hangs(t)
			defer close(gate)
			c := w.client(func(c *sts.Config) { c.Wait, c.Timeout = sts.DefaultWait, sts.DefaultWait })
			lookup(t, c, sts.S4, 10*time.Second)
			time.Sleep(10 * time.Minute)
			lookup(t, c, sts.S4, 10*time.Second) // a repeated one, too
		},
		"with a cached policy it is S7, and nothing to report": func(t *testing.T) {
			w, gate := hangs(t)
			defer close(gate)
			st := newMemory(t)
			c := w.client(func(c *sts.Config) { c.Store = st })
			if err := sts.Keep(c, domain, "zero", enforce, time.Now()); err != nil {
				t.Fatal(err)
			}
			r := c.Lookup(ctx, domain)
			if r.Row != sts.S7 || !r.Pending || r.Policy == nil || errors.Is(r.FetchErr, sts.ErrFetch) {
				t.Errorf("%+v", r)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
}

// TestShortage: what fails by a limit or the end of this program is no failure of the
// domain, and begins no back-off.
func TestShortage(t *testing.T) {
	domain := host("example.org")
	noFile := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(9, 9, 9, 10), Port: 443}, Err: os.NewSyscallError("socket", syscall.EMFILE)}
	for name, edit := range map[string]func(*sts.Config){
		"no file descriptor for the policy host": func(c *sts.Config) {
			c.Dial = func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, noFile }
		},
		"no port for the policy host": func(c *sts.Config) {
			no := *noFile
			no.Err = os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)
			c.Dial = func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, &no }
		},
		"no file descriptor for the addresses": func(c *sts.Config) {
			c.Resolver = failingResolver{c.Resolver, dnssec.TypeA, &dnssec.LookupError{Kind: dnssec.ErrUnreachable, Cause: noFile}}
		},
		"the record's resolver is closed": func(c *sts.Config) {
			c.Resolver = failingResolver{c.Resolver, typeTXT, &dnssec.LookupError{Kind: dnssec.ErrUnreachable, Cause: dnssec.ErrCacheClosed}}
		},
		"the resolver was stopped": func(c *sts.Config) {
			c.Resolver = failingResolver{c.Resolver, typeTXT, &dnssec.LookupError{Kind: dnssec.ErrTimeout, Cause: context.Canceled}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				st := newMemory(t)
				c := w.client(edit, func(c *sts.Config) { c.Store = st })
				r := c.Lookup(t.Context(), domain)
				if r.Row != sts.S13 || !r.Pending || !errors.Is(r.FetchErr, sts.ErrNoTurn) || errors.Is(r.FetchErr, sts.ErrFetch) {
					t.Errorf("row %s, %v", r.Row, r.FetchErr)
				}
				if n := st.Stats().Entries; n != 0 {
					t.Errorf("%d entries", n)
				}
				// A kept policy is applied, and a refresh that was not tried has not failed.
				if err := sts.Keep(c, domain, "zero", enforce, time.Now()); err != nil {
					t.Fatal(err)
				}
				if r := c.Lookup(t.Context(), domain); r.Policy == nil || !r.Pending {
					t.Errorf("with a kept policy: row %s, %v", r.Row, r.FetchErr)
				}
				time.Sleep(25 * time.Hour)
				c.Refresh(t.Context())
				i, _, err := c.Cache().Show(t.Context(), domain)
				if err != nil || i.Failures != 0 {
					t.Errorf("%+v, %v", i, err)
				}
			})
		})
	}
	t.Run("no IPv6 here is no shortage", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.domain("example.org", "one", enforce)
			w.dns.Add("mta-sts.example.org. 300 IN AAAA 2620:fe::9")
			c := w.client(func(c *sts.Config) {
				c.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
					if a.Addr().Is6() {
						return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(a), Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}
					}
					return w.dial(ctx, a)
				}
			})
			if r := c.Lookup(t.Context(), domain); r.Row != sts.S3 {
				t.Errorf("row %s, %v", r.Row, r.FetchErr)
			}
			w.dns.Remove("mta-sts.example.org", dnssec.TypeA)
			if _, err := c.Fetch(t.Context(), domain); !errors.Is(err, sts.ErrFetchTCP) {
				t.Errorf("%v", err)
			}
		})
	})
}

// failingResolver fails for one type.
type failingResolver struct {
	dnssec.Resolver
	typ dnssec.Type
	err error
}

func (r failingResolver) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	if q.Type == r.typ || r.typ == dnssec.TypeA && q.Type == dnssec.TypeAAAA {
		return dnssec.Answer{Question: q}, r.err
	}
	return r.Resolver.Resolve(ctx, q)
}

// TestDeadAddresses: each address has its share of a short time.
func TestDeadAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFlood(t, "dial")
		w.domain("example.org", "one", enforce)
		for _, a := range []string{"2620:fe::9", "2620:fe::a"} {
			w.holes[netip.MustParseAddr(a)] = true
			w.dns.Add("mta-sts.example.org. 300 IN AAAA " + a)
		}
		c := w.client(func(c *sts.Config) { c.Wait, c.Timeout = sts.DefaultWait, sts.DefaultWait })
		if r := c.Lookup(t.Context(), host("example.org")); r.Row != sts.S3 {
			t.Errorf("row %s, %v", r.Row, r.FetchErr)
		}
	})
}
