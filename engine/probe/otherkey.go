package probe

import (
	"context"
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/engine"
)

// A server that has an RSA and an ECDSA certificate shows the one that the client prefers.
// After all hosts of a plan were probed, this file asks each of them for the other one, at
// the first address with a complete handshake: one more connection a host.
//
// The connection offers TLS 1.2 with cipher suites for the other kind of key only. A server
// without such a certificate, or with TLS 1.3 alone, ends that handshake, as does one that
// limits connections end the connection: that is no fault of the host, and counts for
// nothing.

// Certificates says of which hosts a second certificate is looked for.
type Certificates uint8

// Choices of hosts.
const (
	// CertificatesCounting are the hosts whose certificate counts
	// ([engine.Host.CertificateCounts]).
	CertificatesCounting Certificates = iota
	CertificatesFirst                 // none: what each address shows first decides
	CertificatesAll                   // all that the plan does not skip
)

// wanted reports whether a second certificate is looked for.
func (c Certificates) wanted(h *engine.Host) bool {
	return c == CertificatesAll || c == CertificatesCounting && h.CertificateCounts()
}

// otherKeys looks for second certificates of hosts that were probed, and adds what it finds
// to their results.
func (p *Prober) otherKeys(ctx context.Context, e *engine.Engine, plan *engine.Plan, which []int, results []HostResult) {
	var tasks []task
	for k, i := range which {
		h := &plan.Hosts[i]
		if !p.c.Certificates.wanted(h) {
			continue
		}
		for n, a := range results[k].Addresses {
			if a.Peer.Handshake == engine.HandshakeComplete && a.Peer.OtherKind() != 0 {
				tasks = append(tasks, task{k, n, netip.AddrPortFrom(a.Address, h.Port)})
				break
			}
		}
	}
	p.run(tasks, func(t task) {
		r, i := &results[t.host], which[t.host]
		peer, ok := p.otherKey(ctx, &plan.Hosts[i], r.Addresses[t.n].Peer)
		if !ok {
			return
		}
		// Both are judged at one time, so that no second look ends a plan or a certificate.
		r.Addresses = append(r.Addresses, AddressResult{Address: t.target.Addr(), Peer: peer, At: r.Addresses[t.n].At})
		pair(e, plan, i, r.Addresses)
		e.Record(plan, i, r.Addresses[len(r.Addresses)-1].Decision)
	})
}

// otherKey connects once more to the address of a peer, and returns what it shows to a
// client that takes the other kind of key only. ok is false if that is nothing new.
func (p *Prober) otherKey(ctx context.Context, h *engine.Host, first engine.Peer) (other engine.Peer, ok bool) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return engine.Peer{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, min(againTimeout, p.c.Timeout))
	defer cancel()
	var c engine.Conversation
	choice := engine.TLSChoice{NoMLKEM: true, Key: first.OtherKind()}
	other, _, _ = p.converse(ctx, &c, h, first.Address, time.Time{}, complete(h.ClientTLSWith(choice)))
	other.OtherKey = true
	return other, other.Event == engine.HandshakeDone && other.KeyKind() != first.KeyKind()
}

// pair has what an address showed on two connections, for two kinds of keys, known to the
// decisions on both, and decides them.
func pair(e *engine.Engine, plan *engine.Plan, i int, all []AddressResult) {
	for n := range all {
		if !all[n].Peer.OtherKey {
			continue
		}
		for m := range all[:n] {
			if all[m].Peer.OtherKey || all[m].Address != all[n].Address {
				continue
			}
			first, other := all[m].Peer, all[n].Peer
			all[m].Peer.Other, all[n].Peer.Other = &other, &first
			all[m].Decision = e.Decide(plan, i, all[m].Peer, all[m].At)
			all[n].Decision = e.Decide(plan, i, all[n].Peer, all[n].At)
			break
		}
	}
}
