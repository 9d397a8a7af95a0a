package bulk

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
)

// Limits of connections that are open at the same time. A list can name thousands of domains
// of one provider, who must not notice that it is surveyed.
const (
	// DefaultPerAddress is what a slow mail client opens.
	DefaultPerAddress = 2
	// DefaultPerNetwork counts connections to one IPv4 /24 or IPv6 /48, the smallest
	// networks that are routed by themselves. Loopback addresses are no network.
	DefaultPerNetwork = 16
	// DefaultPerProvider counts domains whose mail hosts have one registered domain, while
	// their hosts are connected to.
	DefaultPerProvider = 8

	// policyPatience is how long a connection to a policy host waits for its place: a small part
	// of the time that the fetch may take, which runs meanwhile.
	policyPatience = time.Second
	// policyConnect is how long an address of a policy host has to accept a connection: enough
	// for one lost packet, which is sent again after a second, and a round trip of a second.
	policyConnect = 2 * time.Second
	// policyGreeting is how long it has, once connected, to send the first bytes: its part of
	// the TLS handshake, for which no page has to be made.
	policyGreeting = 2 * time.Second
	policyPort     = 443
)

// errNoPlace is what a policy fetch fails with for which no connection was free. It wraps
// [dnssec.ErrShortage], so that it says nothing of the policy host.
var errNoPlace = dnssec.Shortage("too many connections of this survey to the address or its network")

// Limits bound the connections of a survey. The zero Limits has all defaults. It may be used by
// many goroutines at once, and must not be copied after use.
type Limits struct {
	PerAddress  int // 0: DefaultPerAddress
	PerNetwork  int // 0: DefaultPerNetwork
	PerProvider int // 0: DefaultPerProvider

	addresses gate[netip.Addr]
	networks  gate[netip.Prefix]
	providers gate[string]
	fetches   fetchCount
}

// A fetchCount counts the connections to policy hosts that are open, or wait for their place or
// to be accepted. The zero fetchCount is ready.
type fetchCount struct {
	n    atomic.Int64
	once sync.Once
	more chan struct{} // has a value when n has grown
}

// grown returns the channel more.
func (f *fetchCount) grown() chan struct{} {
	f.once.Do(func() { f.more = make(chan struct{}, 1) })
	return f.more
}

// add counts a connection until done is called.
func (f *fetchCount) add() (done func()) {
	f.n.Add(1)
	select {
	case f.grown() <- struct{}{}:
	default:
	}
	return sync.OnceFunc(func() { f.n.Add(-1) })
}

// DialFunc opens a connection to an address, as [mxauth.Config].Dial.
type DialFunc = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)

// Dial returns a function that opens connections by next, a net.Dialer if that is nil, when
// the limits of address and network allow it. A connection holds its place until it is closed.
// One to port 443 waits for its place a second and then fails with an error that wraps
// [dnssec.ErrShortage], and has 2 s to be accepted and 2 s more to receive the first byte; any other has until its
// context ends.
func (l *Limits) Dial(next DialFunc) DialFunc {
	if next == nil {
		next = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr.String())
		}
	}
	return func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		fetched := func() {}
		if addr.Port() == policyPort {
			fetched = l.fetches.add()
		}
		leave, err := l.place(ctx, addr)
		if err != nil {
			fetched()
			return nil, err
		}
		release := func() { leave(); fetched() }
		connect, cancel := ctx, context.CancelFunc(func() {})
		if addr.Port() == policyPort {
			connect, cancel = context.WithTimeout(ctx, policyConnect)
		}
		c, err := next(connect, addr)
		cancel()
		if err != nil {
			release()
			if connect.Err() != nil && ctx.Err() == nil {
				err = &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: os.NewSyscallError("connect", syscall.ETIMEDOUT)}
			}
			return nil, err
		}
		held := &heldConn{Conn: c, release: sync.OnceFunc(release)}
		if addr.Port() == policyPort {
			held.greeting = time.AfterFunc(policyGreeting, func() {
				held.silent.Store(true)
				_ = c.Close()
			})
		}
		return held, nil
	}
}

// place waits for a place at an address and in its network.
func (l *Limits) place(ctx context.Context, addr netip.AddrPort) (release func(), err error) {
	if addr.Port() == policyPort {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, policyPatience, errNoPlace)
		defer cancel()
	}
	a := addr.Addr().Unmap()
	if err := l.addresses.enter(ctx, a, cmp.Or(l.PerAddress, DefaultPerAddress)); err != nil {
		return nil, err
	}
	if a.IsLoopback() {
		return func() { l.addresses.leave(a) }, nil
	}
	n := network(a)
	if err := l.networks.enter(ctx, n, cmp.Or(l.PerNetwork, DefaultPerNetwork)); err != nil {
		l.addresses.leave(a)
		return nil, err
	}
	return func() { l.networks.leave(n); l.addresses.leave(a) }, nil
}

// admit waits until the mail hosts of a plan may be connected to: for a place at each of
// their providers. The error is ctx's.
func (l *Limits) admit(ctx context.Context, p *engine.Plan) (release func(), err error) {
	var names []string
	for i := range p.Hosts {
		if n := provider(&p.Hosts[i]); n != "" {
			names = append(names, n)
		}
	}
	// In one order for all, so that no two wait for each other.
	slices.SortFunc(names, strings.Compare)
	names = slices.Compact(names)
	for i, n := range names {
		if err := l.providers.enter(ctx, n, cmp.Or(l.PerProvider, DefaultPerProvider)); err != nil {
			l.leave(names[:i])
			return nil, err
		}
	}
	return func() { l.leave(names) }, nil
}

func (l *Limits) leave(names []string) {
	for _, n := range names {
		l.providers.leave(n)
	}
}

// network is the routed network of an address.
func network(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // bits are in range
	return p
}

// A heldConn gives its place back when it is closed.
type heldConn struct {
	net.Conn
	release  func()
	greeting *time.Timer // closes Conn where nothing comes, and sets silent; nil: not
	silent   atomic.Bool
}

// Read implements [net.Conn].
func (c *heldConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.greeting != nil && n > 0 {
		c.greeting.Stop()
	}
	if n == 0 && err != nil && c.silent.Load() {
		err = &net.OpError{Op: "read", Net: "tcp", Addr: c.RemoteAddr(), Err: os.ErrDeadlineExceeded}
	}
	return n, err
}

// Close implements [net.Conn].
func (c *heldConn) Close() error {
	defer c.release()
	if c.greeting != nil {
		c.greeting.Stop()
	}
	return c.Conn.Close()
}

// A gate lets a limited number in for each key, in the order in which they came. The zero gate
// is ready.
type gate[K comparable] struct {
	mu    sync.Mutex // guards what follows
	rooms map[K]*room
}

type room struct {
	inside int
	queue  []chan struct{} // closed when it is their turn
}

// enter waits until fewer than limit are inside for key. The error is the cause of ctx's end.
func (g *gate[K]) enter(ctx context.Context, key K, limit int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	g.mu.Lock()
	if g.rooms == nil {
		g.rooms = map[K]*room{}
	}
	r := g.rooms[key]
	if r == nil {
		r = &room{}
		g.rooms[key] = r
	}
	if r.inside < limit {
		r.inside++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	r.queue = append(r.queue, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	i := slices.Index(r.queue, turn)
	if i >= 0 {
		r.queue = slices.Delete(r.queue, i, i+1)
	}
	g.mu.Unlock()
	if i < 0 { // it was let in at the same moment
		g.leave(key)
	}
	return context.Cause(ctx)
}

// leave lets the next one in.
func (g *gate[K]) leave(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.rooms[key]
	if len(r.queue) > 0 {
		close(r.queue[0])
		r.queue = slices.Delete(r.queue, 0, 1)
		return
	}
	if r.inside--; r.inside == 0 {
		delete(g.rooms, key)
	}
}
