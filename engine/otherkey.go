package engine

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/reason"
)

// A server can have two certificates, one with an RSA key and one with an ECDSA key. It
// shows the one that fits what the client offers, so two senders can see different
// certificates at one address.

// KeyKind returns the kind of key of the peer's certificate: x509.RSA, x509.ECDSA,
// x509.Ed25519, or x509.UnknownPublicKeyAlgorithm without a certificate that crypto/x509
// parses.
func (p *Peer) KeyKind() x509.PublicKeyAlgorithm {
	if p.Event != HandshakeDone || len(p.Chain) == 0 || p.Chain[0] == nil {
		return x509.UnknownPublicKeyAlgorithm
	}
	return p.Chain[0].PublicKeyAlgorithm
}

// OtherKind returns the kind of key to ask for on a second connection: x509.ECDSA where the
// peer has shown an RSA key, x509.RSA where it has shown an ECDSA or Ed25519 key.
// It returns x509.UnknownPublicKeyAlgorithm where there is nothing to ask for.
func (p *Peer) OtherKind() x509.PublicKeyAlgorithm {
	switch p.KeyKind() {
	case x509.RSA:
		return x509.ECDSA
	case x509.ECDSA, x509.Ed25519:
		return x509.RSA
	}
	return x509.UnknownPublicKeyAlgorithm
}

// suitesFor lists the cipher suites of TLS 1.2 that a server can use only with a key of the
// kind. Those of ECDSA serve Ed25519 too (RFC 8422 section 5.10).
func suitesFor(kind x509.PublicKeyAlgorithm) (out []uint16) {
	for _, s := range tls.CipherSuites() {
		if strings.HasPrefix(s.Name, "TLS_ECDHE_"+kind.String()+"_") {
			out = append(out, s.ID)
		}
	}
	return out
}

// CertificateCounts reports whether a verdict on the host, or a record to publish for it,
// depends on its certificate.
func (h *Host) CertificateCounts() bool {
	return (h.Requirement|h.Report|h.Strict)&(DANE|HalfDANE|STS|PKIX) != 0 ||
		h.DANE.State == dane.None || h.DANE.State == dane.Unusable
}

// Paired is the evidence of [reason.TwoCertificates]: what the other certificate of the
// address came to.
type Paired struct {
	Key, Other x509.PublicKeyAlgorithm // of the certificate that was judged, of the other one
	// Fault is why the other one is not accepted either; zero if it is.
	Fault Reason
}

// IsEvidence marks the type.
func (*Paired) IsEvidence() {}

// CertificateFault returns the first reason, of the verdict or in its details, for which the
// certificate is not accepted by what is demanded of the host, or evaluated for a report. It
// is zero if the certificate is accepted, or nothing looks at it.
func (d *Decision) CertificateFault() Reason {
	if d.Event != HandshakeDone {
		return Reason{}
	}
	if isCertificateFault(d.Reason) {
		return d.Reason
	}
	if i := slices.IndexFunc(d.Details, isCertificateFault); i >= 0 {
		return d.Details[i]
	}
	return Reason{}
}

func isCertificateFault(r Reason) bool {
	switch r.ID {
	case reason.DANENoMatch, reason.DANEName, reason.DANEExpired, reason.DANEUntrusted,
		reason.STSName, reason.STSExpired, reason.STSUntrusted,
		reason.PKIXName, reason.PKIXExpired, reason.PKIXUntrusted:
		return true
	}
	return false
}

// judge decides on a peer with what is known of its certificates.
func judge(l local, p *Plan, i int, peer Peer, at time.Time, how judgeOptions) Decision {
	if peer.Other != nil && p != nil && i >= 0 && i < len(p.Hosts) {
		return judgePair(l, p, i, peer, at, how)
	}
	return judgeOne(l, p, i, peer, at, how)
}

// judgePair judges a peer of which another certificate is known. The outcome is that of
// peer; its reasons name the kind of key, and a detail says what the other one came to.
func judgePair(l local, p *Plan, i int, peer Peer, at time.Time, how judgeOptions) Decision {
	first, other := peer, *peer.Other
	first.Other, other.Other = nil, nil
	o := judgeOne(l, p, i, other, at, how)
	how.pair = pairOf(&first, &other, &o)
	d := judgeOne(l, p, i, first, at, how)
	d.Peer.Other = peer.Other
	if how.pair == nil || !d.Judged || d.CertificateFault().IsZero() {
		return d
	}
	fault := o.CertificateFault()
	if !fault.IsZero() {
		how.pair = pairOf(&other, &first, &d)
		o = judgeOne(l, p, i, other, at, how) // in the words of a pair
		fault = o.CertificateFault()
	}
	why := reasonOf(reason.TwoCertificates, p.Orig, &Paired{Key: first.KeyKind(), Other: other.KeyKind(), Fault: fault})
	d.Details = append(d.Details, why.in(p).about(&p.Hosts[i]))
	return d
}

// pairOf describes the certificates of one address; nil if they have keys of one kind, or
// one of them is not known. o is the decision on other.
func pairOf(peer, other *Peer, o *Decision) *reason.Pair {
	key, kind := peer.KeyKind(), other.KeyKind()
	if key == x509.UnknownPublicKeyAlgorithm || kind == x509.UnknownPublicKeyAlgorithm || key == kind {
		return nil
	}
	pair := &reason.Pair{Key: key, Other: kind, OtherChain: other.Chain, OtherAccepted: o.CertificateFault().IsZero()}
	if o.TLSA.OK {
		pair.OtherMatched = o.TLSA.Matched
	}
	return pair
}
