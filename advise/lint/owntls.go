package lint

import (
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
)

// ownTLS makes the finding of a host that the TLS library of this program cannot speak
// with, or not with its usual settings. Its owner sees mail of senders with such a library
// stay away, or come in the clear.
func (r *report) ownTLS(h *engine.Host, a probe.AddressResult) {
	for _, why := range append([]engine.Reason{a.Decision.Reason}, a.Decision.Details...) {
		lib, ok := why.Evidence.(*engine.Library)
		if !ok {
			continue
		}
		f := r.add(TLSLibrary, h.Name, explain.ObstacleCure(lib),
			"Senders whose TLS library is that of Go cannot make a TLS connection to %s, at least by default: %s. Senders with OpenSSL or GnuTLS, such as Postfix and Exim, may.", h.String(), explain.Obstacle(lib))
		what := lib.Obstacle.String()
		if lib.Detail != "" {
			what += ": " + lib.Detail
		}
		f.saw("%s: %s", a.Peer.Address, what)
		for i, c := range lib.Certificates {
			for _, fault := range c.Faults() {
				f.saw("certificate %d, %s", i+1, fault)
			}
		}
		if lib.Unproved != "" {
			f.saw("possession of the key was not proved: %s", lib.Unproved)
		}
		return
	}
}

// danePeer is what the host shows, also certificates that crypto/x509 does not parse.
func danePeer(p engine.Peer) dane.Peer {
	if len(p.Chain) > 0 {
		return dane.Peer{Chain: p.Chain, RawKey: p.RawKey}
	}
	return dane.Peer{Certs: p.Certificates(), RawKey: p.RawKey}
}

// peerNames are the names in the certificate of the host.
func peerNames(p dane.Peer) []string {
	if len(p.Certs) > 0 {
		return p.Certs[0].Presented().Names()
	}
	return presentedNames(p.Chain)
}
