package probe_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/engine/reason"
)

// A crowd is a network in memory: what is dialled is silent for ever, or a server without
// STARTTLS. It counts.
type crowd struct {
	answers map[netip.Addr]bool

	mu                sync.Mutex
	dialled           int
	open, most        int
	perAddr, mostAddr map[netip.Addr]int
}

func newCrowd(answers ...netip.Addr) *crowd {
	c := &crowd{answers: map[netip.Addr]bool{}, perAddr: map[netip.Addr]int{}, mostAddr: map[netip.Addr]int{}}
	for _, a := range answers {
		c.answers[a] = true
	}
	return c
}

func (c *crowd) dial(_ context.Context, to netip.AddrPort) (net.Conn, error) {
	a, b := net.Pipe()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialled++
	c.open++
	c.most = max(c.most, c.open)
	c.perAddr[to.Addr()]++
	c.mostAddr[to.Addr()] = max(c.mostAddr[to.Addr()], c.perAddr[to.Addr()])
	if c.answers[to.Addr()] {
		go func() {
			defer b.Close()
			io.WriteString(b, "220 here\r\n")
			r := bufio.NewReader(b)
			r.ReadString('\n')
			io.WriteString(b, "250 hello\r\n")
			r.ReadString('\n')
			io.WriteString(b, "221 bye\r\n")
		}()
	}
	return &counted{Conn: a, c: c, addr: to.Addr()}, nil
}

type counted struct {
	net.Conn
	c    *crowd
	addr netip.Addr
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() {
		c.c.mu.Lock()
		defer c.c.mu.Unlock()
		c.c.open--
		c.c.perAddr[c.addr]--
	})
	return c.Conn.Close()
}

// many is a plan for hosts with addresses each, made of that of one host.
func many(plan *engine.Plan, hosts, addresses int, addr func(h, n int) netip.Addr) *engine.Plan {
	p := *plan
	p.Hosts = nil
	for h := range hosts {
		host := plan.Hosts[0]
		host.Addresses = nil
		for n := range addresses {
			host.Addresses = append(host.Addresses, addr(h, n))
		}
		p.Hosts = append(p.Hosts, host)
	}
	return &p
}

func each(h, n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(h), byte(n)}) }

// TestSilentAddresses: 512 addresses that accept a connection and stay silent cost a
// minute and 32 sockets; a host that answers is not lost among them, and what was not
// reached is said to be so.
func TestSilentAddresses(t *testing.T) {
	e, one := planned(t, "")
	synctest.Test(t, func(t *testing.T) {
		plan := many(one, 64, 8, each)
		last := each(63, 0)
		c := newCrowd(last)
		p := probe.New(probe.Config{Dial: c.dial, HELO: "probe.example"})
		start := time.Now()
		results := p.Hosts(t.Context(), e, plan)
		if took := time.Since(start); took > probe.DefaultPlanTimeout+time.Second {
			t.Errorf("took %v", took)
		}
		if c.most > probe.MaxPerPlan || c.open != 0 {
			t.Errorf("%d sockets at once, %d left", c.most, c.open)
		}
		untried := 0
		for i, r := range results {
			untried += r.Untried()
			first := r.Addresses[0]
			if first.Peer.Untried {
				t.Errorf("host %d was not reached at all", i)
			}
			want := engine.Deferred
			if i == 63 {
				want = engine.Cleartext
			}
			if r.Decision.Outcome != want {
				t.Errorf("host %d: %s", i, r.Decision.Outcome)
			}
		}
		if tried := 512 - untried; tried != c.dialled || tried < 64 || untried < 300 {
			t.Errorf("%d dialled, %d said to be untried", c.dialled, untried)
		}
		if a := results[40].Addresses[7]; !a.Peer.Untried || a.Decision.Reason.ID != reason.NotTried || a.Decision.Outcome != engine.Deferred ||
			!strings.Contains(explain.Text(a.Decision.Reason), "1m0s, was over before its turn") || explain.Report(plan, 40, a.Decision) != nil {
			t.Errorf("%s: %s", a.Decision.Reason.ID, explain.Text(a.Decision.Reason))
		}
	})
}

// TestPlanTimeout: what the deadline of the plan cuts off is no statement about the peer;
// what the time for one address ends is.
func TestPlanTimeout(t *testing.T) {
	e, one := planned(t, "")
	for _, c := range []struct {
		timeout, plan time.Duration
		untried       bool
	}{{20 * time.Second, 10 * time.Second, true}, {10 * time.Second, 20 * time.Second, false}, {90 * time.Second, 0, false}} {
		synctest.Test(t, func(t *testing.T) {
			p := probe.New(probe.Config{Dial: newCrowd().dial, HELO: "probe.example", Timeout: c.timeout, PlanTimeout: c.plan})
			r := p.Host(t.Context(), e, many(one, 1, 1, each), 0)
			if r.Untried() == 1 != c.untried || !strings.Contains(explain.Text(r.Decision.Reason), map[bool]string{true: "was over before it answered", false: "timeout"}[c.untried]) {
				t.Errorf("%v of %v: %s", c.timeout, c.plan, explain.Text(r.Decision.Reason))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		r := probe.New(probe.Config{Dial: newCrowd().dial, HELO: "probe.example"}).Hosts(ctx, e, many(one, 64, 8, each))
		for _, h := range r {
			if h.Untried() != 0 || !strings.Contains(explain.Text(h.Decision.Reason), "cancelled") {
				t.Fatal(explain.Text(h.Decision.Reason))
			}
		}
	})
}

// TestSharedAddress: hosts that share an address do not crowd it.
func TestSharedAddress(t *testing.T) {
	e, one := planned(t, "")
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		other := netip.MustParseAddr("10.9.9.9")
		c.answers[other] = true
		plan := many(one, 64, 1, func(h, _ int) netip.Addr {
			if h == 63 {
				return other
			}
			return each(0, 0)
		})
		start := time.Now()
		r := probe.New(probe.Config{Dial: c.dial, HELO: "probe.example", Timeout: 5 * time.Second}).Hosts(t.Context(), e, plan)
		if c.mostAddr[each(0, 0)] != probe.MaxPerAddress || time.Since(start) > time.Minute || c.open != 0 {
			t.Errorf("%d at once, %v", c.mostAddr[each(0, 0)], time.Since(start))
		}
		if r[63].Decision.Outcome != engine.Cleartext {
			t.Error(explain.Text(r[63].Decision.Reason))
		}
	})
}
