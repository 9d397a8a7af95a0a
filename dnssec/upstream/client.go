package upstream

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/inflight"
	"github.com/mxauth/mxauth/rfc6125"
)

// DefaultTimeout is how long one question may take over all servers and attempts
// if the Config does not say: a recursive resolver with a cold cache needs seconds
// where name servers of the zone are dead, and an SMTP sender has time.
const DefaultTimeout = 10 * time.Second

// A Config says which servers a [Client] asks, and how.
type Config struct {
	// Servers are tried in this order; at least one. Servers that did not answer
	// lately come last.
	Servers []Server
	// Timeout bounds one Exchange as a whole. Zero means [DefaultTimeout].
	Timeout time.Duration
	// SignedZone is a zone that is signed. Where there are several servers, each is asked
	// for its keys when it first answers a validator without a signature, to see whether
	// it passes DNSSEC records through; one that does not is used only if no other server
	// answers. The zero Name means the root.
	SignedZone rfc6125.Name
	// RootCAs are the anchors for the certificates of DNS over TLS and HTTPS servers;
	// nil means those of the system.
	RootCAs *x509.CertPool
	// Bootstrap finds the addresses of a TLS or HTTPS server that is given by name.
	// They need not be trusted, since the server must prove its name. Nil means the
	// host's own resolver as Go's net package finds it.
	Bootstrap func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial opens connections; network is "udp" or "tcp", address is IP:PORT. A "udp"
	// connection must send one datagram for each Write and yield one for each Read.
	// Nil means a plain net.Dialer. It is called by many goroutines at once.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger logs servers that fail and come back, at level Debug. Nil
	// discards.
	Logger *slog.Logger
}

// A Client asks recursive resolvers. It implements [dnssec.Upstream] and is safe
// for use by many goroutines at once. Connections are kept open between questions;
// Close ends them.
type Client struct {
	timeout time.Duration
	servers []*server
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running inflight.Group // one for each Exchange under way
}

var (
	_ dnssec.Upstream      = (*Client)(nil)
	_ dnssec.ProtectedPath = (*Client)(nil)
)

// ErrClosed is wrapped (with [dnssec.ErrUnreachable]) by Exchange after Close. It wraps
// [dnssec.ErrShortage].
var ErrClosed = dnssec.Shortage("the client of the resolvers is closed")

// New makes a Client. It opens nothing. Its error joins all that is wrong with cfg.
func New(cfg Config) (*Client, error) {
	var errs []error
	if len(cfg.Servers) == 0 {
		errs = append(errs, fault.New("upstream", "no servers"))
	}
	for i, s := range cfg.Servers {
		if !s.IsValid() {
			errs = append(errs, fault.Errorf("upstream", "server %d is the zero Server", i+1))
		}
	}
	if cfg.Timeout < 0 {
		errs = append(errs, fault.Errorf("upstream", "negative timeout %v", cfg.Timeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultTimeout)
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.Bootstrap == nil {
		cfg.Bootstrap = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	c := &Client{timeout: cfg.Timeout}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for _, s := range cfg.Servers {
		c.servers = append(c.servers, newServer(s, &cfg))
	}
	return c, nil
}

// Servers returns the servers of c in the order of its Config.
func (c *Client) Servers() []Server {
	out := make([]Server, len(c.servers))
	for i, s := range c.servers {
		out[i] = s.Server
	}
	return out
}

// Close ends all connections and waits for every goroutine that c started; those of
// net/http, which serve DNS over HTTPS, end with their connections by themselves.
// Exchanges under way fail. It may be called more than once.
func (c *Client) Close() error {
	c.running.Close()
	c.cancel()
	c.running.Wait() // the connections are not used from here on
	for _, s := range c.servers {
		s.close()
	}
	return nil
}

// Exchange implements [dnssec.Upstream].
//
// It returns the first answer that is NOERROR, NXDOMAIN, or a SERVFAIL whose
// extended error says that validation failed there: a server that has seen a bogus
// zone is not overruled by the next one, which may not validate at all. After
// another rcode the next server is asked at once, and so it is after an answer to a
// validator (CD and DO set) from which signatures may have been taken away.
func (c *Client) Exchange(ctx context.Context, msg []byte) (dnssec.Response, error) {
	q, err := parseQuery(msg)
	if err != nil {
		return dnssec.Response{}, err
	}
	if !c.running.Enter() {
		return dnssec.Response{}, &failure{dnssec.ErrUnreachable, ErrClosed}
	}
	defer c.running.Leave()
	if err := ctx.Err(); err != nil {
		return dnssec.Response{}, &failure{dnssec.ErrTimeout, context.Cause(ctx)}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errQuestionTimeout)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer context.AfterFunc(c.ctx, func() { end(ErrClosed) })()
	defer end(nil)
	return newRace(ctx, q, c.servers).run()
}

// errQuestionTimeout is the cause of a context that ended by the Client's own limit.
var errQuestionTimeout = fmt.Errorf("no answer within the timeout: %w", context.DeadlineExceeded)

// ProtectedPath implements [dnssec.ProtectedPath]: every server is at a loopback
// address, or proves who it is.
func (c *Client) ProtectedPath() bool {
	for _, s := range c.servers {
		if !s.IsLoopback() && !s.IsAuthenticated() {
			return false
		}
	}
	return true
}
