package pkix

import (
	"crypto/x509"
	"strings"
	"time"

	"github.com/mxauth/mxauth/rfc6125"
)

// DefaultMaxIntermediates is how many intermediates a path may have where the
// caller sets no limit. Public hierarchies have one or two, cross-signed ones
// three or four; rustls stops at six.
const DefaultMaxIntermediates = 8

// A Request is the input of [Verify].
type Request struct {
	// Chain is what the peer presented, leaf first; the order of the rest does not
	// matter. Nil entries after the leaf are ignored. More than MaxCertificates
	// are refused with [ErrBudget].
	Chain []*x509.Certificate
	// Certs is Chain for certificates that were read by [Read]; it is not looked at
	// if Chain is not empty.
	Certs []*Certificate
	// Extra are certificates that may be on the path though the peer did not
	// send them (for DANE-TA: those in DNS). They are no anchors.
	Extra []*x509.Certificate
	// Anchors and Roots are where a path may end; both may be given. None at all
	// is [ErrNoAnchor].
	Anchors []Anchor
	Roots   *Roots
	// At is the time of the judgement. The zero time is [ErrNoTime].
	At time.Time
	// CNAsName makes name constraints apply to a Common Name of host-name form as
	// they do to a DNS-ID, where the certificate has no DNS-ID (doubt D3): to be
	// set where [rfc6125.Options.CNID] is.
	CNAsName bool
	// MaxIntermediates is how many certificates may be between leaf and
	// anchor, self-issued ones (for a change of key) not counted. Zero means
	// [DefaultMaxIntermediates], a negative number none.
	MaxIntermediates int
	// Names is how [VerifyServer] judges names. The zero value is RFC 9525.
	Names rfc6125.Options
	// Work bounds what the verification may cost, together with others that share
	// it; nil means a [Work] of its own.
	Work *Work
}

// A Path is a proved path, leaf first. Anchor is its last certificate, unless the
// path ends at a bare key, which is then not in Certs. A certificate that
// crypto/x509 does not parse has there what [Certificate.View] returns; all fields
// that path validation looks at were read. The zero Path proves nothing.
type Path struct {
	Certs   []*x509.Certificate
	Anchor  Anchor
	BareKey bool
}

// Verify builds a path from the leaf to an anchor and proves it: signatures, dates
// of every certificate used (the anchor's too), CA marks, path length, key usage,
// server purpose, name constraints, critical extensions (RFC 5280 section 6.1). It
// judges no host name. A leaf that is itself an anchor is a path of one. An error
// is a [*Error], and the Path is then the zero Path. Verify is safe for concurrent
// use and keeps nothing of r.
func Verify(r Request) (Path, error) {
	path, err := verify(&r)
	if err != nil {
		return Path{}, err
	}
	return path, nil
}

// A ServerResult is the result of [VerifyServer].
type ServerResult struct {
	Path  Path
	Match rfc6125.Match
}

// VerifyServer is [Verify] for a WebPKI server and then its name: a DNS-ID of the
// leaf must match one of refs (RFC 8461 section 4.2, RFC 9525), or what
// [Request.Names] lets count. An error is a [*Error]; of a bad path and a wrong
// name, both are in All and the path's failure is the Kind unless only the name
// failed.
func VerifyServer(r Request, refs []rfc6125.Reference) (ServerResult, error) {
	r.CNAsName = r.CNAsName || r.Names.CNID
	if len(r.Chain) > 0 {
		r.Certs, r.Chain = FromChain(r.Chain[:min(len(r.Chain), MaxCertificates+1)]), nil
	}
	path, err := verify(&r)
	if err != nil && (len(r.Certs) == 0 || r.Certs[0] == nil) {
		return ServerResult{}, err
	}
	leaf := r.Certs[0]
	presented := leaf.Presented()
	match := presented.Match(refs, r.Names)
	if !match.OK {
		wrong := nameFailure(leaf.view, presented, refs)
		if err == nil {
			return ServerResult{}, alone(wrong)
		}
		err.All = append(err.All, wrong)
	}
	if err != nil {
		return ServerResult{}, err
	}
	return ServerResult{Path: path, Match: match}, nil
}

// nameFailure says which names were expected and which came.
func nameFailure(leaf *x509.Certificate, p rfc6125.Presented, refs []rfc6125.Reference) *Error {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = ref.String()
	}
	e := failure(ErrName, leaf, "expected "+strings.Join(names, " or "))
	if len(refs) == 0 {
		e.Detail = "no name is expected, so none can match"
	}
	e.Presented = p.Names()
	return e
}
