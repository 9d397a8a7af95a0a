package engine

import (
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/rfc6125"
)

// dropped reports a drop that was noticed just now.
func (e *Engine) dropped(domain rfc6125.Host, d memory.Drop) {
	e.c.Logger.Warn("a domain has lost a protection that it once proved", "domain", domain, "kind", string(d.Kind), "host", d.Host, "since", d.Since)
	if t := e.c.Trace.Dropped; t != nil {
		t(domain, d)
	}
}

// Remember notes what a connection showed: that host i of the plan spoke TLS, or that it
// did not although it once has. A sender calls it after a decision on a connection that
// was really made; it does not block, and without [Config].Memory it does nothing.
func (e *Engine) Remember(p *Plan, i int, d Decision) {
	if e.c.Memory == nil || p == nil || p.Past == nil || i < 0 || i >= len(p.Hosts) || !p.Hosts[i].Name.IsValid() {
		return
	}
	if d.Peer.Handshake == HandshakeRead || d.Event == HandshakeFailed && d.Peer.OwnTLS != nil {
		return // no session, through no fault of the host: neither TLS nor the loss of it
	}
	switch d.Event {
	case HandshakeDone, NoSTARTTLS, STARTTLSRefused, HandshakeFailed:
	default:
		return
	}
	s := memory.Sighting{Host: p.Hosts[i].Name.String(), TLS: d.Event == HandshakeDone, At: e.c.Now()}
	if !p.Past.ChangedBy(s) {
		return
	}
	e.c.Memory.LearnTLS(p.Orig, p.Past.Port, s, func(d memory.Drop) { e.dropped(p.Orig, d) })
	e.plans.remove(&p.Request) // the next plan knows
}
