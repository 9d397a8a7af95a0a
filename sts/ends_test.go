package sts_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// What is begun ends, and what has ended begins nothing.

// countedConn counts how often it is closed.
type countedConn struct {
	net.Conn
	closed atomic.Int32
}

func (c *countedConn) Close() error {
	c.closed.Add(1)
	return c.Conn.Close()
}

// TestClientClosesItsConnections: whatever the peer does with its own ends.
func TestClientClosesItsConnections(t *testing.T) {
	everyFetch(t, func(t *testing.T, w *world) {
		var conns []*countedConn
		cl := w.client(func(c *sts.Config) {
			c.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				conn, err := w.dial(ctx, a)
				if err != nil {
					return nil, err
				}
				conns = append(conns, &countedConn{Conn: conn})
				return conns[len(conns)-1], nil
			}
		})
		cl.Fetch(context.Background(), host("example.org"))
		for i, conn := range conns {
			if conn.closed.Load() == 0 {
				t.Errorf("connection %d is open", i)
			}
		}
	})
}

// TestDialContextEnds: the time for a connect is over when the connection stands.
func TestDialContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		var dial context.Context
		var meanwhile error
		w.serve("example.org", func(rw http.ResponseWriter, r *http.Request) {
			meanwhile = dial.Err()
			text(enforce)(rw, r)
		})
		c := w.client(func(c *sts.Config) {
			c.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				dial = ctx
				return w.dial(ctx, a)
			}
		})
		if _, err := c.Fetch(context.Background(), host("example.org")); err != nil || !errors.Is(meanwhile, context.Canceled) {
			t.Errorf("%v; during the request the context of the dial says %v", err, meanwhile)
		}
	})
}

// TestCloseWaits: for work that does not end at once when it is told to.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		gate := make(chan struct{})
		c, err := sts.NewClient(func() sts.Config {
			cfg := w.cfg
			cfg.Dial = func(context.Context, netip.AddrPort) (net.Conn, error) {
				<-gate
				return nil, errors.New("no route")
			}
			return cfg
		}())
		if err != nil {
			t.Fatal(err)
		}
		go c.Lookup(context.Background(), host("example.org"))
		synctest.Wait()
		var closed atomic.Bool
		go func() {
			c.Close()
			closed.Store(true)
		}()
		synctest.Wait()
		if closed.Load() {
			t.Error("Close has returned while a fetch is under way")
		}
		close(gate)
		synctest.Wait()
		if !closed.Load() {
			t.Error("Close has not returned though nothing is under way")
		}
	})
}

// TestClosedClientBeginsNothing: it asks for records, which others may want to know, and
// fetches nothing.
func TestClosedClientBeginsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		st := newMemory(t)
		c := w.client(func(c *sts.Config) { c.Store = st })
		c.Close()
		r := c.Lookup(context.Background(), host("example.org"))
		var fe *sts.FetchError
		if r.Row != sts.S13 || !r.Pending || !errors.Is(r.FetchErr, sts.ErrNoTurn) || !errors.As(r.FetchErr, &fe) || fe.Detail != "the client is closed" || fe.Host != host("mta-sts.example.org") {
			t.Errorf("row %s, %v", r.Row, r.FetchErr)
		}
		if r.Until.Before(time.Now()) {
			t.Errorf("to be asked again at %s", r.Until)
		}
		// A policy that is kept under another id holds on: the shortage is this client's.
		if err := sts.Keep(c, host("example.org"), "zero", enforce, time.Now()); err != nil {
			t.Fatal(err)
		}
		if r := c.Lookup(context.Background(), host("example.org")); r.Policy == nil || r.Policy.Mode != sts.ModeEnforce || !errors.Is(r.FetchErr, sts.ErrNoTurn) {
			t.Errorf("row %s with the kept policy %v, %v", r.Row, r.Policy, r.FetchErr)
		}
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		c.Lookup(gone, host("example.org"))
		synctest.Wait()
		for _, q := range w.dns.Asked() {
			if strings.HasPrefix(q.Name.String(), "mta-sts.") {
				t.Errorf("asked %s", q)
			}
		}
	})
}

// TestGoingOnWithoutARecord: who has left while the record could not be had left nothing to
// fetch.
func TestGoingOnWithoutARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.dns.Fail("_mta-sts.example.org", typeTXT, dnssec.ErrServFail)
		st := newMemory(t)
		c := w.client(func(c *sts.Config) { c.Store = st })
		release := w.dns.Hold("_mta-sts.example.org", typeTXT)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S12 {
			t.Errorf("row %s", r.Row)
		}
		release()
		synctest.Wait()
		if n := st.Stats().Entries; w.fetches() != 0 || n != 0 || len(w.attempts()) != 0 {
			t.Errorf("%d fetches, %d entries", w.fetches(), n)
		}
	})
}

// TestFailureNamesTheAddress: also what failed after the connection stood.
func TestFailureNamesTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		w.serve("example.org", status(500))
		f, err := w.client().Fetch(context.Background(), host("example.org"))
		var fe *sts.FetchError
		if !errors.As(err, &fe) || fe.Addr.String() != "9.9.9.10:443" || f.Addr != fe.Addr {
			t.Errorf("%+v, %+v", fe, f.Addr)
		}
	})
}

// lyingResolver gives an address together with an error.
type lyingResolver struct{ dnssec.Resolver }

func (r lyingResolver) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	a, err := r.Resolver.Resolve(ctx, q)
	if err == nil && q.Type != typeTXT {
		err = &dnssec.LookupError{Question: q, Kind: dnssec.ErrBogus}
	}
	return a, err
}

// TestAddressesOfAFailedLookup are none.
func TestAddressesOfAFailedLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		c := w.client(func(c *sts.Config) { c.Resolver = lyingResolver{w.dns} })
		if _, err := c.Fetch(context.Background(), host("example.org")); !errors.Is(err, sts.ErrFetchDNS) || len(w.attempts()) != 0 {
			t.Errorf("%v, dialled %v", err, w.attempts())
		}
	})
}

// TestSystemRootsMissing: without anchors no client can be made.
func TestSystemRootsMissing(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", "/nowhere/roots.pem")
	t.Setenv("SSL_CERT_DIR", "")
	w := newWorld(t)
	cfg := w.cfg
	cfg.Roots = nil
	if c, err := sts.NewClient(cfg); err == nil || c != nil {
		t.Errorf("%v, %v", c, err)
	}
}

// TestOneGoesOnForAll: those who have left are looked after by one lookup, which lasts until
// the policy is there.
func TestOneGoesOnForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		gate := make(chan struct{})
		w.serve("example.org", gated(gate, text(enforce)))
		c := w.client()
		leave := func() {
			t.Helper()
			release := w.dns.Hold("_mta-sts.example.org", typeTXT)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S12 {
				t.Errorf("row %s", r.Row)
			}
			synctest.Wait()
			release()
			synctest.Wait()
		}
		leave()
		if n := len(w.dns.Asked()); n != 4 || w.fetches() != 1 {
			t.Errorf("%d questions and %d fetches, want two for the record and two for addresses, and one", n, w.fetches())
		}
		leave()
		if n := len(w.dns.Asked()); n != 5 || w.fetches() != 1 {
			t.Errorf("%d questions and %d fetches, want one more of the second caller's own", n, w.fetches())
		}
		close(gate)
	})
}

// TestOwnStoreIsClosed: the memory of a client that was given no store ends with it.
func TestOwnStoreIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		c := w.client()
		c.Lookup(context.Background(), host("example.org"))
		if _, ok := c.Cached(context.Background(), host("example.org")); !ok {
			t.Fatal("nothing is kept")
		}
		c.Close()
		if r, ok := c.Cached(context.Background(), host("example.org")); ok || !errors.Is(r.StoreErr, store.ErrUnavailable) {
			t.Errorf("%v, %v", ok, r.StoreErr)
		}
	})
}

// TestCloseEndsAFetch: Close does not wait for a policy host, and what it cut off is no
// failure of that host.
func TestCloseEndsAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		gate := make(chan struct{})
		defer close(gate)
		w.serve("example.org", gated(gate, text(enforce)))
		st := newMemory(t)
		ev := &events{}
		c := w.client(func(c *sts.Config) { c.Store, c.Observer = st, ev.observer() })
		got := make(chan sts.Result, 1)
		go func() { got <- c.Lookup(context.Background(), host("example.org")) }()
		synctest.Wait()
		start := time.Now()
		c.Close()
		if time.Since(start) != 0 {
			t.Errorf("Close took %s", time.Since(start))
		}
		r := <-got
		if r.Row != sts.S13 || !r.Pending || r.Policy != nil || !errors.Is(r.FetchErr, sts.ErrNoTurn) {
			t.Errorf("row %s, %v", r.Row, r.FetchErr)
		}
		if n := st.Stats().Entries; n != 0 {
			t.Errorf("%d entries: a back-off was noted", n)
		}
		var fe *sts.FetchError
		if !errors.As(r.FetchErr, &fe) || !fe.Until.IsZero() || r.StoreErr != nil {
			t.Errorf("%+v, %v", fe, r.StoreErr)
		}
		if told := ev.take(); told != "fetched example.org S13 no-turn" || strings.Contains(w.logs.String(), "not fetched") {
			t.Errorf("told %q; log:\n%s", told, w.logs.String())
		}
	})
}
