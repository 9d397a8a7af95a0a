package sts_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/rfc6125"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/sts"
)

// What resolvers answer, and what is done with it.

// TestAddressesThatAreNone: no address, and one that means something on this host only.
func TestAddressesThatAreNone(t *testing.T) {
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("2620:fe::9%eth0")} {
		if err := sts.Vet(a); err == nil {
			t.Errorf("%s is taken", a)
		}
	}
}

// changedResolver changes what the resolver behind it answers.
type changedResolver struct {
	dnssec.Resolver
	change func(q dnssec.Question, a *dnssec.Answer)
}

func (r changedResolver) Resolve(ctx context.Context, q dnssec.Question) (dnssec.Answer, error) {
	a, err := r.Resolver.Resolve(ctx, q)
	r.change(q, &a)
	return a, err
}

// TestAliasesOfEitherFamily: aliases that one answer shows are not lost to the other.
func TestAliasesOfEitherFamily(t *testing.T) {
	for _, without := range []dnssec.Type{dnssec.TypeA, dnssec.TypeAAAA} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.domain("example.org", "one", enforce)
			w.dns.Remove("mta-sts.example.org", dnssec.TypeA)
			w.dns.Add("mta-sts.example.org. 300 IN CNAME policies.provider.example.", "policies.provider.example. 300 IN A "+hostAddr.String())
			c := w.client(func(c *sts.Config) {
				c.Resolver = changedResolver{w.dns, func(q dnssec.Question, a *dnssec.Answer) {
					if q.Type == without {
						a.Chain = nil
					}
				}}
			})
			if f, err := c.Fetch(context.Background(), host("example.org")); err != nil || len(f.Aliases) != 1 || f.Aliases[0].Target.String() != "policies.provider.example" {
				t.Errorf("%v, aliases %v", err, f.Aliases)
			}
		})
	}
}

// TestOldAnswer: one that has ended is to be asked for again now, not in the past.
func TestOldAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		c := w.client(func(c *sts.Config) {
			c.Resolver = changedResolver{w.dns, func(_ dnssec.Question, a *dnssec.Answer) { a.Expires = time.Now().Add(-time.Hour) }}
		})
		if r := c.Lookup(context.Background(), host("example.org")); r.Row != sts.S3 || !r.Until.Equal(time.Now()) {
			t.Errorf("row %s, %s", r.Row, time.Until(r.Until))
		}
	})
}

// TestLookupTimeoutIsKept: what is reported a failure in back-off is what was told at first.
func TestLookupTimeoutIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		for _, typ := range []dnssec.Type{dnssec.TypeA, dnssec.TypeAAAA} {
			defer w.dns.Hold("mta-sts.example.org", typ)()
		}
		c := w.client()
		for _, repeated := range []bool{false, true} {
			r := c.Lookup(context.Background(), host("example.org"))
			var fe *sts.FetchError
			if !errors.As(r.FetchErr, &fe) || fe.Kind != sts.ErrFetchTimeout || fe.Detail != "looking up its addresses" || fe.Repeated != repeated {
				t.Errorf("%+v", fe)
			}
		}
	})
}

// TestRefreshIsLate: a lookup that has brought a newer policy while a refresh was under way
// is not undone.
func TestRefreshIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		ev := &events{}
		c := w.client(func(c *sts.Config) { c.Observer = ev.observer() })
		c.Lookup(ctx, host("example.org"))
		time.Sleep(25 * time.Hour)
		for _, old := range []func(){func() { w.serve("example.org", text(enforce)) }, func() { w.serve("example.org", status(500)) }} {
			gate := make(chan struct{})
			old()
			w.mu.Lock()
			slow := w.handlers["mta-sts.example.org"]
			w.mu.Unlock()
			w.serve("example.org", gated(gate, slow))
			done := make(chan bool, 1)
			go func() { done <- c.Refresh(ctx) }()
			synctest.Wait()
			newer := policy("testing", 604800, "mx.example.org")
			w.serve("example.org", text(newer))
			w.record("example.org", "v=STSv1; id=two")
			time.Sleep(time.Second)
			if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S6 {
				t.Errorf("row %s", r.Row)
			}
			close(gate)
			<-done
			if i, ok, err := c.Cache().Show(ctx, host("example.org")); !ok || err != nil || i.ID != "two" || i.Policy != newer || i.Failures != 0 {
				t.Errorf("%+v, %v, %v", i, ok, err)
			}
			// Once more, with a refresh that fails.
			w.record("example.org", "v=STSv1; id=one")
			w.serve("example.org", text(enforce))
			c.Lookup(ctx, host("example.org"))
			time.Sleep(25 * time.Hour)
		}
	})
}

// TestDefaultDial: without a Dial of its own a client connects by TCP.
func TestDefaultDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if conn, err := l.Accept(); err == nil {
			conn.Close()
		}
	}()
	r := dnsfake.New()
	r.Add("mta-sts.example.org. 300 IN A 127.0.0.1")
	c, err := sts.NewClient(sts.Config{
		Resolver: r, Roots: pkix.NewRoots(ca.Cert), Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Port: uint16(l.Addr().(*net.TCPAddr).Port), Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The listener accepts, and says nothing.
	if _, err := c.Fetch(t.Context(), host("example.org")); !errors.Is(err, sts.ErrFetchTLS) {
		t.Errorf("a peer that closes at once: %v", err)
	}
	<-accepted
	l.Close()
	if _, err := c.Fetch(t.Context(), host("example.org")); !errors.Is(err, sts.ErrFetchTCP) {
		t.Errorf("a port where nobody listens: %v", err)
	}
}

// TestNamesTooLong: a domain whose names would be too long has no record and no policy.
func TestNamesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		c := w.client()
		label := strings.Repeat("a", 61)
		long := host(strings.Repeat(label+".", 3) + strings.Repeat("a", 60)) // 246 octets
		r := c.Lookup(ctx, long)
		if r.Row != sts.S1 || !errors.Is(r.TXTErr, sts.ErrNoRecord) || len(w.dns.Asked()) != 0 || !r.Until.After(time.Now()) {
			t.Errorf("row %s, %v, asked %v", r.Row, r.TXTErr, w.dns.Asked())
		}
		if _, err := c.Fetch(ctx, long); !errors.Is(err, sts.ErrFetchDNS) || !errors.Is(err, rfc6125.ErrName) || len(w.dns.Asked()) != 0 {
			t.Errorf("got %v", err)
		}
	})
}

// TestMalformedRecord: RDATA that is no TXT is a failing lookup, not an absent record.
func TestMalformedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dns.AddRaw("_mta-sts.example.org", typeTXT, 300, []byte{200, 'x'})
		r := w.client().Lookup(context.Background(), host("example.org"))
		if r.Row != sts.S2 || !errors.Is(r.TXTErr, dnssec.ErrMalformed) {
			t.Errorf("row %s, %v", r.Row, r.TXTErr)
		}
	})
}

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.domain("example.org", "one", enforce)
		r, ans, err := w.client().Record(context.Background(), host("example.org"))
		if err != nil || r.ID != "one" || ans.Kind != dnssec.Data {
			t.Errorf("%+v, %+v, %v", r, ans, err)
		}
	})
}

func TestAbsenceIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.client().Lookup(context.Background(), host("example.org"))
		if r.TXTErr == nil || !strings.Contains(r.TXTErr.Error(), "nxdomain") {
			t.Errorf("got %v", r.TXTErr)
		}
	})
}

// TestGoingOn: what is left behind by a caller goes on to the fetch exactly if the id is
// new.
func TestGoingOn(t *testing.T) {
	for _, id := range []string{"one", "two"} {
		t.Run(id, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.domain("example.org", "one", enforce)
				c := w.client()
				c.Lookup(context.Background(), host("example.org"))
				w.record("example.org", "v=STSv1; id="+id)
				release := w.dns.Hold("_mta-sts.example.org", typeTXT)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				if r := c.Lookup(ctx, host("example.org")); r.Row != sts.S9 || !r.Pending {
					t.Errorf("row %s", r.Row)
				}
				release()
				synctest.Wait()
				want := 1
				if id == "two" {
					want = 2
				}
				if r, _ := c.Cached(context.Background(), host("example.org")); r.ID != id || w.fetches() != want {
					t.Errorf("id %s, %d fetches", r.ID, w.fetches())
				}
			})
		})
	}
}
