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
	"github.com/mxauth/mxauth/internal/tlsfloor"
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

	// connectTimeout bounds one connect and one handshake. With several addresses each
	// has its share of the time that is left, so that a dead one leaves time for the
	// others.
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
// before the failure (address, chain) is in the Fetched returned with it. Fetch may be
// called by many goroutines at once. It waits for a turn if too many fetches are under
// way, which does not count to Config.Timeout; if none comes the error wraps [ErrNoTurn].
// It returns soon after ctx is done.
func (c *Client) Fetch(ctx context.Context, domain rfc6125.Host) (Fetched, error) {
	return c.fetchPolicy(ctx, domain, fetchOptions{patience: c.timeout})
}

// fetchOptions say how a fetch waits for its turns.
type fetchOptions struct {
	patience time.Duration // how long it waits in all
	first    bool          // its policy is kept, so its host has answered before
	waiting  func(bool)    // called when it begins and ends to wait; may be nil
}

func (c *Client) fetchPolicy(ctx context.Context, domain rfc6125.Host, o fetchOptions) (Fetched, error) {
	start := c.now()
	f := Fetched{}
	var ferr *FetchError
	if host, err := policyHost(domain); err != nil {
		ferr = &FetchError{Kind: ErrFetchDNS, Detail: "no policy host can exist: the name would be too long", Cause: err}
	} else {
		f.Host = host
		ferr = c.fetch(ctx, &f, o)
	}
	f.At = c.now()
	f.Took = f.At.Sub(start)
	if ferr != nil {
		ferr.Host = f.Host
		if ferr.Detail == "" {
			ferr.Detail = plainCause(ferr.Cause)
		}
		return f, ferr
	}
	return f, nil
}

// fetch fills f.
func (c *Client) fetch(ctx context.Context, f *Fetched, o fetchOptions) *FetchError {
	// By the monotonic clock: Config.Now is for judging, not for waiting.
	begin := time.Now()
	dctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	targets, ferr := c.addresses(dctx, f)
	if ferr != nil {
		return ferr
	}
	ferr = c.fetchFrom(ctx, targets, c.timeout-time.Since(begin), f, o)
	switch {
	case ferr == nil:
		c.turns.noteAnswer(f.Host, true)
	case errors.Is(ferr.Kind, ErrFetchTimeout), errors.Is(ferr.Kind, ErrFetchTCP), errors.Is(ferr.Kind, ErrFetchTLS):
		c.turns.noteAnswer(f.Host, false)
	}
	return ferr
}

// A target is an address of a policy host, with the name at the end of the aliases that
// led to it: fetches from one host are counted by that, since many domains share one
// provider. Each family has its own aliases, so that a hostile domain cannot count
// its own address as a provider's.
type target struct {
	addr netip.AddrPort
	name rfc6125.Name
}

// addresses asks for the addresses of the policy host and vets them. A family whose
// lookup fails does not spoil the other.
func (c *Client) addresses(ctx context.Context, f *Fetched) ([]target, *FetchError) {
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

	rules := c.addr
	if r6.err == nil && len(r6.ans.Records) > 0 {
		rules.NAT64 = c.nat64.find(ctx)
	}
	var good [2][]target
	var refused []error
	for i, r := range []reply{r6, r4} {
		if r.err != nil {
			continue
		}
		final := name
		if n := len(r.ans.Chain); n > 0 {
			f.Aliases = r.ans.Chain
			final = r.ans.Chain[n-1].Target
		}
		for _, rec := range r.ans.Records {
			a := rec.Addr()
			if err := rules.Vet(a); err != nil {
				refused = append(refused, err)
				continue
			}
			good[i] = append(good[i], target{netip.AddrPortFrom(a.Unmap(), c.port), final})
		}
	}
	var addrs []target
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
	case dnssec.IsShortage(lookup):
		return nil, &FetchError{Kind: ErrNoTurn, Detail: "looking up its addresses", Cause: lookup}
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
// its name, and asks it for the policy, all within left. Of several failures that of the
// address which came furthest is returned.
func (c *Client) fetchFrom(ctx context.Context, targets []target, left time.Duration, f *Fetched, o fetchOptions) *FetchError {
	var worst, lacking *FetchError
	rank := func(e *FetchError) int {
		switch e.Kind {
		case ErrFetchWebPKI:
			return 2
		case ErrFetchTLS:
			return 1
		}
		return 0
	}
	length := turnLength
	for i := 0; i < len(targets); {
		t := targets[i]
		start := time.Now()
		if o.waiting != nil {
			o.waiting(true)
		}
		turn, err := c.turns.acquire(ctx, o.patience, turnKey{registrable(f.Host), t.name}, o.first || c.turns.hasAnswered(f.Host), length)
		if o.waiting != nil {
			o.waiting(false)
		}
		if err != nil {
			return &FetchError{Kind: ErrNoTurn, Detail: err.Error(), Cause: err}
		}
		o.patience -= time.Since(start)
		start = time.Now()
		actx, cancel := context.WithTimeout(turn.ctx, left)
		connected, ferr := c.attempt(actx, t.addr, left/time.Duration(len(targets)-i), f)
		timeout := actx.Err() != nil
		cancel()
		ended := turn.wasEnded()
		turn.release()
		if ferr == nil {
			return nil
		}
		ferr.Addr = t.addr
		broke := false // by the network or the time, not by what was said
		switch ferr.Kind {
		case ErrFetchTCP, ErrFetchTLS, ErrFetchHTTP:
			broke = true
		}
		switch {
		case dnssec.IsShortage(ferr.Cause) && ctx.Err() == nil && !ended:
			// No file descriptor, or the like: it says nothing about the host.
			lacking = &FetchError{Kind: ErrNoTurn, Addr: t.addr, Detail: ferr.text(), Cause: ferr.Cause}
		case ended && broke:
			// Interrupted for others: that counts for nothing. The next turn for this
			// address is longer, up to one that is not interrupted.
			if length *= 2; length >= c.timeout {
				length = 0
			}
			continue
		}
		if broke && timeout {
			// Whatever broke last, it broke because the time was over.
			ferr.Kind = ErrFetchTimeout
		}
		if connected {
			return ferr
		}
		if worst == nil || rank(ferr) > rank(worst) {
			worst = ferr
		}
		if left -= time.Since(start); left <= 0 || ctx.Err() != nil {
			break
		}
		i++
		length = turnLength
	}
	if lacking != nil {
		return lacking
	}
	return worst
}

// attempt connects to one address and asks it for the policy. connected says that it has
// proved its name; up to there it may take share.
func (c *Client) attempt(ctx context.Context, addr netip.AddrPort, share time.Duration, f *Fetched) (connected bool, ferr *FetchError) {
	cctx, cancel := context.WithTimeout(ctx, share)
	conn, ferr := c.connect(cctx, addr, f)
	cancel()
	if ferr != nil {
		return false, ferr
	}
	f.Addr = addr
	return true, c.get(ctx, conn, f)
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
		ServerName:   f.Host.String(), // SNI. STS-7.1-02: RFC 8461 section 7.1
		MinVersion:   tls.VersionTLS12,
		CipherSuites: tlsfloor.Suites(),
		NextProtos:   []string{"http/1.1"},
		Time:         c.now,
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
	ferr := &FetchError{Kind: ErrFetchTLS, Cause: err}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" { // as crypto/tls names an alert of the peer
		ferr.Note = NoteAlert
	}
	return nil, ferr
}

// verify judges the chain of a policy host (RFC 8461 section 3.3): a path to a root,
// its dates, and a DNS-ID that is host.
func (c *Client) verify(host rfc6125.Host, chain []*x509.Certificate) error {
	// STS-3.3-01: RFC 8461 section 3.3
	res, err := pkix.VerifyServer(pkix.Request{Chain: chain, Roots: c.roots, At: c.now()}, []rfc6125.Reference{rfc6125.NewReference(host)})
	if err != nil {
		return err
	}
	if err := tlsfloor.CheckKeys(res.Path.Certs); err != nil {
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
	before := conn.NetConn().(*watchedConn).read.Load()
	// RoundTrip, not a Client: it follows nothing and keeps no cookies.
	resp, err := t.RoundTrip(req) // STS-3.3-06: RFC 8461 section 3.3
	if err != nil {
		e := &FetchError{Kind: ErrFetchHTTP, Cause: err}
		if read := conn.NetConn().(*watchedConn).read.Load() - before; read > maxHeaderBytes && !timedOut(err) {
			e.Note = NoteHeader // net/http has no error type for it
		}
		return e
	}
	defer resp.Body.Close()
	f.ContentType = resp.Header.Get("Content-Type")
	fail := func(kind error, detail string, cause error) *FetchError {
		return &FetchError{Kind: kind, Status: resp.StatusCode, Detail: detail, Cause: cause}
	}
	switch {
	case isRedirect(resp.StatusCode):
		// STS-3.3-05: RFC 8461 section 3.3
		detail := "status " + strconv.Itoa(resp.StatusCode) + ", which is not followed"
		to := resp.Header.Get("Location")
		if to != "" {
			detail = fmt.Sprintf("status %d to %.200q, which is not followed", resp.StatusCode, to)
		}
		e := fail(ErrFetchRedirect, safeText(detail), nil)
		e.Location = to[:min(len(to), maxDetail)]
		return e
	case resp.StatusCode != http.StatusOK:
		return fail(ErrFetchStatus, "status "+strconv.Itoa(resp.StatusCode), nil)
	}
	if why := badMediaType(resp.Header.Values("Content-Type")); why != "" {
		return fail(ErrFetchMediaType, fmt.Sprintf("%s: %.100q", why, f.ContentType), nil)
	}
	if enc := strings.Join(resp.Header.Values("Content-Encoding"), ","); enc != "" && !strings.EqualFold(enc, "identity") {
		e := fail(ErrFetchMediaType, fmt.Sprintf("Content-Encoding %.100q, though none was asked for", enc), nil)
		e.Note = NoteEncoding
		return e
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

// isRedirect reports whether a status sends the client elsewhere (RFC 9110 section 15.4).
// 304 does not: it says that what the client has is current, which this client never asks.
func isRedirect(status int) bool {
	return status >= 300 && status <= 399 && status != http.StatusNotModified
}

func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout() || errors.Is(err, context.Canceled)
}

// A watchedConn notes that the peer, or somebody on the way, has closed the TCP
// connection. A body whose end is the end of the connection is complete only if TLS has
// said so before (RFC 9112 section 9.8); crypto/tls lets a bare end pass, with which an
// attacker could cut lines off a policy.
type watchedConn struct {
	net.Conn
	eof  atomic.Bool
	read atomic.Int64 // octets read
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	if err != nil {
		c.eof.Store(true)
	}
	return n, err
}

// hardClose closes the TCP connection without sending close_notify, which can block for five
// seconds for a peer that does not read. Nothing is lost: the answer is complete, or it
// is not wanted.
type hardClose struct{ *tls.Conn }

func (c hardClose) Close() error { return c.Conn.NetConn().Close() }
