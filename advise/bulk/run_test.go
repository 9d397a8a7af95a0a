package bulk_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/advise/bulk"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is a Client that takes as long for a domain as plan says.
type client struct {
	plan          func(ctx context.Context, domain string) (*engine.Plan, error)
	running, most atomic.Int64
	asked         atomic.Int64
}

func (c *client) Plan(ctx context.Context, r engine.Request) (*engine.Plan, error) {
	c.asked.Add(1)
	n := c.running.Add(1)
	defer c.running.Add(-1)
	for m := c.most.Load(); n > m && !c.most.CompareAndSwap(m, n); m = c.most.Load() {
	}
	if c.plan == nil {
		return planOf(r.NextHop), nil
	}
	return c.plan(ctx, r.NextHop)
}

func (c *client) Probe(_ context.Context, p *engine.Plan) (mxauth.Verdict, error) {
	return mxauth.Verdict{Plan: p}, nil
}

// planOf is the plan of a domain with one host and nothing published.
func planOf(domain string) *engine.Plan {
	h, err := rfc6125.ParseHost("mx." + domain)
	if err != nil {
		panic(err)
	}
	return &engine.Plan{MX: engine.MXState{Row: "M9", Status: dnssec.Insecure},
		Hosts: []engine.Host{{Name: h, Preference: 10, Requirement: engine.May, DANE: dane.Host{State: dane.NA, Address: dane.AddressOK}}}}
}

// listOf is a list of n domains.
func listOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "d%d.example\n", i)
	}
	return b.String()
}

// A collected is what a run hands over.
type collected struct {
	domains []string
	tally   bulk.Tally
}

func (c *collected) config(k bulk.Client) bulk.Config {
	return bulk.Config{Client: k,
		Row:     func(r *bulk.Row) error { c.domains = append(c.domains, r.Domain); c.tally.Add(r); return nil },
		Refused: func(r *bulk.Refused) error { c.domains = append(c.domains, "!"); c.tally.Refuse(); return nil }}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestRunOrder: rows come in the order of the list, and no more domains than the window are
// looked at side by side.
func TestRunOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		k := &client{plan: func(ctx context.Context, d string) (*engine.Plan, error) {
			return planOf(d), wait(ctx, time.Duration(n.Add(37)%100)*time.Millisecond)
		}}
		var got collected
		c := got.config(k)
		c.Window = 8
		if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader(listOf(300)+"x..y\n"))); err != nil {
			t.Fatal(err)
		}
		if strings.Join(got.domains, "\n")+"\n" != listOf(300)+"!\n" {
			t.Errorf("%q", got.domains)
		}
		if k.most.Load() != 8 {
			t.Errorf("%d side by side", k.most.Load())
		}
	})
}

// TestRunSlow: domains that hang leave the window, and the others do not wait for them, up to
// four windows of them.
func TestRunSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		k := &client{plan: func(ctx context.Context, d string) (*engine.Plan, error) {
			if strings.HasSuffix(d, "0.example") {
				return planOf(d), wait(ctx, 10*time.Second)
			}
			return planOf(d), wait(ctx, 10*time.Millisecond)
		}}
		var got collected
		var oldest string
		c := got.config(k)
		c.Window = 8
		c.Progress = func(p bulk.Progress) {
			if p.Oldest != "" && oldest == "" {
				oldest = p.Oldest
			}
		}
		if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader(listOf(300)))); err != nil {
			t.Fatal(err)
		}
		// 30 that hang, in a window of 8 alone, would take 40 s.
		if took := time.Since(begun); took > 13*time.Second {
			t.Errorf("took %v", took)
		}
		if len(got.domains) != 300 || got.domains[17] != "d17.example" || oldest != "d0.example" {
			t.Error(len(got.domains), oldest)
		}
		if k.most.Load() > 5*8 {
			t.Errorf("%d side by side", k.most.Load())
		}
	})
}

// TestRunAllSlow: where every domain takes long, no more are looked at side by side for that.
func TestRunAllSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &client{plan: func(ctx context.Context, d string) (*engine.Plan, error) {
			i, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(d, "d"), ".example"))
			return planOf(d), wait(ctx, min(time.Duration(i)*10*time.Millisecond, 2*time.Second)) // it becomes worse
		}}
		var got collected
		c := got.config(k)
		c.Window = 8
		if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader(listOf(600)))); err != nil {
			t.Fatal(err)
		}
		if k.most.Load() > 2*8 {
			t.Errorf("%d side by side", k.most.Load())
		}
	})
}

// TestRunAhead: the rows that wait for one before them are bounded.
func TestRunAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		k := &client{plan: func(ctx context.Context, d string) (*engine.Plan, error) {
			if d == "d0.example" {
				return nil, wait(ctx, time.Hour)
			}
			return planOf(d), nil
		}}
		var got collected
		c := got.config(k)
		c.DomainTime = time.Hour
		ended := make(chan error)
		go func() { ended <- bulk.Run(ctx, c, bulk.Read(strings.NewReader(listOf(bulk.MaxAhead+5000)))) }()
		time.Sleep(time.Minute)
		if n := k.asked.Load(); n != bulk.MaxAhead {
			t.Errorf("%d domains were looked at", n)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		// What is finished is handed over.
		if len(got.domains) != bulk.MaxAhead-1 || got.domains[0] != "d1.example" {
			t.Error(len(got.domains))
		}
	})
}

// TestRunInterrupted: a run ends at once with its context, even where a read of the list blocks.
func TestRunInterrupted(t *testing.T) {
	list, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	k := &client{plan: func(ctx context.Context, d string) (*engine.Plan, error) {
		if d == "c.example" {
			cancel(errors.New("enough"))
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return planOf(d), nil
	}}
	var got collected
	c := got.config(k)
	c.Window = 1
	go io.WriteString(w, "a.example\nb.example\nc.example\n")
	if err := bulk.Run(ctx, c, bulk.Read(list)); err == nil || err.Error() != "enough" {
		t.Error(err)
	}
	if strings.Join(got.domains, " ") != "a.example b.example" {
		t.Error(got.domains)
	}
}

// TestRunDomainTime: a domain that takes too long gets a row that says so.
func TestRunDomainTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &client{plan: func(ctx context.Context, d string) (*engine.Plan, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		c := (&collected{}).config(k)
		var row *bulk.Row
		c.Row = func(r *bulk.Row) error { row = r; return nil }
		if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader("a.example\n"))); err != nil {
			t.Fatal(err)
		}
		if row.Mechanism != bulk.Undetermined || len(row.Faults) != 1 || row.Faults[0].ReasonID != reason.Budget || row.TookMS != 60_000 {
			t.Errorf("%+v", row)
		}
	})
}

// TestRunNoTurn: a policy that a limit of this program kept from being fetched is asked for
// again.
func TestRunNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &client{}
		k.plan = func(_ context.Context, d string) (*engine.Plan, error) {
			p := planOf(d)
			if k.asked.Load() < 5 {
				p.STS = sts.Result{Pending: true, FetchErr: &sts.FetchError{Kind: sts.ErrNoTurn}}
			}
			return p, nil
		}
		c := (&collected{}).config(k)
		c.Row = func(r *bulk.Row) error {
			if r.Mechanism != bulk.None {
				t.Errorf("%+v", r)
			}
			return nil
		}
		if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader("a.example\n"))); err != nil || k.asked.Load() != 5 {
			t.Error(err, k.asked.Load())
		}
	})
}

// TestRunErrors: an error of the list, or of the caller, ends the run.
func TestRunErrors(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]bulk.Config{
		"row":     {Client: &client{}, Row: func(*bulk.Row) error { return broken }},
		"refused": {Client: &client{}, Row: func(*bulk.Row) error { return nil }, Refused: func(*bulk.Refused) error { return broken }},
		"plan": {Client: &client{plan: func(context.Context, string) (*engine.Plan, error) {
			return nil, fmt.Errorf("%w: broken", engine.ErrRequest)
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader("a.example\nx..y\n"+listOf(100))))
			if !errors.Is(err, broken) && !errors.Is(err, engine.ErrRequest) {
				t.Error(err)
			}
		})
	}
}

// TestLimitsDial: never more than two connections to one address, sixteen to one network, and a
// policy host's wait ends as a limit of this program.
func TestLimitsDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l bulk.Limits
		var mu sync.Mutex
		open, most := map[netip.Addr]int{}, 0
		all, mostAll := 0, 0
		dial := l.Dial(func(_ context.Context, a netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			open[a.Addr()]++
			all++
			most, mostAll = max(most, open[a.Addr()]), max(mostAll, all)
			c, other := net.Pipe()
			other.Close()
			return c, nil
		})
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 20)}), 25)
				c, err := dial(t.Context(), a)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Second)
				mu.Lock()
				open[a.Addr()]--
				all--
				mu.Unlock()
				c.Close()
				c.Close() // gives one place back
			})
		}
		wg.Wait()
		if most != bulk.DefaultPerAddress || mostAll != bulk.DefaultPerNetwork {
			t.Errorf("%d connections to one address, %d to the network", most, mostAll)
		}
		a := netip.MustParseAddrPort("[2001:db8::1]:443")
		one, _ := dial(t.Context(), a)
		two, _ := dial(t.Context(), a)
		begun := time.Now()
		if _, err := dial(t.Context(), a); !dnssec.IsShortage(err) || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		// An address that does not accept is given up.
		begun = time.Now()
		_, err := l.Dial(func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})(t.Context(), netip.MustParseAddrPort("[2001:db8::2]:443"))
		if !errors.Is(err, syscall.ETIMEDOUT) || time.Since(begun) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		// So is one that accepts and sends nothing; one that has sent something is not.
		for _, greeting := range []string{"", "x"} {
			near, far := net.Pipe()
			c, err := l.Dial(func(context.Context, netip.AddrPort) (net.Conn, error) { return near, nil })(t.Context(), netip.MustParseAddrPort("[2001:db8::2]:443"))
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				io.WriteString(far, greeting)
				time.Sleep(4 * time.Second)
				far.Close()
			}()
			begun := time.Now()
			b, err := io.ReadAll(c)
			took := time.Since(begun)
			switch silent := errors.Is(err, os.ErrDeadlineExceeded); {
			case greeting == "" && (!silent || took != 2*time.Second), greeting != "" && (err != nil || string(b) != greeting || took != 4*time.Second):
				t.Errorf("%q: %q, %v after %v", greeting, b, err, took)
			}
			c.Close()
			far.Close()
		}
		one.Close()
		three, err := dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		two.Close()
		three.Close()
	})
}

// TestLimitsProvider: no more than eight domains of one provider are probed side by side.
func TestLimitsProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &prober{}
		c := (&collected{}).config(k)
		c.Probe = true
		if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader(listOf(100)))); err != nil {
			t.Fatal(err)
		}
		if k.most != bulk.DefaultPerProvider {
			t.Errorf("%d side by side", k.most)
		}
	})
}

// A prober has one provider for all domains.
type prober struct {
	mu            sync.Mutex
	running, most int
}

func (*prober) Plan(_ context.Context, r engine.Request) (*engine.Plan, error) {
	p := planOf(r.NextHop)
	p.Hosts[0].Name, _ = rfc6125.ParseHost("mx1.provider.example")
	return p, nil
}

func (k *prober) Probe(_ context.Context, p *engine.Plan) (mxauth.Verdict, error) {
	k.mu.Lock()
	k.running++
	k.most = max(k.most, k.running)
	k.mu.Unlock()
	time.Sleep(time.Second)
	k.mu.Lock()
	k.running--
	k.mu.Unlock()
	return mxauth.NewVerdict(p, make([]probe.HostResult, len(p.Hosts))), nil
}

// TestRunFetches: a domain whose policy is being fetched leaves the window at once, up to a
// window of them, and comes back to it when the fetch has ended.
func TestRunFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &bulk.Limits{PerNetwork: 1000}
		dial := l.Dial(func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			return nil, cmp.Or(wait(ctx, 300*time.Millisecond), error(syscall.ECONNREFUSED))
		})
		var n atomic.Int64
		var mu sync.Mutex
		looking, most := 0, 0
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			looking += by
			most = max(most, looking)
		}
		// Less time than that after which a domain counts as slow.
		k := &client{plan: func(ctx context.Context, d string) (*engine.Plan, error) {
			count(1)
			err := wait(ctx, 100*time.Millisecond)
			count(-1)
			i := n.Add(1)
			if _, err := dial(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 443)); !errors.Is(err, syscall.ECONNREFUSED) {
				return nil, err
			}
			return planOf(d), err
		}}
		c := (&collected{}).config(k)
		c.Window, c.Limits = 8, l
		begun := time.Now()
		if err := bulk.Run(t.Context(), c, bulk.Read(strings.NewReader(listOf(400)))); err != nil {
			t.Fatal(err)
		}
		// In the window alone it would be 20 s.
		if took := time.Since(begun); took > 16*time.Second {
			t.Errorf("took %v", took)
		}
		if most != 8 || k.most.Load() != 2*8 {
			t.Errorf("%d side by side, %d of them not in a fetch", k.most.Load(), most)
		}
	})
}
