package dane

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// MaxChain bounds the certificates of a peer's chain that DANE-TA records are
// compared with; those behind it can be no anchors. Real chains have two to five; a
// TLS peer can send several hundred.
const MaxChain = 32

// maxTried bounds the anchors that are tried one by one, after no path led to any of
// them, to tell in the trace what each failed by; each costs up to the whole budget of
// package pkix. Those behind it share the failure of the whole.
const maxTried = 4

// ErrNotAuthenticated is wrapped by every failure of [Set.Verify].
var ErrNotAuthenticated = errors.New("dane: peer not authenticated")

// What a verification failed by; each wraps [ErrNotAuthenticated]. RFC 7672 section
// 2.2 forbids the caller to use the connection. Of several failures the one that
// stands first here is reported (ErrPath for an expired certificate before other
// ErrPaths, and these in the order of package pkix); the trace has them all.
var (
	// ErrName: a DANE-TA record matched and the path is good, the name is wrong.
	ErrName = fmt.Errorf("%w: name mismatch", ErrNotAuthenticated)
	// ErrPath: a DANE-TA record matched a certificate that was sent (or one or a key
	// in DNS belongs to the chain), and the path to it is not valid; wraps the pkix
	// kind too (for example pkix.ErrExpired).
	ErrPath     = fmt.Errorf("%w: chain not valid", ErrNotAuthenticated)
	ErrNoMatch  = fmt.Errorf("%w: no record matches", ErrNotAuthenticated)
	ErrNoUsable = fmt.Errorf("%w: no usable record", ErrNotAuthenticated)
)

// A Peer is what the peer presented in the handshake.
type Peer struct {
	// Chain is the certificates sent, leaf first. A nil leaf is none, and nil entries
	// behind it are ignored.
	Chain []*x509.Certificate
	// RawKey is the DER SubjectPublicKeyInfo of a peer that presented a bare public
	// key (RFC 7250); then Chain is empty. Only DANE-EE SPKI records match it. It is
	// not looked at if Chain is not empty.
	RawKey []byte
}

// Options of a verification.
type Options struct {
	// References are the names of which DANE-TA must prove one (RFC 7672 section
	// 3.2.2); DANE-EE looks at none. With none, DANE-TA proves nothing.
	References []rfc6125.Reference
	// NoCNID refuses a Common Name under DANE-TA (doubt D3); by default it counts
	// where there is no DNS-ID at all.
	NoCNID bool
	// At is the time of the judgement, for DANE-TA. The zero time is inside no
	// certificate's dates.
	At time.Time
}

// A Result says what was proved. The zero Result is "nothing".
type Result struct {
	// Matched is the record that authenticated the peer, of usage DANEEE or DANETA.
	Matched Record
	// Depth is the index in the verified path of the certificate that Matched
	// matched, 0 the leaf; -1 if none did. For a bare key that is not in the path it
	// is the depth of the certificate that the key signed. After ErrName it is that of
	// the record whose path was good.
	Depth int
	OK    bool
	// Name is the identity that was proved under DANE-TA.
	Name rfc6125.Match
	Path pkix.Path
	// Trace has a line for every record of the set, in its order: what it matched, or
	// why not. It may be shared and must not be changed.
	Trace []RecordResult
}

// A RecordResult is what one record came to.
type RecordResult struct {
	Record Record
	// Depth is the certificate it matched: its index in the verified path if there is
	// one, else in the chain as it was sent; -1 if it matched none.
	Depth int
	OK    bool   // it authenticates the peer
	Why   string // why it does not
	Err   error  // the kind of failure, if it matched but failed
}

// Why a record of a trace came to nothing.
const (
	whyNoLeaf    = "does not match what the server presented"
	whyNoKey     = "does not match the key that the server presented"
	whyNoCert    = "the server presented no certificate"
	whyNeedsCert = "needs a certificate; the server presented a bare key"
	whyNotNeeded = "not tried: another record authenticates the server"
	whyNoTA      = "matches no certificate of the chain"
	whyNoTAKey   = "matches no certificate of the chain, and its key signed none"
	whyNoTADNS   = "matches no certificate of the chain, and no path leads to the one in DNS"
	whyLeaf      = "matches the server's own certificate, which is not self-signed and so no authority"
	whyOffPath   = "matches a certificate at which the path does not end"
)

// Verify judges what the peer presented against the usable records, DANE-EE first,
// then DANE-TA (decision table section 6; RFC 7671 sections 5.1, 5.2, 8, 9; RFC 7672
// section 3). A nil error means that the peer is authenticated and Result.OK is set;
// otherwise the error wraps one of the kinds above and Result has the trace. It is a
// pure function of its arguments.
func (s Set) Verify(p Peer, o Options) (res Result, err error) {
	res.Depth = -1
	switch {
	case len(s.usable) == 0:
		res.Trace = s.trace("")
		return res, ErrNoUsable
	case len(p.Chain) > 0 && p.Chain[0] == nil:
	case len(p.Chain) > 0:
		// The leaf's certificate or key is all that counts for DANE-EE, no name, no
		// dates, no chain (RFC 7672 sections 3.1.1 and 3.2.1; RFC 7671 section 5.1).
		v := values{raw: p.Chain[0].Raw, spki: p.Chain[0].RawSubjectPublicKeyInfo}
		for i := range s.ee {
			if v.match(&s.usable[i]) {
				s.proved(&res, i)
				return res, nil
			}
		}
		res.Trace = s.trace(whyNoLeaf)
		return s.verifyTA(res, p, o)
	case len(p.RawKey) > 0:
		return s.matchRawKey(res, p.RawKey)
	}
	res.Trace = s.trace(whyNoCert)
	return res, fmt.Errorf("%w: %s", ErrNoMatch, whyNoCert)
}

// trace makes the trace of a verification in which no usable record came to anything,
// for the reason why.
func (s *Set) trace(why string) []RecordResult {
	t := make([]RecordResult, len(s.uses))
	for i := range s.uses {
		u := &s.uses[i]
		t[i] = RecordResult{Record: u.Record, Depth: -1, Why: u.Why}
		if u.Usable {
			t[i].Why = why
		}
	}
	return t
}

// proved fills res after the i-th DANE-EE record matched and those before it did not.
func (s *Set) proved(res *Result, i int) {
	p := &s.usable[i]
	res.OK, res.Depth, res.Matched = true, 0, p.record
	if res.Trace = p.trace; res.Trace == nil {
		res.Trace = s.provedTrace(i)
	}
}

func (s *Set) provedTrace(i int) []RecordResult {
	t := s.trace(whyNotNeeded)
	for j := range i {
		t[s.usable[j].use].Why = whyNoLeaf
	}
	line := &t[s.usable[i].use]
	line.OK, line.Depth, line.Why = true, 0, ""
	return t
}

// matchRawKey is the whole verification of a bare key: DANE-EE SPKI records only
// (RFC 7671 section 5.1, RFC 7250 section 3).
func (s *Set) matchRawKey(res Result, spki []byte) (Result, error) {
	v := values{spki: spki}
	for i := range s.ee {
		if v.match(&s.usable[i]) {
			s.proved(&res, i)
			return res, nil
		}
	}
	res.Trace = s.trace(whyNeedsCert)
	for i := range s.ee {
		if p := &s.usable[i]; p.record.Selector == SPKI {
			res.Trace[p.use].Why = whyNoKey
		}
	}
	return res, ErrNoMatch
}

// A hit is a DANE-TA record with an anchor that it stands for.
type hit struct {
	rec    *prepared
	anchor pkix.Anchor
	cert   *x509.Certificate // the anchor; nil if it is a bare key
	sent   bool              // the peer sent it
	at     int               // and this is its index in the chain; else -1
}

// is reports whether the anchor of h is the end of path.
func (h *hit) is(path pkix.Path) bool {
	if path.BareKey {
		key, _ := h.anchor.PublicKey().(interface{ Equal(crypto.PublicKey) bool })
		return h.cert == nil && key.Equal(path.Anchor.PublicKey())
	}
	return h.cert != nil && h.cert.Equal(path.Certs[len(path.Certs)-1])
}

// verifyTA tries the DANE-TA records: a path from the leaf to a certificate or key
// that matches one, valid in every way, and one of the names expected (RFC 6698
// section 2.1.1, RFC 7671 section 5.2, RFC 7672 sections 3.1.2 and 3.2.2). Only the
// certificates sent and those in DNS have a part in it.
func (s *Set) verifyTA(res Result, p Peer, o Options) (Result, error) {
	var room [8]hit
	hits := s.hits(room[:0], &res, p.Chain)
	if len(hits) == 0 {
		return res, ErrNoMatch
	}
	req := pkix.Request{
		Chain:   p.Chain,
		Anchors: make([]pkix.Anchor, len(hits)),
		At:      o.At,
		// RFC 5280 section 4.2.1.10 has the constraints of names hold for what serves
		// as a name: here the CN, if it may (doubt D3).
		CNAsName: !o.NoCNID,
	}
	for i := range hits {
		req.Anchors[i] = hits[i].anchor
	}
	path, err := pkix.Verify(req)
	if err != nil {
		return res, s.explain(&res, req, hits, err)
	}
	depth := len(path.Certs) - 1
	name := rfc6125.PresentedBy(p.Chain[0])
	// RFC 7672 section 3.2.3: a Common Name counts where there is no DNS-ID at all.
	m := name.Match(o.References, rfc6125.Options{CNID: !o.NoCNID})
	res.Path, res.Depth, res.Name, res.OK = path, depth, m, m.OK
	var nameErr error
	if !m.OK {
		nameErr = fmt.Errorf("%w: the certificate shows %s, expected %s", ErrName, list(name.Names()), list(texts(o.References)))
	}
	decided := false
	for i := range hits {
		h := &hits[i]
		t := &res.Trace[h.rec.use]
		switch {
		case !h.is(path):
			if !t.OK && t.Err == nil {
				t.Why, t.Depth = h.missed(), h.at
			}
			continue
		case nameErr != nil:
			t.Depth, t.Why, t.Err = depth, "the name is wrong", nameErr
		default:
			t.OK, t.Depth, t.Why = true, depth, ""
			if !decided {
				res.Matched = h.rec.record
			}
		}
		decided = true
	}
	return res, nameErr
}

// missed tells why the anchor of h, though it matched, is not the end of the path.
func (h *hit) missed() string {
	switch {
	case h.sent:
		return whyOffPath
	case h.cert == nil:
		return whyNoTAKey
	}
	return whyNoTADNS
}

// hits lists what the DANE-TA records stand for: the certificates sent that they
// match; where one matches none, the certificate (2 0 0, RFC 7671 section 5.2.2) or
// the key (2 1 0, section 5.2.3) that it holds itself. A digest needs the certificate
// in the chain (section 5.2.2). It writes to the trace why a record stands for nothing.
func (s *Set) hits(hits []hit, res *Result, chain []*x509.Certificate) []hit {
	ta := s.usable[s.ee:]
	for i := range ta {
		res.Trace[ta[i].use].Why = whyNoTA
	}
	for n, c := range chain[:min(len(chain), MaxChain)] {
		if c == nil {
			continue
		}
		v := values{raw: c.Raw, spki: c.RawSubjectPublicKeyInfo}
		for i := range ta {
			if !v.match(&ta[i]) {
				continue
			}
			t := &res.Trace[ta[i].use]
			if t.Depth < 0 {
				t.Depth = n
			}
			if n == 0 && !selfSigned(c) {
				t.Why = whyLeaf
				continue
			}
			t.Why = whyOffPath
			hits = append(hits, hit{&ta[i], pkix.CertificateAnchor(c), c, true, n})
		}
	}
	for i := range ta {
		p := &ta[i]
		if res.Trace[p.use].Depth >= 0 {
			continue
		}
		switch {
		case p.cert != nil:
			hits = append(hits, hit{p, p.anchor, p.cert, false, -1})
		case p.key:
			hits = append(hits, hit{p, p.anchor, nil, false, -1})
		}
	}
	return hits
}

// selfSigned reports whether c's own key signed it: only then is a leaf an authority
// for itself (RFC 7671 section 5.2: the path of one certificate).
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// explain writes to the trace what each hit failed by, and returns the error of the
// whole: cause is that of the path builder with all anchors at once.
func (s *Set) explain(res *Result, req pkix.Request, hits []hit, cause error) error {
	sent := false
	for i := range hits {
		h := &hits[i]
		t := &res.Trace[h.rec.use]
		err := cause
		if i < maxTried {
			req.Anchors = []pkix.Anchor{h.anchor}
			if _, one := pkix.Verify(req); one != nil {
				err = one
			}
		}
		if !h.sent && strays(err) {
			t.Why = h.missed()
			continue
		}
		sent = true
		t.Err = fmt.Errorf("%w: %w", ErrPath, err)
		t.Why = cutText(err.Error())
	}
	if !sent {
		return ErrNoMatch
	}
	return fmt.Errorf("%w: %w", ErrPath, cause)
}

// strays reports whether some path of a failed search ended at an issuer that is
// not there: then nothing says that the chain has to do with an anchor that was not
// sent.
func strays(err error) bool {
	var e *pkix.Error
	return errors.As(err, &e) && slices.ContainsFunc(e.All, func(one error) bool { return errors.Is(one, pkix.ErrNoAnchor) })
}

// texts prints references.
func texts(refs []rfc6125.Reference) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = r.String()
	}
	return out
}

// list prints some names for people, all if they are few.
func list(names []string) string {
	const most = 5
	switch {
	case len(names) == 0:
		return "no name"
	case len(names) > most:
		return cutText(strings.Join(names[:most], ", ")) + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return cutText(strings.Join(names, ", "))
}

// cutText bounds a text that is already safe for a terminal.
func cutText(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
