package httpdoor

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/literal"
	"github.com/mxauth/mxauth/rfc6125"
)

// Limits of what a peer can have shown.
const (
	// maxCertificates and maxChain bound a chain, in certificates and in bytes: real ones have
	// up to five certificates of 2 KB.
	maxCertificates = 64
	maxChain        = 256 << 10
	// maxJudges is how many verdicts are computed side by side. The signatures of one chain are
	// bounded by the budget of package pkix; this bounds what all clients take together.
	maxJudges = 4
	// maxDetail bounds a text for people, in bytes.
	maxDetail = 1000
)

// A decideBody is the body of POST /v1/decide: which host of which delivery, and what a
// connection to it showed.
type decideBody struct {
	V       *int           `json:"v"`
	Request engine.Request `json:"request"`
	Host    string         `json:"host"`    // as in the plan
	Address netip.AddrPort `json:"address"` // that was connected to; may be left out
	// One of these three.
	Chain  [][]byte     `json:"chain"`   // DER, as sent, leaf first
	RawKey []byte       `json:"raw_key"` // SubjectPublicKeyInfo, in place of a chain (RFC 7250)
	Event  engine.Event `json:"event"`   // in place of a completed handshake
	// TLS is the version of a completed handshake.
	TLS        string `json:"tls"`
	RequireTLS bool   `json:"requiretls"` // EHLO inside TLS offered REQUIRETLS
	Code       int    `json:"code"`       // SMTP reply, of an event
	Detail     string `json:"detail"`     // for people
	event      bool   // Event is given
}

// tlsVersions are the versions that a client may name, as crypto/tls or OpenSSL write them.
var tlsVersions = map[string]string{
	"TLS 1.0": "TLS 1.0", "TLS 1.1": "TLS 1.1", "TLS 1.2": "TLS 1.2", "TLS 1.3": "TLS 1.3",
	"TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3",
}

// peer is what the connection showed.
func (b *decideBody) peer() (engine.Peer, error) {
	p := engine.Peer{Event: b.Event, Address: b.Address, Detail: b.Detail, Code: b.Code}
	size := 0
	for _, c := range b.Chain {
		if len(c) == 0 {
			return p, errors.New("chain: one of the certificates is empty")
		}
		size += len(c)
	}
	given := 0
	for _, is := range []bool{len(b.Chain) > 0, len(b.RawKey) > 0, b.event} {
		if is {
			given++
		}
	}
	done := len(b.Chain) > 0 || len(b.RawKey) > 0
	switch {
	case given == 0:
		return p, errors.New("give chain or raw_key of a completed handshake, or event")
	case given > 1:
		return p, errors.New("give one of chain, raw_key and event")
	case len(b.Chain) > maxCertificates:
		return p, fmt.Errorf("chain: more than %d certificates", maxCertificates)
	case size > maxChain || len(b.RawKey) > maxChain:
		return p, fmt.Errorf("chain: more than %d bytes", maxChain)
	case len(b.Detail) > maxDetail:
		return p, fmt.Errorf("detail: more than %d bytes", maxDetail)
	case b.Code != 0 && (b.Code < 200 || b.Code > 599):
		return p, fmt.Errorf("code: %d is not an SMTP reply code", b.Code)
	case !done && b.Event == engine.HandshakeDone:
		return p, errors.New("event: a completed handshake has a chain or a raw_key")
	case !done && (b.TLS != "" || b.RequireTLS):
		return p, errors.New("tls and requiretls are of a completed handshake")
	case !done:
		return p, nil
	}
	p.Event, p.Raw, p.RawKey, p.RequireTLS = engine.HandshakeDone, b.Chain, b.RawKey, b.RequireTLS
	if p.TLS = tlsVersions[b.TLS]; p.TLS == "" {
		return p, fmt.Errorf("tls: %.20q is not a version such as TLS 1.3", b.TLS)
	}
	return p, nil
}

// serveDecide judges what a connection showed.
func (s *Server) serveDecide(w http.ResponseWriter, r *http.Request) *problem {
	b := decideBody{Request: s.withDefaults(), Event: noEvent}
	if p := readBody(w, r, &b); p != nil {
		return p
	}
	if p := versioned(b.V); p != nil {
		return p
	}
	b.event = b.Event != noEvent
	peer, err := b.peer()
	if err != nil {
		return newProblem(http.StatusBadRequest, idBadBody, err.Error())
	}
	if b.Host == "" {
		return newProblem(http.StatusBadRequest, idBadBody, "host: name the host of the plan that was connected to")
	}
	ctx, cancel := limited(r)
	defer cancel()
	plan, err := s.c.Backend.Plan(ctx, b.Request)
	if err != nil {
		return planProblem(err)
	}
	i := hostIndex(plan, b.Host)
	if i < 0 {
		return newProblem(http.StatusNotFound, string(reason.NotInPlan), fmt.Sprintf("%.255q is not a host of the plan for %.255q; ask for the plan again", b.Host, b.Request.NextHop))
	}
	if err := turn(ctx, s.judges); err != nil {
		return late(err)
	}
	defer func() { <-s.judges }()
	return respondJSON(w, s.c.Rows.Decision(plan, i, s.c.Backend.Decide(plan, i, peer)))
}

// noEvent is an Event that no text gives.
const noEvent engine.Event = 255

// hostIndex is the number of a host in a plan, by its name or by its address in brackets; -1 if it
// is not there.
func hostIndex(p *engine.Plan, host string) int {
	name, err := rfc6125.ParseHost(host)
	return slices.IndexFunc(p.Hosts, func(h engine.Host) bool {
		if h.Name.IsValid() {
			return err == nil && h.Name == name
		}
		return strings.EqualFold(literal.String(h.Literal), host)
	})
}
