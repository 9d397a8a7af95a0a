package engine

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/netip"
	"sync"

	"github.com/mxauth/mxauth/rfc6125"
)

// An Attempt is one connection to one host of a plan, for callers that use crypto/tls:
// its TLSConfig decides inside the handshake, so that nothing is sent to a peer that
// did not prove itself, and its [Conversation] records the rest. It serves one
// connection.
//
// A caller dials, watches the connection, says EHLO, STARTTLS and EHLO once more with any
// library, reports the end with [Conversation.Done], and then asks [Attempt.Decision].
// The examples show it with net/smtp and with github.com/emersion/go-smtp.
type Attempt struct {
	Conversation
	// Choice is for TLSConfig, which is called after it is set.
	Choice TLSChoice

	e *Engine
	p *Plan
	i int

	recorded sync.Once // observers get one decision
}

// Attempt begins a connection to host i of the plan, at addr (zero if unknown). It
// panics if there is no such host: the plan's Hosts are what there is.
func (e *Engine) Attempt(p *Plan, i int, addr netip.AddrPort) *Attempt {
	_ = p.Hosts[i]
	return &Attempt{Conversation: Conversation{address: addr}, e: e, p: p, i: i}
}

// TLSConfig returns the configuration for tls.Client. Its VerifyConnection records
// what the peer presented and ends the handshake, with an error that wraps
// [ErrRefused], unless the message may go over the session. That the peer has the key
// of what it presents is known later, when the handshake is complete
// ([Conversation.Done]). A session is only ever resumed into a plan with the same
// [Host.ReuseKey]; a cache that the caller puts into the returned configuration is not
// used: the handshake is then refused. Cipher suites and groups may be changed in it, or
// chosen by Choice; [TLSChoice] says what crypto/tls cannot do.
func (a *Attempt) TLSConfig() *tls.Config {
	h := &a.p.Hosts[a.i]
	c := h.ClientTLSWith(a.Choice)
	c.Time = a.e.c.Now
	resumes := a.e.c.Sessions != nil
	if resumes {
		c.ClientSessionCache = &sessions{behind: a.e.c.Sessions, key: h.ReuseKey()}
	}
	own := c.ClientSessionCache
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if s.DidResume && (!resumes || c.ClientSessionCache != own) {
			return errForeignSession
		}
		peer := PeerFromState(s)
		peer.Address = a.address
		// STARTTLS3207-4.1-01: RFC 3207 section 4.1
		d := a.e.decide(a.p, a.i, peer, a.e.c.Now(), judgeOptions{beforeEHLO: true})
		a.mu.Lock()
		defer a.mu.Unlock()
		a.shown, a.resumes = peer, resumes
		if a.refused = !d.Deliver; a.refused { // TLSA6698-4.1-08: RFC 6698 section 4.1
			return fmt.Errorf("%w: %s", ErrRefused, d.Reason.ID)
		}
		return nil
	}
	return c
}

// Decision judges the connection. The first call also records the decision
// ([Engine.Record]). RequireTLS says whether EHLO inside TLS offered REQUIRETLS; it is false
// where there was none. Before the end of the conversation was reported the decision lets
// nothing pass.
func (a *Attempt) Decision(requireTLS bool) Decision {
	peer, unconfirmed := a.peer()
	peer.RequireTLS = requireTLS && peer.Event == HandshakeDone
	d := a.e.decide(a.p, a.i, peer, a.e.c.Now(), judgeOptions{unconfirmed: unconfirmed})
	if a.wasRefused() && d.Deliver {
		// The handshake was ended, so there is no session to send over, whatever the
		// certificate is worth by now.
		d = a.e.decide(a.p, a.i, Peer{Event: HandshakeFailed, Address: peer.Address, Detail: ErrRefused.Error()}, a.e.c.Now(), judgeOptions{})
	}
	if !unconfirmed {
		a.recorded.Do(func() { a.e.Record(a.p, a.i, d) })
	}
	return d
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
