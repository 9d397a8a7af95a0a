package lint

import (
	"crypto/x509"
	"errors"

	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/sts"
)

// Hosts with an RSA and an ECDSA certificate, of which a sender sees one.

// oneKeyFails finds an address that has shown two certificates of which verify accepts one:
// that one, the other one, and why it is not accepted.
func oneKeyFails(v *survey.HostView, verify func(*engine.Peer) error) (good, bad probe.AddressResult, why error) {
	for _, a := range v.Probe.Addresses {
		if !a.Peer.OtherKey || a.Peer.Other == nil {
			continue
		}
		for _, first := range v.Probe.Addresses {
			if first.Address != a.Address || first.Peer.OtherKey {
				continue
			}
			switch e1, e2 := verify(&first.Peer), verify(&a.Peer); {
			case e1 == nil && e2 != nil:
				return first, a, e2
			case e1 != nil && e2 == nil:
				return a, first, e1
			}
		}
	}
	return probe.AddressResult{}, probe.AddressResult{}, nil
}

// twoKeys adds the finding of a host of which one certificate is not accepted.
func (r *report) twoKeys(h *engine.Host, good, bad probe.AddressResult, do, fault, so string) *Finding {
	return r.add(HostTwoKeys, h.Name, do,
		"%s has two certificates, one with an %s key and one with an %s key, and shows the one that the sender's TLS library prefers. The %[3]s certificate is not accepted, %[5]s: %[4]s.",
		h.Name, explain.KeyOf(&good.Peer), explain.KeyOf(&bad.Peer), fault, so).
		saw("%s: accepted", explain.AddressName(good.Address, &good.Peer)).
		saw("%s: %s", explain.AddressName(bad.Address, &bad.Peer), fault)
}

// someRefuse is what follows where a certificate must be accepted.
const someRefuse = "so some senders deliver and others do not"

// tlsaOfOneKey adds the finding of TLSA records that fit one of two certificates. It
// reports whether it has.
func (r *report) tlsaOfOneKey(h *engine.Host, v *survey.HostView) bool {
	o := dane.Options{References: h.DANERefs, At: r.snap.At}
	good, bad, why := oneKeyFails(v, func(p *engine.Peer) error {
		_, err := h.DANE.Set.Verify(danePeer(*p), o)
		return err
	})
	if why == nil {
		return false
	}
	fault := "none of the TLSA records matches it"
	if !errors.Is(why, dane.ErrNoMatch) {
		fault = explain.Cause(why)
	}
	r.twoKeys(h, good, bad, "Publish the TLSA records below, which are those of both keys; or remove the "+explain.KeyOf(&bad.Peer)+" certificate from the settings of the mail server.",
		fault, someRefuse).steps(r.tlsaOf(h, v)...)
	return true
}

// stsOfOneKey adds the finding of a policy that one of two certificates satisfies. It
// reports whether it has.
func (r *report) stsOfOneKey(h *engine.Host, v *survey.HostView) bool {
	if r.snap.Roots == nil {
		return false
	}
	good, bad, why := oneKeyFails(v, func(p *engine.Peer) error { return r.webpki(p.Chain, h.Name) })
	if why == nil {
		return false
	}
	so := someRefuse
	if r.snap.Plan.STS.Policy.Mode != sts.ModeEnforce {
		so = "so once the policy is in mode enforce some senders deliver and others do not"
	}
	r.twoKeys(h, good, bad, r.replaceKey(h, bad.Peer.Chain, explain.KeyOf(&bad.Peer), why), r.certificateFault(bad.Peer.Chain, h.Name), so)
	return true
}

// replaceKey is the cure of one of two certificates that does not satisfy a policy.
func (r *report) replaceKey(h *engine.Host, chain []*x509.Certificate, key string, why error) string {
	or := "; or remove it from the settings of the mail server, if no client needs it."
	if errors.Is(why, pkix.ErrExpired) && chain[0].NotAfter.Before(r.snap.At) {
		return "Renew the " + key + " certificate of " + h.Name.String() + or
	}
	return "Get an " + key + " certificate of a public CA that names " + h.Name.String() + ", and send its whole chain" + or
}
