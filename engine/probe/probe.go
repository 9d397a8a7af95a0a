package probe

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/specialaddr"
)

const (
	// DefaultTimeout is how long one address may take from dialling to QUIT. RFC 5321
	// section 4.5.3.2 lets a server take five minutes for its greeting; a probe that
	// somebody waits for does not.
	DefaultTimeout = 20 * time.Second
	// DefaultMaxAddresses is how many addresses of one host are probed: real hosts have
	// up to a handful in each family.
	DefaultMaxAddresses = 8
	// DefaultPlanTimeout is how long all hosts of one plan may take together. A domain can
	// list hundreds of addresses that accept a connection and stay silent; somebody
	// waits for the answer, and real hosts greet within seconds.
	DefaultPlanTimeout = time.Minute
	// quitTimeout bounds QUIT: what had to be known is known.
	quitTimeout = 2 * time.Second
)

// Config of a [Prober]. The zero Config works.
type Config struct {
	// Dial opens the connection; nil: a net.Dialer. The lab's maps port 25 elsewhere.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// HELO is the name said in EHLO, as [ParseHELO] reads it. "" means the full name of
	// this machine, if the system or /etc/hosts knows one, else its short name. What is no
	// name becomes "localhost".
	HELO string
	// Timeout of one probe of one address; 0 means DefaultTimeout.
	Timeout time.Duration
	// MaxAddresses of one host that are probed; 0 means DefaultMaxAddresses.
	MaxAddresses int
	// PlanTimeout of all hosts of a plan together; 0 means DefaultPlanTimeout, or Timeout
	// if that is longer.
	PlanTimeout time.Duration
	// Network bounds the addresses that are connected to: "tcp4", "tcp6", or "" for both. A
	// host that has none such is [engine.Peer].Untried.
	Network string
	// PublicOnly has the prober connect to no special-purpose address (RFC 6890) but those in
	// AllowAddresses, and to none in DenyAddresses: for checks that others ask for. What is
	// not connected to is [engine.Peer].Untried.
	PublicOnly                    bool
	AllowAddresses, DenyAddresses []netip.Prefix
	// Certificates says of which hosts a second certificate is looked for, with the other kind
	// of key; it costs one more connection a host.
	Certificates Certificates
	Logger       *slog.Logger // nil: discard
}

// family is the family that Network names, for people.
func (c *Config) family() string {
	if c.Network == "tcp4" {
		return "IPv4"
	}
	return "IPv6"
}

// inNetwork reports whether a is of the family of Network.
func (c *Config) inNetwork(a netip.Addr) bool {
	switch c.Network {
	case "tcp4":
		return a.Unmap().Is4()
	case "tcp6":
		return !a.Unmap().Is4()
	}
	return true
}

// vet reports why an address must not be connected to.
func (c *Config) vet(a netip.Addr) error {
	if !c.PublicOnly {
		return nil
	}
	return specialaddr.Rules{Allow: c.AllowAddresses, Deny: c.DenyAddresses}.Vet(a)
}

// A Prober probes hosts. It may be used by many goroutines at once.
type Prober struct {
	c     Config
	slots chan struct{} // holds one for each open connection of [Prober.Hosts]
}

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
	c.PlanTimeout = cmp.Or(c.PlanTimeout, max(DefaultPlanTimeout, c.Timeout))
	c.MaxAddresses = cmp.Or(c.MaxAddresses, DefaultMaxAddresses)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return &Prober{c, make(chan struct{}, maxConnections)}
}

// Probe connects to one address and says what it showed. It never fails: a failed
// connection is the event NoConnection. It returns soon after ctx is done, and has
// closed the connection. Of a failed handshake it does not look for the cause, as
// [Prober.Hosts] does.
func (p *Prober) Probe(ctx context.Context, h engine.Host, addr netip.Addr) engine.Peer {
	var c engine.Conversation
	peer, _, _ := p.converse(ctx, &c, &h, netip.AddrPortFrom(addr, h.Port), time.Time{}, complete(h.ClientTLS()))
	return peer
}

// converse makes one connection and returns what it showed. planEnd is when the time
// for the plan is over, zero if there is no plan. nameDoubted means that the server closed
// the connection after EHLO, or refused it, and that the name there is not a full one.
func (p *Prober) converse(ctx context.Context, c *engine.Conversation, h *engine.Host, target netip.AddrPort, planEnd time.Time, startTLS startTLS) (peer engine.Peer, nameDoubted bool, last end) {
	cutShort := !planEnd.IsZero() && planEnd.Before(time.Now().Add(p.c.Timeout))
	ctx, cancel := context.WithTimeout(ctx, p.c.Timeout)
	defer cancel()
	last = p.connect(ctx, c, target, startTLS)
	if cutShort && isTimeout(ended(ctx, last.err)) {
		c.GiveUp(fmt.Sprintf("the time for connecting to the hosts of the domain, %v, was over before it answered", p.c.PlanTimeout))
	}
	if last.atEHLO && ctx.Err() == nil && !isFull(p.c.HELO) {
		if peer := c.Peer(); peer.Event == engine.NoConnection && peer.Code != 421 {
			nameDoubted = true
			c.DoubtName(p.c.HELO)
		}
	}
	peer = c.Peer()
	peer.Address = target
	peer.RequireTLS = last.requireTLS && peer.Event == engine.HandshakeDone
	p.c.Logger.DebugContext(ctx, "probed", "host", h.Name.String(), "address", target.String(), "event", peer.Event.String())
	return peer, nameDoubted, last
}

// connect dials, speaks SMTP and reports the end to c.
func (p *Prober) connect(ctx context.Context, c *engine.Conversation, target netip.AddrPort, startTLS startTLS) end {
	if err := p.c.vet(target.Addr()); err != nil {
		c.GiveUp(fmt.Sprintf("%v, and this program connects to public addresses only", err))
		return end{err: err}
	}
	conn, err := p.c.Dial(ctx, target)
	if err != nil {
		c.Failed(engine.NoConnection, dialError(ctx, err))
		return end{err: err}
	}
	defer conn.Close()
	// A deadline for everything, and an end at once when the caller leaves.
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r := newSession(c.Watch(conn), p.c.HELO).talk(ctx, c, startTLS)
	c.Done(r.state, ended(ctx, r.err))
	return r
}

// A HostResult is what the addresses of one host came to.
type HostResult struct {
	// Decision is the weakest of the addresses that could be reached. Where none
	// could, or there was none to probe, that of an address that could not.
	Decision engine.Decision
	// Addresses are in the order of the plan; empty where nothing was dialled. An address
	// that has shown a second certificate is there once more at the end, with
	// [engine.Peer].OtherKey.
	Addresses []AddressResult
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
	// NameDoubted says that the server refused EHLO, or closed the connection after it, and
	// that the name given there was not a full one.
	NameDoubted bool
	At          time.Time // when it was decided
}

// Differ reports whether the addresses came to different outcomes, methods or
// reasons. Second certificates are not looked at.
func (r HostResult) Differ() bool {
	for _, a := range r.Addresses {
		f := r.Addresses[0].Decision
		if !a.Peer.OtherKey && (a.Decision.Outcome != f.Outcome || a.Decision.Method != f.Method || a.Decision.Reason.ID != f.Reason.ID) {
			return true
		}
	}
	return false
}

// Paired reports whether an address has shown two certificates, with keys of two kinds.
func (r HostResult) Paired() bool {
	return slices.ContainsFunc(r.Addresses, func(a AddressResult) bool { return a.Peer.OtherKey })
}

// Untried counts the addresses that were not reached because the time for the hosts of
// the plan was over.
func (r HostResult) Untried() int {
	n := 0
	for _, a := range r.Addresses {
		if a.Peer.Untried {
			n++
		}
	}
	return n
}

// Host is [Prober.Hosts] for host i of the plan alone.
func (p *Prober) Host(ctx context.Context, e *engine.Engine, plan *engine.Plan, i int) HostResult {
	return p.hosts(ctx, e, plan, []int{i})[0]
}

// Judge decides host i of the plan by what its addresses showed when they were probed
// before, as [Prober.Host] does; left counts those that were not. It makes no connection.
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
	pair(e, plan, i, r.Addresses)
	r.Decision = weakest(r.Addresses)
	return r
}

// Summarise combines what the hosts of a plan showed, in the order of plan.Hosts, into the
// answer for the domain, as [engine.Summarise] does of their decisions. A host that is
// missing counts as deferred.
func Summarise(plan *engine.Plan, hosts []HostResult) engine.Summary {
	decisions := make([]engine.Decision, len(hosts))
	for i := range hosts {
		decisions[i] = hosts[i].Decision
	}
	return engine.Summarise(plan, decisions)
}

// weakest is the decision of the address that promises least among those that could
// be reached; of those that promise alike, the first. A second certificate counts as a
// further address does, and comes before the first one where it alone has a fault that is
// evaluated for a report.
func weakest(all []AddressResult) engine.Decision {
	best := -1
	for n := range all {
		d := &all[n].Decision
		if d.Event == engine.NoConnection {
			continue
		}
		if best < 0 || d.Outcome.Weaker(all[best].Decision.Outcome) ||
			all[n].Peer.OtherKey && d.Outcome == all[best].Decision.Outcome && !d.CertificateFault().IsZero() && all[best].Decision.CertificateFault().IsZero() {
			best = n
		}
	}
	return all[max(best, 0)].Decision
}
