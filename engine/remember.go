package engine

import (
	"github.com/mxauth/mxauth/rfc6125"
)

// dropped tells of a drop that was noticed just now.
func (e *Engine) dropped(domain rfc6125.Host, d Drop) {
	e.c.Memory.count(func(s *MemoryStats) { s.Drops++ })
	e.c.Logger.Warn("a domain has lost a protection that it once proved", "domain", domain, "kind", string(d.Kind), "host", d.Host, "since", d.Since)
	if t := e.c.Trace.Dropped; t != nil {
		t(domain, d)
	}
}

// Remember notes what a connection showed: that host i of the plan spoke TLS, or that it
// did not although it once has. A sender calls it after a decision on a connection that
// was really made; it waits for nobody, and without [Config].Memory it does nothing.
func (e *Engine) Remember(p *Plan, i int, d Decision) {
	if e.c.Memory == nil || p == nil || p.Past == nil || i < 0 || i >= len(p.Hosts) || !p.Hosts[i].Name.IsValid() {
		return
	}
	s := sighting{tls: d.Event == HandshakeDone, at: e.c.Now()}
	if d.Peer.Handshake == HandshakeRead || d.Event == HandshakeFailed && d.Peer.OwnTLS != nil {
		return // no session, through no fault of the host: neither TLS nor the loss of it
	}
	switch d.Event {
	case HandshakeDone, NoSTARTTLS, STARTTLSRefused, HandshakeFailed:
	default:
		return
	}
	name := p.Hosts[i].Name.String()
	// Nothing to note: a copy shows it.
	q := p.Past.clone()
	if q.saw(name, s); q.equal(p.Past) {
		return
	}
	e.c.Memory.learn(p.Orig, p.Past.Port, func(n *news) {
		if n.hosts == nil {
			n.hosts = map[string]sighting{}
		}
		n.hosts[name] = s
		n.noticed = func(d Drop) { e.dropped(p.Orig, d) }
	})
	e.plans.remove(&p.Request) // the next plan knows
}
