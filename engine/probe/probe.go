package probe

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/rfc6125"
)

const (
	// DefaultTimeout is how long one address may take from dialling to QUIT. RFC 5321
	// section 4.5.3.2 lets a server take five minutes for its greeting; a probe that
	// somebody waits for does not.
	DefaultTimeout = 20 * time.Second
	// DefaultMaxAddresses is how many addresses of one host are probed: real hosts have
	// up to a handful in each family.
	DefaultMaxAddresses = 8
	// quitTimeout bounds the farewell: what had to be known is known.
	quitTimeout = 2 * time.Second
)

// Config of a [Prober]. The zero Config works.
type Config struct {
	// Dial opens the connection; nil: a net.Dialer. The lab's maps port 25 elsewhere.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// HELO is the name said in EHLO, A-labels or U-labels (RFC 8616 section 4: what is
	// sent is A-labels), or an address literal; "" means the local host's name. What is
	// neither becomes "localhost".
	HELO string
	// Timeout of one probe of one address; 0 means DefaultTimeout.
	Timeout time.Duration
	// MaxAddresses of one host that are probed; 0 means DefaultMaxAddresses.
	MaxAddresses int
	// Now is the time by which decisions are taken; nil: time.Now.
	Now    func() time.Time
	Logger *slog.Logger // nil: discard
}

// A Prober probes hosts. It may be used by many goroutines at once.
type Prober struct{ c Config }

// New returns a prober.
func New(c Config) *Prober {
	if c.Dial == nil {
		var d net.Dialer
		c.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", addr.String())
		}
	}
	c.HELO = heloName(c.HELO)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxAddresses = cmp.Or(c.MaxAddresses, DefaultMaxAddresses)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Prober{c}
}

// heloName is the name to say in EHLO: ASCII (RFC 8616 section 4, RFC 5321 section
// 4.1.1.1).
func heloName(s string) string {
	if s == "" {
		s, _ = os.Hostname()
	}
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		inner := s[1 : n-1]
		if len(inner) > 5 && inner[:5] == "IPv6:" {
			inner = inner[5:]
		}
		if _, err := netip.ParseAddr(inner); err == nil {
			return s
		}
	}
	h, err := rfc6125.ParseHost(s)
	if err != nil {
		return "localhost"
	}
	return h.String()
}

// Probe connects to one address and says what it showed. It never fails: a failed
// connection is the event NoConnection. It returns soon after ctx is done, and has
// closed the connection.
func (p *Prober) Probe(ctx context.Context, h engine.Host, addr netip.Addr) engine.Peer {
	ctx, cancel := context.WithTimeout(ctx, p.c.Timeout)
	defer cancel()
	target := netip.AddrPortFrom(addr, h.Port)
	peer := engine.Peer{Address: target}
	conn, err := p.c.Dial(ctx, target)
	if err != nil {
		peer.Detail = dialText(ctx, err)
		return peer
	}
	defer conn.Close()
	// A deadline for everything, and an end at once when the caller leaves.
	end, _ := ctx.Deadline()
	conn.SetDeadline(end)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	s := newSession(conn, p.c.HELO)
	peer = s.talk(ctx, &h)
	peer.Address = target
	p.c.Logger.DebugContext(ctx, "probed", "host", h.Name.String(), "address", target.String(), "event", peer.Event.String())
	return peer
}

// A HostResult is what the addresses of one host came to.
type HostResult struct {
	// Decision is the weakest of the addresses that could be reached. Where none
	// could, or there was none to probe, that of an address that could not.
	Decision  engine.Decision
	Addresses []AddressResult // in the order of the plan; empty where nothing was dialled
	// Left counts the addresses beyond the limit, which were not probed.
	Left int
	// At is when the host was decided, if nothing was dialled.
	At time.Time
}

// An AddressResult is what one address came to.
type AddressResult struct {
	Address  netip.Addr
	Peer     engine.Peer
	Decision engine.Decision
	At       time.Time // when it was decided
}

// Differ reports whether the addresses came to different outcomes, methods or
// reasons.
func (r HostResult) Differ() bool {
	for _, a := range r.Addresses {
		f := r.Addresses[0].Decision
		if a.Decision.Outcome != f.Outcome || a.Decision.Method != f.Method || a.Decision.Reason.ID != f.Reason.ID {
			return true
		}
	}
	return false
}

// Host probes every address of host i of the plan, up to the limit and side by side,
// and decides each. No connection is opened to a host that the plan skips (RFC 7672
// section 10). It waits for all that it began.
func (p *Prober) Host(ctx context.Context, e *engine.Engine, plan *engine.Plan, i int) HostResult {
	h := plan.Hosts[i]
	if h.Requirement == engine.Skip || len(h.Addresses) == 0 {
		now := p.c.Now()
		return HostResult{Decision: e.Decide(plan, i, engine.Peer{}, now), At: now}
	}
	addrs := h.Addresses[:min(len(h.Addresses), p.c.MaxAddresses)]
	r := HostResult{Addresses: make([]AddressResult, len(addrs)), Left: len(h.Addresses) - len(addrs)}
	var wg sync.WaitGroup
	for n, addr := range addrs {
		wg.Go(func() {
			peer := p.Probe(ctx, h, addr)
			now := p.c.Now()
			r.Addresses[n] = AddressResult{Address: addr, Peer: peer, Decision: e.Decide(plan, i, peer, now), At: now}
		})
	}
	wg.Wait()
	r.Decision = weakest(r.Addresses)
	return r
}

// Judge decides host i of the plan by what its addresses showed when they were probed
// before, as [Prober.Host] does; left counts those that were not. It connects to nobody.
func Judge(e *engine.Engine, plan *engine.Plan, i int, peers []engine.Peer, left int, at time.Time) HostResult {
	shown := make([]Shown, len(peers))
	for n, p := range peers {
		shown[n] = Shown{p, at}
	}
	return JudgeShown(e, plan, i, shown, left, at)
}

// Shown is what one address showed, and when it is judged.
type Shown struct {
	Peer engine.Peer
	At   time.Time
}

// JudgeShown is [Judge] with a time for each address; at is that of a host to which no
// connection was made.
func JudgeShown(e *engine.Engine, plan *engine.Plan, i int, shown []Shown, left int, at time.Time) HostResult {
	if plan.Hosts[i].Requirement == engine.Skip || len(shown) == 0 {
		return HostResult{Decision: e.Decide(plan, i, engine.Peer{}, at), At: at}
	}
	r := HostResult{Left: left}
	for _, s := range shown {
		r.Addresses = append(r.Addresses, AddressResult{Address: s.Peer.Address.Addr(), Peer: s.Peer, Decision: e.Decide(plan, i, s.Peer, s.At), At: s.At})
	}
	r.Decision = weakest(r.Addresses)
	return r
}

// weakest is the decision of the address that promises least among those that could
// be reached; of those that promise alike, the first.
func weakest(all []AddressResult) engine.Decision {
	best := -1
	for n := range all {
		if all[n].Decision.Event == engine.NoConnection {
			continue
		}
		if best < 0 || all[n].Decision.Outcome.Weaker(all[best].Decision.Outcome) {
			best = n
		}
	}
	return all[max(best, 0)].Decision
}
