package sts

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/store"
)

// Config of a [Client].
type Config struct {
	Resolver dnssec.Resolver // required
	Roots    *pkix.Roots     // WebPKI anchors of policy hosts; nil: the system's
	// Store is where policies are kept; nil: a memory store of this client. It stays
	// the caller's, who closes it after the Client. One that is neither a
	// [store.Memory] nor a [store.Front] gets a Front of the client's own before it, so
	// that a warm lookup touches neither disk nor network.
	Store store.Store
	// Allow lists special-purpose prefixes in which a policy host may lie; by default
	// loopback, private and the like are refused.
	Allow []netip.Prefix
	// Deny lists prefixes in which a policy host may not lie, whatever Allow says: for
	// example the addresses of the operator's own network, or its NAT64 prefix.
	Deny []netip.Prefix
	// NAT64 is asked for the AAAA records of ipv4only.arpa (RFC 7050), before a policy host
	// with an IPv6 address is connected to: an address that leads through a NAT64
	// translator to an IPv4 address that is refused is refused. DNS64 translates nothing
	// for those who validate themselves (RFC 6147 section 5.5), so it should ask without
	// the CD bit. nil: Resolver.
	NAT64 dnssec.Resolver
	// Port of the policy hosts; 0 means 443. For tests.
	Port uint16
	// Dial opens the connection to an address that has been vetted; nil: net.Dialer.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// Timeout of one whole fetch; 0 means DefaultFetchTimeout.
	Timeout time.Duration
	// Wait is how long a Lookup waits for a fetch; 0 means DefaultWait. If it ends first,
	// the fetch goes on and the answer is row S13 (or the cached policy). With a Wait of
	// at least Timeout a Lookup waits for every fetch to its end, which suits a program
	// that ends after a lookup.
	Wait time.Duration
	// CheckPath is asked about the proved path of a policy host's certificate, for
	// example about revocation (RFC 8461 section 3.3: MAY); an error fails the fetch.
	// nil: not asked.
	CheckPath func(pkix.Path) error
	Observer  Observer         // observer callbacks; the zero value observes nothing
	Now       func() time.Time // nil: time.Now
	Logger    *slog.Logger     // nil: discard
}

// check returns all that is wrong with c.
func (c Config) check() error {
	var errs []error
	if c.Resolver == nil {
		errs = append(errs, fault.New("sts", "no Resolver"))
	}
	if c.Timeout < 0 {
		errs = append(errs, fault.Errorf("sts", "Timeout is %s", c.Timeout))
	}
	if c.Wait < 0 {
		errs = append(errs, fault.Errorf("sts", "Wait is %s", c.Wait))
	}
	for _, list := range []struct {
		name     string
		prefixes []netip.Prefix
	}{{"Allow", c.Allow}, {"Deny", c.Deny}} {
		for _, p := range list.prefixes {
			if !p.IsValid() {
				errs = append(errs, fault.Errorf("sts", "%s holds an invalid prefix", list.name))
			} else if p.Addr().Is4In6() {
				errs = append(errs, fault.Errorf("sts", "%s holds %s: write the IPv4 prefix", list.name, p))
			}
		}
	}
	return errors.Join(errs...)
}
