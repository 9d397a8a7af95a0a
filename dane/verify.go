package dane

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// maxChain bounds the certificates of a peer's chain that DANE-TA records are
// compared with; later ones can be no anchors. Real chains have two to five; a
// TLS peer can send several hundred.
const maxChain = 32

// maxTried bounds the anchors that are tried one by one, after no path led to any of
// them, to write to the trace why each failed; each costs up to the whole budget of
// package pkix. Later ones share the failure of the whole.
const maxTried = 4

// A Peer holds the certificates or key that the peer presented in the handshake.
type Peer struct {
	// Chain is the certificates sent, leaf first. A nil leaf is none, and nil entries
	// after it are ignored.
	Chain []*x509.Certificate
	// Certs is Chain for certificates that were read by [pkix.Read], as callers with
	// another TLS library than Go's have them. It is not looked at if Chain is not
	// empty.
	Certs []*pkix.Certificate
	// RawKey is the DER SubjectPublicKeyInfo of a peer that presented a bare public
	// key (RFC 7250); then Chain is empty. Only DANE-EE SPKI records match it. It is
	// not looked at if Chain or Certs is not empty.
	RawKey []byte
}

// leaf returns what could be read of the first certificate; nil if there is none.
func (p *Peer) leaf() *x509.Certificate {
	if p.sent() == 0 {
		return nil
	}
	return p.view(0)
}

// sent counts the certificates sent.
func (p *Peer) sent() int {
	if len(p.Chain) > 0 {
		return len(p.Chain)
	}
	return len(p.Certs)
}

// view returns what could be read of the i-th certificate; nil if it is nil.
func (p *Peer) view(i int) *x509.Certificate {
	switch {
	case len(p.Chain) > 0:
		return p.Chain[i]
	case p.Certs[i] != nil:
		return p.Certs[i].View()
	}
	return nil
}

// certs returns the certificates sent, up to the number that is looked at.
func (p *Peer) certs() []*pkix.Certificate {
	const most = pkix.MaxCertificates + 1 // one more: package pkix says that they are too many
	if len(p.Chain) > 0 {
		return pkix.FromChain(p.Chain[:min(len(p.Chain), most)])
	}
	return p.Certs[:min(len(p.Certs), most)]
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
	// Work bounds what DANE-TA may cost, together with other verifications that share
	// it; nil means a [pkix.Work] of its own.
	Work *pkix.Work
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

// A RecordResult is the result for one record.
type RecordResult struct {
	Record Record
	// Depth is the certificate it matched: its index in the verified path if there is
	// one, else in the chain as it was sent; -1 if it matched none.
	Depth int
	OK    bool  // it authenticates the peer
	Fault Fault // why it does not; that of its RecordUse if it is not usable
	Err   error // the failure, if it matched but failed
}

// Verify judges what the peer presented against the usable records, DANE-EE first,
// then DANE-TA (decision table section 6; RFC 7671 sections 5.1, 5.2, 8, 9; RFC 7672
// section 3). A nil error means that the peer is authenticated and Result.OK is set;
// otherwise the error wraps one of the kinds above and Result has the trace. It is a
// pure function of its arguments.
func (s Set) Verify(p Peer, o Options) (res Result, err error) {
	res.Depth = -1
	switch {
	case len(s.usable) == 0:
		res.Trace = s.trace(FaultNoMatch)
		return res, ErrNoUsable
	case p.sent() > 0:
		leaf := p.leaf()
		if leaf == nil {
			break
		}
		// The leaf's certificate or key is all that counts for DANE-EE, no name, no
		// dates, no chain (RFC 7672 sections 3.1.1 and 3.2.1; RFC 7671 section 5.1).
		v := values{raw: leaf.Raw, spki: leaf.RawSubjectPublicKeyInfo}
		for i := range s.ee {
			if v.match(&s.usable[i]) {
				// DANE7672-3.1.1-01: RFC 7672 section 3.1.1
				// DANE7672-3.2.1-01: RFC 7672 section 3.2.1
				// TLSA6698-2.1.1-02: RFC 6698 section 2.1.1
				return s.matchedEE(res, i, leaf.PublicKey)
			}
		}
		res.Trace = s.trace(FaultNoMatch)
		return s.verifyTA(res, &p, o)
	case len(p.RawKey) > 0:
		return s.matchRawKey(res, p.RawKey)
	}
	res.Trace = s.trace(FaultNoCert)
	return res, fmt.Errorf("%w: the server presented no certificate", ErrNoMatch)
}

// matchedEE is the result after the i-th DANE-EE record matched and those before it
// did not. Key is nil if it could not be read: the handshake has used it, and the
// record names it.
func (s *Set) matchedEE(res Result, i int, key crypto.PublicKey) (Result, error) {
	if weak := pkix.CheckKey(key); weak != nil {
		res.Trace = s.provedTrace(i)
		err := fmt.Errorf("%w: %w: %w", ErrKey, pkix.ErrKey, weak)
		t := &res.Trace[s.usable[i].use]
		t.OK, t.Fault, t.Err = false, FaultKey, err
		return res, err
	}
	s.proved(&res, i)
	return res, nil
}

// trace makes the trace of a verification in which no usable record came to anything,
// by the fault f.
func (s *Set) trace(f Fault) []RecordResult {
	t := make([]RecordResult, len(s.uses))
	for i := range s.uses {
		u := &s.uses[i]
		t[i] = RecordResult{Record: u.Record, Depth: -1, Fault: u.Fault}
		if u.Usable {
			t[i].Fault = f
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
	t := s.trace(FaultNotTried)
	for j := range i {
		t[s.usable[j].use].Fault = FaultNoMatch
	}
	line := &t[s.usable[i].use]
	line.OK, line.Depth, line.Fault = true, 0, NoFault
	return t
}

// matchRawKey is the whole verification of a bare key: DANE-EE SPKI records only
// (RFC 7671 section 5.1, RFC 7250 section 3).
func (s *Set) matchRawKey(res Result, spki []byte) (Result, error) {
	v := values{spki: spki}
	for i := range s.ee {
		if v.match(&s.usable[i]) {
			key, _ := pkix.ReadKey(spki)
			return s.matchedEE(res, i, key)
		}
	}
	res.Trace = s.trace(FaultBareKey)
	for i := range s.ee {
		if p := &s.usable[i]; p.record.Selector == SPKI {
			res.Trace[p.use].Fault = FaultNoKeyMatch
		}
	}
	return res, ErrNoMatch
}

// A hit is a DANE-TA record with an anchor that it designates.
type hit struct {
	rec    *preparedRecord
	anchor pkix.Anchor
	cert   *pkix.Certificate // the anchor; nil if it is a bare key
	sent   bool              // the peer sent it
	at     int               // and this is its index in the chain; else -1
}

// is reports whether the anchor of h is the end of path.
func (h *hit) is(path pkix.Path) bool {
	if path.BareKey {
		key, _ := h.anchor.PublicKey().(interface{ Equal(crypto.PublicKey) bool })
		return h.cert == nil && key.Equal(path.Anchor.PublicKey())
	}
	return h.cert != nil && h.cert.View().Equal(path.Certs[len(path.Certs)-1])
}

// verifyTA tries the DANE-TA records: a path from the leaf to a certificate or key
// that matches one, valid in every way, and one of the names expected (RFC 6698
// section 2.1.1, RFC 7671 section 5.2, RFC 7672 sections 3.1.2 and 3.2.2). Only the
// certificates sent and those in DNS have a part in it.
func (s *Set) verifyTA(res Result, p *Peer, o Options) (Result, error) {
	if o.Work == nil {
		o.Work = new(pkix.Work)
	}
	var room [8]hit
	hits, chain := s.hits(room[:0], &res, p, o.Work)
	if len(hits) == 0 {
		return res, ErrNoMatch
	}
	req := pkix.Request{
		Certs:   chain,
		Anchors: anchors(hits),
		At:      o.At,
		Work:    o.Work,
		// RFC 5280 section 4.2.1.10 has the constraints of names hold for what serves
		// as a name: here the CN, if it may (doubt D3).
		CNAsName: !o.NoCNID,
	}
	path, err := pkix.Verify(req) // TLSA6698-2.1.1-01: RFC 6698 section 2.1.1
	if err != nil {
		return res, s.explain(&res, req, hits, err)
	}
	depth := len(path.Certs) - 1
	name := chain[0].Presented()
	// RFC 7672 section 3.2.3: a Common Name counts where there is no DNS-ID at all.
	// DANE7672-3.2.2-01: RFC 7672 section 3.2.2
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
				t.Fault, t.Depth = h.missed(), h.at
			}
			continue
		case nameErr != nil:
			t.Depth, t.Fault, t.Err = depth, FaultName, nameErr
		default:
			t.OK, t.Depth, t.Fault = true, depth, NoFault
			if !decided {
				res.Matched = h.rec.record
			}
		}
		decided = true
	}
	return res, nameErr
}

// anchors lists the anchors of hits, each once: several records can designate one
// certificate, which a peer can send several times.
func anchors(hits []hit) []pkix.Anchor {
	out := make([]pkix.Anchor, 0, len(hits))
next:
	for i := range hits {
		for j := range i {
			if h := &hits[j]; h.cert != nil && h.cert.Equal(hits[i].cert) {
				continue next
			}
		}
		out = append(out, hits[i].anchor)
	}
	return out
}

// missed returns why the anchor of h, though it matched, is not the end of the path.
func (h *hit) missed() Fault {
	switch {
	case h.sent:
		return FaultOffPath
	case h.cert == nil:
		return FaultKeySigned
	}
	return FaultNoPath
}

// hits lists what the DANE-TA records designate: the certificates sent that they
// match; where one matches none, the certificate (2 0 0, RFC 7671 section 5.2.2) or
// the key (2 1 0, section 5.2.3) that it holds itself. A digest needs the certificate
// in the chain (section 5.2.2). It writes to the trace why a record designates nothing.
//
// It returns the chain as well, unless there are no hits.
func (s *Set) hits(hits []hit, res *Result, p *Peer, work *pkix.Work) (_ []hit, chain []*pkix.Certificate) {
	ta := s.usable[s.ee:]
	for i := range ta {
		res.Trace[ta[i].use].Fault = FaultNotInChain
	}
	for n := range min(p.sent(), maxChain) {
		view := p.view(n)
		if view == nil {
			continue
		}
		v := values{raw: view.Raw, spki: view.RawSubjectPublicKeyInfo}
		for i := range ta {
			if !v.match(&ta[i]) {
				continue
			}
			t := &res.Trace[ta[i].use]
			if t.Depth < 0 {
				t.Depth = n
			}
			if chain == nil {
				chain = p.certs()
			}
			c := chain[n]
			if n == 0 && !pkix.SelfSigned(c, work) {
				t.Fault = FaultLeaf
				continue
			}
			t.Fault = FaultOffPath
			hits = append(hits, hit{&ta[i], pkix.AnchorOf(c), c, true, n})
		}
	}
	for i := range ta {
		rec := &ta[i]
		if res.Trace[rec.use].Depth >= 0 {
			continue
		}
		switch {
		case rec.cert != nil: // DANE7671-5.2.2-02: RFC 7671 section 5.2.2
			hits = append(hits, hit{rec, rec.anchor, rec.cert, false, -1})
		case rec.key:
			hits = append(hits, hit{rec, rec.anchor, nil, false, -1})
		}
	}
	if len(hits) > 0 && chain == nil {
		chain = p.certs()
	}
	return hits, chain
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
			t.Fault = h.missed()
			continue
		}
		sent = true
		t.Fault, t.Err = FaultPath, fmt.Errorf("%w: %w", ErrPath, err)
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
		return text.Cut(strings.Join(names[:most], ", "), maxShown) + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text.Cut(strings.Join(names, ", "), maxShown)
}
