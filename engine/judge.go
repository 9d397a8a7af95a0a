package engine

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/tlsrpt"
)

// judgeOptions says how a decision is taken.
type judgeOptions struct {
	replay     bool // ValidUntil is not looked at
	beforeEHLO bool // EHLO inside TLS has not been said: whether REQUIRETLS is offered is not known
	// unconfirmed: TLS was started, and whether it was completed was not reported.
	unconfirmed bool
	// pair says which of two certificates is judged; nil where one is known.
	pair *reason.Pair
}

// local is what a decision depends on in addition to plan and connection.
type local struct {
	roots    *pkix.Roots // WebPKI anchors
	rootsErr error       // why there are none; nil if there are
	memory   Memory      // nil: nothing is remembered
}

// A connection is what one decision rests on. Nothing changes it once the peer is known but
// what is left of paths.
type connection struct {
	local
	p         *Plan
	h         *Host
	peer      Peer
	event     Event // that of the peer, unless its TLS version does not count
	at        time.Time
	how       judgeOptions
	presented []string // names of the leaf
	// certs are those of peer.Raw; nil if peer.Chain was given.
	certs []*pkix.Certificate
	// paths is what all paths that this decision looks for may cost together; nil
	// until the first.
	paths *pkix.Work
}

// reason makes a reason about the host.
func (c *connection) reason(id reason.ID, ev reason.Evidence) Reason {
	return reasonOf(id, c.p.Orig, ev).in(c.p).about(c.h)
}

// maxNames bounds the presented names that a decision lists: a certificate can hold
// thousands.
const maxNames = 20

// presented lists the names of the leaf.
func presented(chain []*x509.Certificate) []string {
	if len(chain) == 0 {
		return nil
	}
	names := presentedNames(chain[0])
	n := min(len(names), maxNames)
	return names[:n:n]
}

// presentedNames is what [rfc6125.Presented.Names] prints: the dNSNames, then Common
// Names. Every decision pays for it, so a certificate whose names are all plain, as
// nearly all are, is read from what crypto/x509 has parsed already; the list is for
// people, and nothing is matched against it.
func presentedNames(c *x509.Certificate) []string {
	cn := ""
	for i := range c.Subject.Names {
		if !c.Subject.Names[i].Type.Equal(oidCommonName) {
			continue
		}
		v, ok := c.Subject.Names[i].Value.(string)
		if cn != "" || !ok || !plain(v) {
			return rfc6125.PresentedBy(c).Names()
		}
		cn = v
	}
	for _, n := range c.DNSNames {
		if !plain(n) {
			return rfc6125.PresentedBy(c).Names()
		}
	}
	if cn == "" {
		return c.DNSNames[:len(c.DNSNames):len(c.DNSNames)]
	}
	return append(c.DNSNames[:len(c.DNSNames):len(c.DNSNames)], "CN="+cn)
}

// oidCommonName is that of the attribute commonName (RFC 5280 appendix A.1).
var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// maxPlain is the length up to which a name is printed as it is: that of a domain
// name.
const maxPlain = 253

// plain reports whether a name needs no care before it is shown.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-', c == '*':
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxPlain
}

// expected lists the references of which one would have counted.
func (c *connection) expected() (out []string) {
	h := c.h
	if len(h.DANERefs)+len(h.STSRefs)+len(h.PKIXRefs) == 0 {
		if h.Requirement == May && h.Name.IsValid() {
			// What somebody who checks names without a rule would compare with.
			return []string{h.Name.String()}
		}
		return nil
	}
	return expected(expected(expected(nil, h.DANERefs), h.STSRefs), h.PKIXRefs)
}

func expected(to []string, refs []rfc6125.Reference) []string {
next:
	for _, r := range refs {
		s := r.String()
		for _, t := range to {
			if s == t {
				continue next
			}
		}
		to = append(to, s)
	}
	return to
}

// A proof is what one part of a requirement came to: how the peer proved itself ("" for
// parts that prove no name) and the reason that says so, or why it failed.
type proof struct {
	method Method
	why    Reason
	tlsa   dane.Result
}

// part judges one part of a requirement. It reports whether it holds.
func (c *connection) part(part Requirement) (proof, bool) {
	if c.event != HandshakeDone {
		return proof{why: c.noTLS(part)}, false
	}
	switch part {
	case Encrypt:
		return proof{why: c.reason(reason.EncryptedTLSA, c.shown(nil, reason.CommonNameOther, nil))}, true
	case DANE, HalfDANE:
		return c.byTLSA(part)
	case STS:
		return c.bySTS()
	case PKIX:
		return c.byPKIX()
	}
	return proof{why: c.reason(reason.NotInPlan, nil)}, false
}

// unspoken is a reason about a connection without TLS.
func (c *connection) unspoken(id reason.ID, part Requirement) Reason {
	return c.reason(id, &NoTLS{Peer: c.peer, Part: part})
}

// noTLS is why a part that needs TLS failed without it.
func (c *connection) noTLS(part Requirement) Reason {
	policy := tlsrpt.PolicyNoFound
	switch part {
	case DANE, HalfDANE, Encrypt:
		policy = tlsrpt.PolicyTLSA
	case STS:
		policy = tlsrpt.PolicySTS
	}
	id := reason.Handshake
	switch {
	case c.isOwn():
		return c.ownTLS(part, Refused).of(policy)
	case c.event == NoSTARTTLS:
		id = reason.NoSTARTTLS
	case c.event == STARTTLSRefused && c.peer.Injected:
		id = reason.Injected
	case c.event == STARTTLSRefused:
		id = reason.STARTTLSRefused
	}
	return c.unspoken(id, part).of(policy)
}

// byTLSA judges DANE and half-DANE.
func (c *connection) byTLSA(part Requirement) (proof, bool) {
	h := c.h
	var work *pkix.Work
	if h.DANE.Set.HasUsage(dane.DANETA) { // DANE-EE looks for no path
		work = c.work(pkix.DefaultWork)
	}
	res, err := h.DANE.Set.Verify(
		c.presentedTo(),
		dane.Options{References: h.DANERefs, NoCNID: c.p.Request.Options.NoCNID, At: c.at, Work: work})
	failed := func(id reason.ID, cn reason.CommonName) (proof, bool) {
		s := c.shown(h.DANERefs, cn, err)
		if id == reason.DANENoMatch {
			s.Unread = c.unreadLeaf()
		}
		return proof{tlsa: res, why: c.reason(id, s)}, false
	}
	switch {
	case err == nil && res.OK && h.DANE.State == dane.Usable:
	case err == nil || errors.Is(err, dane.ErrNoMatch) || errors.Is(err, dane.ErrNoUsable):
		return failed(reason.DANENoMatch, reason.CommonNameOther)
	case errors.Is(err, dane.ErrName):
		cn := reason.CommonNameWithSAN
		if c.p.Request.Options.NoCNID {
			cn = reason.CommonNameOff
		}
		return failed(reason.DANEName, c.commonName(h.DANERefs, cn))
	case errors.Is(err, dane.ErrKey):
		return failed(reason.DANEUntrusted, reason.CommonNameOther)
	case errors.Is(err, pkix.ErrExpired):
		return failed(reason.DANEExpired, reason.CommonNameOther)
	default:
		return failed(reason.DANEUntrusted, reason.CommonNameOther)
	}
	ok := proof{tlsa: res}
	switch {
	case part == HalfDANE: // DANE7672-2.2.1-08: RFC 7672 section 2.2.1
		ok.why = c.reason(reason.HalfDANEMatch, &reason.Shown{Record: res.Matched, Name: res.Name.Presented})
	case res.Matched.Usage == dane.DANEEE:
		ok.method, ok.why = MethodDANEEE, c.reason(reason.DANEEEMatch, &reason.Shown{Record: res.Matched})
	default:
		ok.method, ok.why = MethodDANETA, c.reason(reason.DANETAMatch, &reason.Shown{Record: res.Matched, Name: res.Name.Presented})
	}
	return ok, true
}

// work is what is left for the paths of this decision; limit counts the first time.
func (c *connection) work(limit time.Duration) *pkix.Work {
	if c.paths == nil {
		c.paths = &pkix.Work{Limit: limit}
	}
	return c.paths
}

// presentedTo is what the peer presented, for package dane.
func (c *connection) presentedTo() dane.Peer {
	if c.certs != nil {
		return dane.Peer{Certs: c.certs}
	}
	return dane.Peer{Chain: c.peer.Chain, RawKey: c.peer.RawKey}
}

// unreadLeaf returns why the host's certificate and its key could not be compared; "" if they
// could.
func (c *connection) unreadLeaf() string {
	if len(c.certs) == 0 {
		return ""
	}
	return c.certs[0].Unread(pkix.FieldStructure)
}

// shown is the evidence of a certificate that proves nothing.
func (c *connection) shown(refs []rfc6125.Reference, cn reason.CommonName, err error) *reason.Shown {
	return &reason.Shown{Presented: c.presented, References: refs, CommonName: cn, Err: err, Chain: c.peer.Chain, RawKey: c.peer.RawKey, At: c.at, Pair: c.how.pair}
}

// webpki proves the chain against the WebPKI anchors and one of the names.
func (c *connection) webpki(refs []rfc6125.Reference) (rfc6125.Match, error) {
	if err := c.rootsErr; err != nil {
		return rfc6125.Match{}, fmt.Errorf("%w: %w", pkix.ErrNoAnchor, err)
	}
	r := pkix.Request{Chain: c.peer.Chain, Roots: c.roots, At: c.at, Work: c.work(pkix.DefaultWork)}
	if c.certs != nil {
		r.Chain, r.Certs = nil, c.certs
	}
	// STS-4.2-01: RFC 8461 section 4.2; STS-4.2-02: RFC 8461 section 4.2
	res, err := pkix.VerifyServer(r, refs)
	return res.Match, err
}

// bySTS judges the certificate under MTA-STS (RFC 8461 section 4.2). The pattern was
// matched before connecting; a plan without that cannot pass.
func (c *connection) bySTS() (proof, bool) {
	m, err := c.webpki(c.h.STSRefs)
	switch {
	case err == nil && m.OK && c.h.STSMatch != "": // STS-4-01: RFC 8461 section 4
		return proof{method: MethodMTASTS, why: c.reason(reason.STSMatch, nil)}, true
	case err == nil && !c.h.Requirement.Has(STS):
		// Its certificate is in order; that the policy does not list it was found
		// before.
		return proof{}, true
	case err == nil:
		return proof{why: c.reason(reason.STSNoMatch, nil)}, false
	}
	return proof{why: c.unverified(c.h.STSRefs, err, reason.STSName, reason.STSExpired, reason.STSUntrusted)}, false
}

// byPKIX judges the certificate where the operator, or REQUIRETLS, names the peer.
func (c *connection) byPKIX() (proof, bool) {
	m, err := c.webpki(c.h.PKIXRefs)
	if err == nil && m.OK {
		return proof{method: MethodPKIX, why: c.reason(reason.PKIXMatch, &reason.Shown{Name: m.Reference.String()})}, true
	}
	return proof{why: c.unverified(c.h.PKIXRefs, err, reason.PKIXName, reason.PKIXExpired, reason.PKIXUntrusted)}, false
}

// unverified is the reason of a chain that WebPKI does not accept. Of several failures the
// name is never the kind that is reported, so ErrName says that the path is good.
func (c *connection) unverified(refs []rfc6125.Reference, err error, name, expired, untrusted reason.ID) Reason {
	switch {
	case errors.Is(err, pkix.ErrName):
		return c.reason(name, c.shown(refs, c.commonName(refs, reason.CommonNameNever), err))
	case errors.Is(err, pkix.ErrExpired):
		return c.reason(expired, c.shown(refs, reason.CommonNameOther, err))
	}
	return c.reason(untrusted, c.shown(refs, reason.CommonNameOther, err))
}

// unprovedWork bounds what is spent on the chain of a host where nothing is demanded:
// the verdict does not depend on the chain, only its text describes it.
// The longest public chain (three P-384 signatures) fits.
const unprovedWork = 5 * time.Millisecond

// unproved is what can be said of TLS where nothing is demanded.
func (c *connection) unproved() Reason {
	switch c.h.Ground {
	case reason.GroundLevel:
		return c.reason(reason.Opportunistic, c.shown(nil, reason.CommonNameOther, nil))
	case reason.GroundLiteral:
		return c.reason(reason.Literal, c.shown(nil, reason.CommonNameOther, nil))
	case reason.GroundNoPolicy:
	default:
		// Policies may be published; this message, or audit mode, passes them by.
		return c.reason(reason.EncryptedUnproved, c.shown(nil, reason.CommonNameOther, nil))
	}
	if len(c.peer.Chain) == 0 {
		return c.reason(reason.EncryptedCA, c.shown(nil, reason.CommonNameOther, nil))
	}
	if c.how.beforeEHLO {
		// What is said is not shown. The decision after the handshake looks at the path.
		return c.reason(reason.EncryptedUnproved, nil)
	}
	refs := []rfc6125.Reference{rfc6125.NewReference(c.h.Name)}
	c.work(unprovedWork)
	_, err := c.webpki(refs)
	switch {
	case !c.named(refs, err):
		return c.reason(reason.EncryptedName, c.shown(refs, c.commonName(refs, reason.CommonNameNever), err))
	case err != nil:
		return c.reason(reason.EncryptedCA, c.shown(refs, reason.CommonNameOther, err))
	}
	return c.reason(reason.EncryptedUnproved, c.shown(refs, reason.CommonNameOther, nil))
}

// named reports whether the certificate has one of the names, given what webpki says of
// it: a certificate can have thousands of names, which are then read once.
func (c *connection) named(refs []rfc6125.Reference, err error) bool {
	var e *pkix.Error
	if err != nil && !errors.As(err, &e) { // there are no roots
		return rfc6125.PresentedBy(c.peer.Chain[0]).Match(refs, rfc6125.Options{}).OK
	}
	return err == nil || !slices.ContainsFunc(e.All, func(one error) bool { return errors.Is(one, pkix.ErrName) })
}

// commonName returns why if one of refs is the leaf's Common Name.
func (c *connection) commonName(refs []rfc6125.Reference, why reason.CommonName) reason.CommonName {
	if len(c.peer.Chain) == 0 || c.peer.Chain[0] == nil {
		return reason.CommonNameOther
	}
	subject := rfc6125.ParsePresented(nil, c.peer.Chain[0].RawSubject)
	if !subject.Match(refs, rfc6125.Options{CNID: true}).OK {
		return reason.CommonNameOther
	}
	return why
}

// ownTLS makes the reason of a handshake that failed through the TLS library of this
// program. o is the outcome that it decides, OutcomeNone for a finding.
func (c *connection) ownTLS(part Requirement, o Outcome) Reason {
	own := *c.peer.OwnTLS
	lib := &Library{OwnTLS: own, Handshake: c.peer.Handshake, Outcome: o, Part: part}
	switch {
	case len(own.Chain) > 0:
		lib.Certificates = pkix.ReadChain(own.Chain)
	case len(c.certs) > 0:
		lib.Certificates = c.certs
	default:
		lib.Certificates = pkix.FromChain(c.peer.Chain)
	}
	if own.Unproved != "" && len(own.Chain) > 0 && c.h.DANE.State == dane.Usable {
		lib.Compared = true
		res, err := c.h.DANE.Set.Verify(dane.Peer{Certs: lib.Certificates},
			dane.Options{References: c.h.DANERefs, NoCNID: c.p.Request.Options.NoCNID, At: c.at, Work: c.work(pkix.DefaultWork)})
		if err == nil && res.OK {
			lib.Matched = res.Matched
		}
	}
	return c.reason(reason.OwnTLS, lib)
}

// isOwn reports whether the handshake failed through the TLS library of this program.
func (c *connection) isOwn() bool { return c.event == HandshakeFailed && c.peer.OwnTLS != nil }

// settleRead takes the event of a peer whose certificate was only read: a message that
// demands REQUIRETLS needs a session.
func (c *connection) settleRead() {
	if c.event != HandshakeDone || c.peer.Handshake != HandshakeRead {
		return
	}
	c.peer.RequireTLS = false
	if c.p.Request.RequireTLS && !c.p.Request.NullReturnPath {
		c.event = HandshakeFailed
	}
}
