// Package lab is a mail Internet on loopback in one process: a signed DNS tree, a
// recursive resolver in front of it, HTTPS policy hosts, SMTP servers with STARTTLS,
// each of which can be broken on purpose.
//
// A [World] is one domain of it, described and not scripted: which zones it has and
// who signs them, which MX hosts with which certificates, TLSA records and manners,
// which MTA-STS policy, and what is broken. From that the lab makes keys, records,
// signatures, chains and servers, and the world says in [Want] what must come out.
// [Worlds] are those that the project checks itself with; others may be added.
//
// The DNS tree has a signed root and four top-level domains: `test` (NSEC), `example`
// (NSEC3), `optout` (NSEC3 with opt-out) and `unsigned` (no DNSSEC). Five recursive
// servers are in front of it:
//
//   - [Lab.Resolver] behaves as one that validates: it sets AD, or answers SERVFAIL
//     with an extended error, by what the *specification* of the zones says, not by
//     what our validator finds;
//   - [Lab.Plain] never validates; with DO it passes signatures and proofs as they are;
//   - [Lab.Strips] loses everything of DNSSEC on the way;
//   - [Lab.Lies] does the same, and sets AD on everything;
//   - [Lab.IgnoresCD] validates, and gives bogus data to no client.
//
// Nothing here imports the packages that it is made to judge: the lab's idea of
// DNSSEC, DANE and MTA-STS is its own.
//
// Addresses are of 127.0.0.0/8 (and fd00:6d78::/32 for IPv6). Without privileges the
// servers listen on free ports and [Lab.Dial] finds them; with [Config].RealPorts the
// ports 25, 53 and 443 are real.
package lab

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config of [Start].
type Config struct {
	Worlds []World
	// Now is the clock by which certificates and signatures are dated; nil: time.Now.
	Now func() time.Time
	// RealPorts binds port 53 of 127.9.0.1 to 127.9.0.5 (in the order in which the package's
	// comment names them) and the ports 25 and 443 of
	// the published addresses themselves, for programs that cannot use [Lab.Dial].
	// It takes the right to bind ports below 1024. IPv6 addresses are then not served.
	// The addresses are fixed, so one such lab runs on a machine at a time: a second
	// fails with an error that wraps [syscall.EADDRINUSE].
	RealPorts bool
}

// A Lab is running. Its methods may be called by many goroutines at once. Close stops
// everything that it started and waits for it.
type Lab struct {
	now    func() time.Time
	pki    *pki
	real   bool
	fronts [frontKinds]*front

	done   chan struct{} // closed by Close: hanging servers end
	closed sync.Once
	wg     sync.WaitGroup // owns every goroutine of the lab

	keys   keyRing
	worlds []*world
	ports  map[netip.AddrPort]*endpoint // not changed after Start

	mu   sync.RWMutex // guards tree, and which state each world is in
	tree *tree
}

// Start builds the zones, keys, chains and servers of the worlds, and serves them. It
// needs no network, and no privileges unless c.RealPorts is set. An error says which
// world is not well described, or which socket could not be bound; nothing is left
// running then. ctx bounds the start alone.
func Start(ctx context.Context, c Config) (*Lab, error) {
	l, err := newLab(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := l.listen(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// newLab makes everything that a lab serves. It does not listen yet.
func newLab(ctx context.Context, c Config) (*Lab, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	l := &Lab{now: c.Now, real: c.RealPorts, done: make(chan struct{}), ports: map[netip.AddrPort]*endpoint{}}
	var err error
	if l.pki, err = newPKI(l.now()); err != nil {
		return nil, err
	}
	if err := l.populate(ctx, c.Worlds); err != nil {
		return nil, err
	}
	return l, nil
}

// populate realises every world and links the zones into one tree.
func (l *Lab) populate(ctx context.Context, worlds []World) error {
	names := map[string]bool{}
	for i, spec := range worlds {
		if err := ctx.Err(); err != nil {
			return err
		}
		if spec.Name == "" || names[spec.Name] {
			return fmt.Errorf("lab: world %d: no name, or the name %q twice", i, spec.Name)
		}
		names[spec.Name] = true
		w, err := l.realise(i, spec)
		if err != nil {
			return fmt.Errorf("lab: world %s: %w", spec.Name, err)
		}
		l.worlds = append(l.worlds, w)
	}
	return l.relink()
}

// relink builds the tree from the state that each world is in now. The caller holds
// mu, or is alone.
func (l *Lab) relink() error {
	t, err := newTree(l.now, &l.keys)
	if err != nil {
		return err
	}
	for _, w := range l.worlds {
		st := w.state()
		for _, z := range st.zones {
			if err := t.add(z); err != nil {
				return fmt.Errorf("lab: world %s: %w", w.spec.Name, err)
			}
		}
		t.faults = append(t.faults, st.faults...)
	}
	if err := t.link(); err != nil {
		return err
	}
	l.tree = t
	return nil
}

// Forge moves the named worlds from what they were ([World].Was) to what they are, as
// an attacker or a careless administrator would. Worlds without Was are left alone.
// An error names a world that the lab does not have.
func (l *Lab) Forge(names ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range names {
		i := slices.IndexFunc(l.worlds, func(w *world) bool { return w.spec.Name == n })
		if i < 0 {
			return fmt.Errorf("lab: no world %q", n)
		}
		l.worlds[i].forged = true
	}
	return l.relink()
}

// zones is the tree as it is now.
func (l *Lab) zones() *tree {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.tree
}

// Resolver is the address of the recursive front that sets AD as the worlds say.
func (l *Lab) Resolver() netip.AddrPort { return l.fronts[validating].addr }

// Plain is the address of the recursive front that does not validate, and passes
// signatures and proofs on to those who ask with DO.
func (l *Lab) Plain() netip.AddrPort { return l.fronts[plain].addr }

// Strips is the address of a recursive front that loses all DNSSEC records.
func (l *Lab) Strips() netip.AddrPort { return l.fronts[stripping].addr }

// IgnoresCD is the address of a recursive front that validates, and answers SERVFAIL
// for what is bogus even to those who ask for the data with CD.
func (l *Lab) IgnoresCD() netip.AddrPort { return l.fronts[ignoringCD].addr }

// Lies is the address of a recursive front that validates nothing, loses all DNSSEC
// records, and sets AD on everything: what anyone on the path can do.
func (l *Lab) Lies() netip.AddrPort { return l.fronts[lying].addr }

// TrustAnchor returns the DS records of the lab's root in zone-file form, a line each.
func (l *Lab) TrustAnchor() string {
	var b strings.Builder
	for _, ds := range l.zones().root().dsRecords(".") {
		b.WriteString(ds.String() + "\n")
	}
	return b.String()
}

// CA is the WebPKI root of the lab's policy hosts and MX hosts.
func (l *Lab) CA() *x509.Certificate { return l.pki.web.root.cert }

// Worlds are the worlds of this lab, in the order of the Config, completed as [Describe] does.
func (l *Lab) Worlds() []World {
	out := make([]World, len(l.worlds))
	for i, w := range l.worlds {
		out[i] = w.spec
	}
	return out
}

// Dial connects to where the server of addr really listens; addr is an address and
// port that the lab's DNS names. An address without a server refuses the connection,
// one that swallows packets holds until ctx ends. Dial never leaves the lab. After
// Close it gives net.ErrClosed.
func (l *Lab) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	select {
	case <-l.done:
		return nil, fail(net.ErrClosed)
	default:
	}
	ep := l.ports[netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())]
	if ep == nil || ep.refuses {
		return nil, fail(syscall.ECONNREFUSED)
	}
	if ep.swallows {
		select {
		case <-ctx.Done():
			return nil, fail(context.Cause(ctx))
		case <-l.done:
			return nil, fail(net.ErrClosed)
		}
	}
	where, err := ep.listening(l)
	if err != nil {
		return nil, fail(err)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", where.String())
}

// Spoken returns the SMTP commands, one a line as they came, that clients have sent to
// the host of that address so far (for a test that no client sends MAIL FROM).
func (l *Lab) Spoken(addr netip.AddrPort) []string {
	ep := l.ports[addr]
	if ep == nil {
		return nil
	}
	ep.mu.Lock()
	defer ep.mu.Unlock()
	return slices.Clone(ep.spoken)
}

// Close stops every server of the lab, ends their connections and waits for all that
// the lab started. It may be called more than once.
func (l *Lab) Close() error {
	var errs []error
	l.closed.Do(func() {
		close(l.done)
		for _, f := range l.fronts {
			if f != nil {
				errs = append(errs, f.close())
			}
		}
		for _, ep := range l.ports {
			errs = append(errs, ep.close())
		}
	})
	l.wg.Wait()
	return errors.Join(errs...)
}
