package sts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// The fetch is a plain HTTPS GET with everything taken away that a web client does
// of its own accord: no proxy from the environment, no redirect, no cookie, no
// compression, no cache, no kept connection, no second protocol. The name that the
// certificate must carry is mta-sts.<domain> and nothing else (RFC 8461 sections 3.3
// and 8.2); it is judged by packages pkix and rfc6125. The address comes from our own
// resolver, is vetted, and is exactly the one that is dialled, so that a name which
// answers differently when asked again gains nothing.

const (
	// policyLabel and policyPath make the URL of a policy (RFC 8461 section 3.2).
	policyLabel = "mta-sts"
	policyPath  = "/.well-known/mta-sts.txt"

	// DefaultFetchTimeout bounds one whole fetch (RFC 8461 section 3.3 suggests a
	// minute).
	DefaultFetchTimeout = time.Minute

	// maxHeaderBytes bounds the response header: a hundred times what a policy
	// host needs to say.
	maxHeaderBytes = 32 << 10

	// maxAddrs is how many addresses of a policy host are tried: two of each family.
	maxAddrs = 4

	// connectTimeout bounds one connect and one handshake, so that one dead address
	// leaves time for the others.
	connectTimeout = 10 * time.Second

	userAgent = "mxauth (MTA-STS)"
)

// Fetched is what one successful fetch brought.
type Fetched struct {
	Policy      Policy
	At          time.Time // when it was complete; max_age counts from here
	Host        rfc6125.Host
	Addr        netip.AddrPort
	Aliases     []dnssec.Alias // CNAMEs of the policy host's name, for people
	TLSVersion  uint16         // as in crypto/tls
	Chain       []*x509.Certificate
	ContentType string
	Took        time.Duration
}

// policyHost returns mta-sts.<domain>.
func policyHost(domain rfc6125.Host) (rfc6125.Host, error) {
	n, err := domain.Name().Child(policyLabel)
	if err != nil {
		return rfc6125.Host{}, err
	}
	return rfc6125.HostFromName(n)
}

// Fetch fetches the policy of domain now, whatever the TXT record says and without
// looking at the cache or changing it. An error is a [*FetchError]; what was learnt
// before the failure (address, chain) is in the Fetched beside it. Fetch may be
// called by many goroutines at once. It waits for its turn if too many fetches are
// under way, at most for Config.Timeout and not counted to it, and returns soon after
// ctx is done.
func (c *Client) Fetch(ctx context.Context, domain rfc6125.Host) (Fetched, error) {
	start := c.now()
	f := Fetched{}
	var ferr *FetchError
	if host, err := policyHost(domain); err != nil {
		ferr = &FetchError{Kind: ErrFetchDNS, Detail: "no policy host can exist: the name would be too long", Cause: err}
	} else {
		f.Host = host
		ferr = c.fetch(ctx, &f)
	}
	f.At = c.now()
	f.Took = f.At.Sub(start)
	if ferr != nil {
		ferr.Host = f.Host
		return f, ferr
	}
	return f, nil
}

// fetch fills f.
func (c *Client) fetch(ctx context.Context, f *Fetched) *FetchError {
	// By the monotonic clock: Config.Now is for judging, not for waiting.
	begin := time.Now()
	dctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	addrs, ferr := c.addresses(dctx, f)
	if ferr != nil {
		return ferr
	}
	left := c.timeout - time.Since(begin)
	wctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	release, err := c.slots.acquire(wctx, f.turn().String())
	if err != nil {
		return &FetchError{Kind: ErrFetchTimeout, Detail: "no turn came: too many fetches are under way", Cause: err}
	}
	defer release()
	fctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	ferr = c.fetchFrom(fctx, addrs, f)
	if ferr != nil && fctx.Err() != nil {
		switch ferr.Kind {
		case ErrFetchTCP, ErrFetchTLS, ErrFetchHTTP:
			// Whatever broke last, it broke because the time was over.
			ferr.Kind = ErrFetchTimeout
		}
	}
	return ferr
}

// turn is the name by which fetches from one policy host are counted: its final one,
// since many domains sit behind one provider.
func (f *Fetched) turn() rfc6125.Name {
	if n := len(f.Aliases); n > 0 {
		return f.Aliases[n-1].Target
	}
	return f.Host.Name()
}

// addresses asks for the addresses of the policy host and vets them. A family whose
// lookup fails does not spoil the other.
func (c *Client) addresses(ctx context.Context, f *Fetched) ([]netip.AddrPort, *FetchError) {
	name := f.Host.Name()
	type reply struct {
		ans dnssec.Answer
		err error
	}
	ask := func(t dnssec.Type) reply {
		ans, err := c.resolver.Resolve(ctx, dnssec.Question{Name: name, Type: t})
		return reply{ans, err}
	}
	ch := make(chan reply, 1)
	go func() { ch <- ask(dnssec.TypeAAAA) }()
	r4 := ask(dnssec.TypeA)
	r6 := <-ch

	var good [2][]netip.AddrPort
	var refused []error
	for i, r := range []reply{r6, r4} {
		if r.err != nil {
			continue
		}
		if len(r.ans.Chain) > 0 {
			f.Aliases = r.ans.Chain
		}
		for _, rec := range r.ans.Records {
			a := rec.Addr()
			if err := vetAddr(a, c.allow); err != nil {
				refused = append(refused, err)
				continue
			}
			good[i] = append(good[i], netip.AddrPortFrom(a.Unmap(), c.port))
		}
	}
	var addrs []netip.AddrPort
	for i := 0; i < len(good[0]) || i < len(good[1]); i++ {
		for _, fam := range good {
			if i < len(fam) && len(addrs) < maxAddrs {
				addrs = append(addrs, fam[i])
			}
		}
	}
	switch lookup := errors.Join(r4.err, r6.err); {
	case len(addrs) > 0:
		return addrs, nil
	case len(refused) > 0:
		return nil, &FetchError{Kind: ErrFetchAddress, Detail: refused[0].Error()}
	case lookup != nil && ctx.Err() != nil:
		return nil, &FetchError{Kind: ErrFetchTimeout, Detail: "looking up its addresses", Cause: lookup}
	case lookup != nil:
		return nil, &FetchError{Kind: ErrFetchDNS, Cause: lookup}
	}
	return nil, &FetchError{Kind: ErrFetchDNS, Detail: "no addresses (" + r4.ans.Kind.String() + ")"}
}

// fetchFrom connects to the first address that lets itself be connected to and proves
// its name, and asks it for the policy. Of several failures that of the address which
// came furthest is returned.
func (c *Client) fetchFrom(ctx context.Context, addrs []netip.AddrPort, f *Fetched) *FetchError {
	var worst *FetchError
	rank := func(e *FetchError) int {
		switch e.Kind {
		case ErrFetchWebPKI:
			return 2
		case ErrFetchTLS:
			return 1
		}
		return 0
	}
	for _, addr := range addrs {
		conn, ferr := c.connect(ctx, addr, f)
		if ferr == nil {
			f.Addr = addr
			ferr = c.get(ctx, conn, f)
			if ferr != nil {
				ferr.Addr = addr
			}
			return ferr
		}
		ferr.Addr = addr
		if worst == nil || rank(ferr) > rank(worst) {
			worst = ferr
		}
		if ctx.Err() != nil {
			break
		}
	}
	return worst
}

// connect opens a TLS connection to addr and proves the name of the policy host.
func (c *Client) connect(ctx context.Context, addr netip.AddrPort, f *Fetched) (*tls.Conn, *FetchError) {
	dctx, cancel := context.WithTimeout(ctx, connectTimeout)
	raw, err := c.dial(dctx, addr)
	cancel()
	if err != nil {
		return nil, &FetchError{Kind: ErrFetchTCP, Cause: err}
	}
	var refusal error
	watched := &watchedConn{Conn: raw}
	conn := tls.Client(watched, &tls.Config{
		ServerName: f.Host.String(), // SNI, RFC 8461 section 7.1
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		Time:       c.now,
		// crypto/x509 judges names by other rules than RFC 9525 and RFC 8461 section
		// 3.3 ask for, so it judges nothing here: VerifyConnection below does, for
		// every connection.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			f.Chain, f.TLSVersion = cs.PeerCertificates, cs.Version
			refusal = c.verify(f.Host, cs.PeerCertificates)
			return refusal
		},
	})
	hctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err = conn.HandshakeContext(hctx)
	switch {
	case err == nil:
		return conn, nil
	case refusal != nil:
		raw.Close()
		return nil, &FetchError{Kind: ErrFetchWebPKI, Cause: refusal}
	}
	raw.Close()
	return nil, &FetchError{Kind: ErrFetchTLS, Cause: err}
}

// verify judges the chain of a policy host (RFC 8461 section 3.3): a path to a root,
// its dates, and a DNS-ID that is host.
func (c *Client) verify(host rfc6125.Host, chain []*x509.Certificate) error {
	res, err := pkix.VerifyServer(pkix.Request{Chain: chain, Roots: c.roots, At: c.now()}, []rfc6125.Reference{rfc6125.NewReference(host)})
	if err != nil {
		return err
	}
	if c.checkPath != nil {
		return c.checkPath(res.Path)
	}
	return nil
}

// get asks for the policy over conn, reads and parses it, and closes conn.
func (c *Client) get(ctx context.Context, conn *tls.Conn, f *Fetched) *FetchError {
	given := false
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	t := &http.Transport{
		Proxy:                  nil,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              &protocols,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			if given {
				return nil, errors.New("a second connection is not made")
			}
			given = true
			return hardClose{conn}, nil
		},
	}
	defer t.CloseIdleConnections()
	defer hardClose{conn}.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+f.Host.String()+policyPath, nil)
	if err != nil {
		return &FetchError{Kind: ErrFetchHTTP, Cause: err}
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "text/plain")
	req.Header.Set("Cache-Control", "no-cache")
	// RoundTrip, not a Client: it follows nothing and keeps no cookies.
	resp, err := t.RoundTrip(req)
	if err != nil {
		return &FetchError{Kind: ErrFetchHTTP, Cause: err}
	}
	defer resp.Body.Close()
	f.ContentType = resp.Header.Get("Content-Type")
	fail := func(kind error, detail string, cause error) *FetchError {
		return &FetchError{Kind: kind, Status: resp.StatusCode, Detail: detail, Cause: cause}
	}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode <= 399:
		return fail(ErrFetchRedirect, "status "+strconv.Itoa(resp.StatusCode)+", which is not followed", nil)
	case resp.StatusCode != http.StatusOK:
		return fail(ErrFetchStatus, "status "+strconv.Itoa(resp.StatusCode), nil)
	}
	if why := badMediaType(resp.Header.Values("Content-Type")); why != "" {
		return fail(ErrFetchMediaType, fmt.Sprintf("%s: %.100q", why, f.ContentType), nil)
	}
	if enc := strings.Join(resp.Header.Values("Content-Encoding"), ","); enc != "" && !strings.EqualFold(enc, "identity") {
		return fail(ErrFetchMediaType, fmt.Sprintf("Content-Encoding %.100q, though none was asked for", enc), nil)
	}
	if resp.ContentLength > MaxPolicySize {
		return fail(ErrFetchSize, fmt.Sprintf("%d octets, more than %d", resp.ContentLength, MaxPolicySize), nil)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxPolicySize+1))
	if err == nil {
		err = ctx.Err()
	}
	framed := resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0
	switch {
	case err != nil:
		return fail(ErrFetchHTTP, "", fmt.Errorf("reading the body: %w", err))
	case len(body) > MaxPolicySize:
		return fail(ErrFetchSize, fmt.Sprintf("more than %d octets", MaxPolicySize), nil)
	case !framed && conn.NetConn().(*watchedConn).eof.Load():
		return fail(ErrFetchHTTP, "reading the body: the connection broke off, and nothing says how long the body is", nil)
	}
	p, err := ParsePolicy(body)
	if err != nil {
		f.Policy.Text = string(body) // for reports
		return fail(ErrFetchSyntax, "", err)
	}
	f.Policy = p
	return nil
}

// A watchedConn notes that the peer, or somebody on the way, has closed the TCP
// connection. A body whose end is the end of the connection is complete only if TLS has
// said so before (RFC 9112 section 9.8); crypto/tls lets a bare end pass, with which an
// attacker could cut lines off a policy.
type watchedConn struct {
	net.Conn
	eof atomic.Bool
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.eof.Store(true)
	}
	return n, err
}

// hardClose closes a TLS connection without its farewell, which would wait up to five
// seconds for a peer that does not read. Nothing is lost: the answer is complete, or it
// is not wanted.
type hardClose struct{ *tls.Conn }

func (c hardClose) Close() error { return c.Conn.NetConn().Close() }
