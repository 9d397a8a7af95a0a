package engine

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/mxauth/mxauth/rfc6125"
)

// ErrRefused is wrapped by the error with which a handshake ends that an [Attempt]'s
// TLSConfig refused. The decision is that of [Attempt.Decision].
var ErrRefused = errors.New("engine: the peer did not prove itself")

// errNoHandshake is the detail of a connection of which nothing was told.
var errNoHandshake = errors.New("the connection ended before TLS was established")

// ClientTLS returns the TLS configuration for a connection to a host of a plan: SNI
// as the plan says (RFC 7672 section 8.1, RFC 8461 section 7.1), TLS 1.2 or later
// (RFC 8996), Go's own cipher suites, no session resumption.
//
// WARNING: it accepts any certificate, since whether one counts is for
// [Engine.Decide] to say after the handshake; a caller that does not call Decide
// before MAIL FROM sends mail to anybody. Use [Attempt.TLSConfig], which decides
// inside the handshake.
func (h *Host) ClientTLS() *tls.Config {
	return &tls.Config{
		ServerName: h.SNI,
		MinVersion: tls.VersionTLS12,
		// The standard library would look for a WebPKI path to the SNI name, which is
		// neither necessary nor sufficient here.
		InsecureSkipVerify: true,
	}
}

// An Attempt is one connection to one host of a plan, for callers that use crypto/tls:
// its TLSConfig decides inside the handshake, so that nothing is sent to a peer that
// did not prove itself. It serves one connection and may be used by one goroutine at
// a time.
//
// A caller dials, says EHLO, then either STARTTLS and a handshake with TLSConfig and
// EHLO once more, or [Attempt.Failed] with what went wrong; and then asks
// [Attempt.Decision].
type Attempt struct {
	e    *Engine
	p    *Plan
	i    int
	addr netip.AddrPort

	mu   sync.Mutex // guards peer, which the handshake fills
	peer Peer
}

// Attempt begins a connection to host i of the plan, at addr (zero if unknown). It
// panics if there is no such host: the plan's Hosts are what there is.
func (e *Engine) Attempt(p *Plan, i int, addr netip.AddrPort) *Attempt {
	_ = p.Hosts[i]
	return &Attempt{e: e, p: p, i: i, addr: addr, peer: Peer{Address: addr, Detail: errNoHandshake.Error()}}
}

// TLSConfig returns the configuration for tls.Client. Its VerifyConnection records
// what the peer presented and ends the handshake, with an error that wraps
// [ErrRefused], unless the message may go over the session. A session is only ever
// resumed into a plan with the same [Host.ReuseKey]; a cache that the caller puts
// into the returned configuration is not used: the handshake is then refused.
func (a *Attempt) TLSConfig() *tls.Config {
	h := &a.p.Hosts[a.i]
	c := h.ClientTLS()
	c.Time = a.e.c.Now
	resumes := a.e.c.Sessions != nil
	if resumes {
		c.ClientSessionCache = &sessions{behind: a.e.c.Sessions, key: h.ReuseKey()}
	}
	own := c.ClientSessionCache
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if s.DidResume && (!resumes || c.ClientSessionCache != own) {
			return fmt.Errorf("%w: the session was resumed from a cache that is not bound to the plan", ErrRefused)
		}
		peer := peerOf(s)
		peer.Address = a.addr
		a.mu.Lock()
		a.peer = peer
		a.mu.Unlock()
		d := a.e.decide(a.p, a.i, peer, a.e.c.Now(), judging{beforeEHLO: true, quiet: true})
		if !d.Deliver {
			return fmt.Errorf("%w: %s", ErrRefused, d.Reason.ID)
		}
		return nil
	}
	return c
}

// peerOf is what a finished handshake showed.
func peerOf(s tls.ConnectionState) Peer {
	return Peer{Event: HandshakeDone, Chain: s.PeerCertificates, TLS: tls.VersionName(s.Version), Version: s.Version}
}

// PeerFromState is what a finished handshake showed, for [Engine.Decide].
func PeerFromState(s tls.ConnectionState) Peer { return peerOf(s) }

// Failed says what the connection came to instead of a handshake: [NoConnection],
// [NoSTARTTLS], [STARTTLSRefused], or [HandshakeFailed] with the error of the
// handshake. A handshake that TLSConfig refused stays what it was: the peer is known.
func (a *Attempt) Failed(ev Event, detail error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.peer.Event == HandshakeDone && errors.Is(detail, ErrRefused) {
		return
	}
	a.peer = Peer{Event: ev, Address: a.addr}
	if detail != nil {
		a.peer.Detail = detail.Error()
	}
}

// Injected says that plaintext followed the reply to STARTTLS.
func (a *Attempt) Injected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.peer = Peer{Event: STARTTLSRefused, Injected: true, Address: a.addr}
}

// Decision judges the connection. RequireTLS says whether EHLO inside TLS offered
// REQUIRETLS; it is false where there was none.
func (a *Attempt) Decision(requireTLS bool) Decision {
	a.mu.Lock()
	peer := a.peer
	a.mu.Unlock()
	peer.RequireTLS = requireTLS && peer.Event == HandshakeDone
	return a.e.Decide(a.p, a.i, peer, a.e.c.Now())
}

// ReuseKey is equal for two hosts of plans exactly if a TLS session or an open
// connection that served one may serve the other: the same host, port, TLSA base
// domain and records, MTA-STS pattern, requirement and reference identifiers (section
// 7). It is opaque.
func (h *Host) ReuseKey() string {
	sum := sha256.New()
	w := func(s string) { fmt.Fprintf(sum, "%d:%s", len(s), s) }
	w(h.String())
	w(fmt.Sprint(h.Port, h.Requirement, h.Strict, h.DANE.State))
	w(h.SNI)
	w(h.DANE.Base.String())
	for _, u := range h.DANE.Set.Uses() {
		w(fmt.Sprint(u.Usable, u.Record))
	}
	w(h.STSMatch)
	for _, refs := range [...][]rfc6125.Reference{h.DANERefs, h.STSRefs, h.PKIXRefs} {
		w(fmt.Sprint(len(refs)))
		for _, r := range refs {
			w(r.String())
		}
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// sessions is a view of a session cache in which a plan sees its own sessions only.
type sessions struct {
	behind tls.ClientSessionCache
	key    string
}

func (s *sessions) Get(k string) (*tls.ClientSessionState, bool) {
	return s.behind.Get(s.key + " " + k)
}

func (s *sessions) Put(k string, st *tls.ClientSessionState) { s.behind.Put(s.key+" "+k, st) }
