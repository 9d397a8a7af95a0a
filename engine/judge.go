package engine

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// maxNames bounds the presented names that a decision lists: a certificate can hold
// thousands.
const maxNames = 20

// presented fills the names that the peer showed and those that would have counted.
func (j *judge) presented() {
	d := &j.d
	if d.Event != HandshakeDone {
		return
	}
	h := j.h
	switch {
	case len(h.DANERefs)+len(h.STSRefs)+len(h.PKIXRefs) > 0:
		d.Expected = expected(nil, h.DANERefs)
		d.Expected = expected(d.Expected, h.STSRefs)
		d.Expected = expected(d.Expected, h.PKIXRefs)
	case h.Requirement == May && h.Name.IsValid():
		// What somebody who checks names without a rule would compare with.
		d.Expected = []string{h.Name.String()}
	}
	shown := "no certificate"
	switch {
	case len(j.peer.Chain) > 0 && j.peer.Chain[0] != nil:
		names := presentedNames(j.peer.Chain[0])
		n := min(len(names), maxNames)
		d.Presented = names[:n:n]
		shown = "a certificate for " + list(d.Presented)
		if len(d.Presented) == 0 {
			shown = "a certificate without names"
		}
	case len(j.peer.RawKey) > 0:
		shown = "a bare public key"
	}
	d.Why = append(d.Why, Step{Step: StepCertificate, Host: h.label(), Result: shown, RFC: "9525 s.6"})
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

// part judges one part of a requirement. With ok it returns how the peer proved
// itself ("" for parts that prove nobody) and the reason that says so; without, why
// it failed. Trace says whether the records of a TLSA set are written down.
func (j *judge) part(part Requirement, trace bool) (m Method, why Reason, ok bool) {
	if j.d.Event != HandshakeDone {
		return "", j.noTLS(part), false
	}
	switch part {
	case Encrypt:
		return "", because(ReasonEncryptedTLSA, "The connection to %s is encrypted, as its TLSA records demand; nobody was authenticated, since none of them can be used for mail.", j.h.label()), true
	case DANE, HalfDANE:
		return j.byTLSA(part, trace)
	case STS:
		return j.bySTS()
	case PKIX:
		return j.byPKIX()
	}
	return "", because(ReasonNotInPlan, "The plan for %s demands something that can not be judged.", j.h.label()), false
}

// noTLS is why a part that wants TLS failed without it.
func (j *judge) noTLS(part Requirement) Reason {
	policy, who := policyNone, "TLS is demanded of "+j.h.label()
	switch part {
	case DANE, HalfDANE, Encrypt:
		policy, who = policyTLSA, "The TLSA records (DANE) of "+j.h.label()+" demand TLS"
	case STS:
		policy, who = policySTS, "The MTA-STS policy of "+j.p.label()+" demands TLS"
	}
	switch {
	case j.d.Event == NoSTARTTLS:
		return because(ReasonNoSTARTTLS, "%s, and the host does not offer it; somebody between may have removed the offer.", who).about(policy)
	case j.d.Event == STARTTLSRefused && j.peer.Injected:
		return because(ReasonInjected, "%s, and plain data stood behind the reply to STARTTLS as if somebody slipped it in; the connection is dropped.", who).about(policy)
	case j.d.Event == STARTTLSRefused:
		return because(ReasonSTARTTLSRefused, "%s, and the host refused to start it%s.", who, j.detail()).about(policy)
	}
	return because(ReasonHandshake, "%s, and the TLS handshake failed%s.", who, j.detail()).about(policy)
}

// byTLSA judges DANE and half-DANE.
func (j *judge) byTLSA(part Requirement, trace bool) (Method, Reason, bool) {
	h, name := j.h, j.h.label()
	var work *pkix.Work
	if h.DANE.Set.HasUsage(dane.DANETA) { // DANE-EE looks for no path
		work = j.work(pkix.DefaultWork)
	}
	res, err := h.DANE.Set.Verify(
		j.presentedTo(),
		dane.Options{References: h.DANERefs, NoCNID: j.p.Request.Options.NoCNID, At: j.at, Work: work})
	if trace && err != nil {
		for _, t := range res.Trace {
			j.d.Why = append(j.d.Why, Step{Step: StepTLSARecord, Host: name, Name: clip(t.Record.String()), Type: "TLSA",
				Result: clip(t.Why), RFC: "7672 s.3"})
		}
	}
	switch {
	case err == nil && res.OK && h.DANE.State == dane.Usable:
	case err == nil || errors.Is(err, dane.ErrNoMatch) || errors.Is(err, dane.ErrNoUsable):
		return "", because(ReasonDANENoMatch, "%s shows a key and certificate that match none of its signed TLSA records (%s); it may be somebody else%s.", name, j.records(), j.unreadLeaf()), false
	case errors.Is(err, dane.ErrName):
		return "", because(ReasonDANEName, "The certificate of %s was issued by the CA in its TLSA records and carries none of the names that count: it names %s%s, and one of %s was expected.", name, shownNames(j.d.Presented), j.onlyCommonName(h.DANERefs, j.whyNoCNID()), refList(h.DANERefs)), false
	case errors.Is(err, dane.ErrKey):
		return "", because(ReasonDANEUntrusted, "%s shows a key or certificate that its TLSA records name, and such a key proves nothing (%s).", name, j.weakKey()), false
	case errors.Is(err, pkix.ErrExpired):
		return "", because(ReasonDANEExpired, "The certificate of %s leads to the CA in its TLSA records, but has expired or passes one that has (%s).", name, certText(err)), false
	case errors.Is(err, pkix.ErrNotYetValid):
		return "", because(ReasonDANEUntrusted, "The certificate of %s leads to the CA in its TLSA records, but it, or one that it passes, is not valid yet (%s).", name, certText(err)), false
	default:
		return "", because(ReasonDANEUntrusted, "A certificate that %s sent matches its TLSA records, but the path from the host's own certificate to it does not hold (%s).", name, certText(err)), false
	}
	rec := shortRecord(res.Matched)
	if trace {
		j.d.Why = append(j.d.Why, Step{Step: StepTLSARecord, Host: name, Name: rec, Type: "TLSA", Result: "matches", RFC: "7672 s.3"})
	}
	if part == HalfDANE {
		return "", because(ReasonHalfDANEMatch, "%s proved itself by its TLSA records, but %s, so it is not proven that this is the domain's host: encrypted, not authenticated.", name, unsignedMX(j.p.Orig, j.h)), true
	}
	if res.Matched.Usage == dane.DANEEE {
		// The common case, put together by hand: it is what a busy server pays for.
		return MethodDANEEE, saying(ReasonDANEEEMatch, name+" is authenticated: its key or certificate is the one in its signed TLSA record ("+rec+")."), true
	}
	return MethodDANETA, because(ReasonDANETAMatch, "%s is authenticated: its certificate was issued by the CA in its signed TLSA record (%s) and proves the name %s.", name, rec, clip(res.Name.Presented)), true
}

// work is what is left for the paths of this decision; limit counts the first time.
func (j *judge) work(limit time.Duration) *pkix.Work {
	if j.paths == nil {
		j.paths = &pkix.Work{Limit: limit}
	}
	return j.paths
}

// presentedTo is what the peer presented, for package dane.
func (j *judge) presentedTo() dane.Peer {
	if j.certs != nil {
		return dane.Peer{Certs: j.certs}
	}
	return dane.Peer{Chain: j.peer.Chain, RawKey: j.peer.RawKey}
}

// unreadLeaf is the clause that says why the key in the host's certificate could not
// be compared; "" if it could.
func (j *judge) unreadLeaf() string {
	if len(j.certs) == 0 {
		return ""
	}
	why := j.certs[0].Unread(pkix.FieldStructure)
	if why == "" {
		return ""
	}
	return ". The key in its certificate could not be compared (" + clip(why) + ")"
}

// weakKey is why the peer's key is not accepted.
func (j *judge) weakKey() string {
	if len(j.peer.Chain) > 0 {
		return pkix.KeyFault(j.peer.Chain[0].PublicKey)
	}
	key, err := pkix.ReadKey(j.peer.RawKey)
	if err != nil {
		return clip(err.Error())
	}
	return pkix.KeyFault(key)
}

// records lists the usable records for a sentence.
func (j *judge) records() string {
	var all []string
	for _, r := range j.h.DANE.Set.Usable() {
		all = append(all, shortRecord(r))
	}
	return list(all)
}

// shortRecord is a record with as much of its data as a person compares.
func shortRecord(r dane.Record) string {
	const octets = 9
	// The data of a record that can be used is a digest, a key or a certificate: longer.
	data := r.Data[:min(len(r.Data), octets)]
	var room [8 + 2*octets + 12]byte
	b := room[:0]
	for _, n := range [...]uint8{uint8(r.Usage), uint8(r.Selector), uint8(r.MatchingType)} {
		b = append(strconv.AppendUint(b, uint64(n), 10), ' ')
	}
	b = append(hex.AppendEncode(b, []byte(data)), "..."...)
	return string(b)
}

// webpki proves the chain against the WebPKI anchors and one of the names.
func (j *judge) webpki(refs []rfc6125.Reference) (rfc6125.Match, error) {
	roots, err := j.e.roots()
	if err != nil {
		return rfc6125.Match{}, fmt.Errorf("%w: %w", pkix.ErrNoAnchor, err)
	}
	r := pkix.Request{Chain: j.peer.Chain, Roots: roots, At: j.at, Work: j.work(pkix.DefaultWork)}
	if j.certs != nil {
		r.Chain, r.Certs = nil, j.certs
	}
	res, err := pkix.VerifyServer(r, refs)
	return res.Match, err
}

// bySTS judges the certificate under MTA-STS (RFC 8461 section 4.2). The pattern was
// matched before connecting; a plan without that can not pass.
func (j *judge) bySTS() (Method, Reason, bool) {
	name, dom := j.h.label(), j.p.label()
	m, err := j.webpki(j.h.STSRefs)
	switch {
	case err == nil && m.OK && j.h.STSMatch != "":
		return MethodMTASTS, because(ReasonSTSMatch, "%s is authenticated: the MTA-STS policy of %s lists it, and it shows a valid certificate of that name.", name, dom), true
	case err == nil:
		if !j.h.Requirement.Has(STS) {
			// Its certificate is in order; that the policy does not list it was found
			// before.
			return "", Reason{}, true
		}
		return "", because(ReasonSTSNoMatch, "The MTA-STS policy of %s does not list %s, so mail may not go there.", dom, name), false
	case onlyName(err):
		return "", because(ReasonSTSName, "The MTA-STS policy of %s demands a certificate of the name %s; the host shows one for %s%s.", dom, name, shownNames(j.d.Presented), j.onlyCommonName(j.h.STSRefs, noCommonName)), false
	case errors.Is(err, pkix.ErrExpired):
		return "", because(ReasonSTSExpired, "The MTA-STS policy of %s demands a valid certificate; that of %s, or one that it passes, has expired (%s).", dom, name, certText(err)), false
	}
	if errors.Is(err, pkix.ErrNotYetValid) {
		return "", because(ReasonSTSUntrusted, "The MTA-STS policy of %s demands a valid certificate; that of %s, or one that it passes, is not valid yet (%s).", dom, name, certText(err)), false
	}
	return "", because(ReasonSTSUntrusted, "The MTA-STS policy of %s demands a certificate of a public CA; that of %s leads to none that this server trusts (%s).", dom, name, certText(err)), false
}

// byPKIX judges the certificate where the operator, or REQUIRETLS, names the peer.
func (j *judge) byPKIX() (Method, Reason, bool) {
	name := j.h.label()
	m, err := j.webpki(j.h.PKIXRefs)
	switch {
	case err == nil && m.OK:
		return MethodPKIX, because(ReasonPKIXMatch, "%s is authenticated: it shows a valid certificate of a trusted CA for the name %s.", name, m.Reference), true
	case onlyName(err):
		return "", because(ReasonPKIXName, "%s must prove the name %s, and shows a certificate for %s%s.", name, refList(j.h.PKIXRefs), shownNames(j.d.Presented), j.onlyCommonName(j.h.PKIXRefs, noCommonName)), false
	case errors.Is(err, pkix.ErrExpired):
		return "", because(ReasonPKIXExpired, "%s must show a valid certificate, and its certificate, or one that it passes, has expired (%s).", name, certText(err)), false
	}
	if errors.Is(err, pkix.ErrNotYetValid) {
		return "", because(ReasonPKIXUntrusted, "%s must show a valid certificate, and its certificate, or one that it passes, is not valid yet (%s).", name, certText(err)), false
	}
	return "", because(ReasonPKIXUntrusted, "%s must show a certificate of a trusted CA, and its certificate leads to none (%s).", name, certText(err)), false
}

// onlyName reports whether the path is good and the name alone is wrong. (Of several
// failures the name is never the kind that is reported.)
func onlyName(err error) bool { return errors.Is(err, pkix.ErrName) }

// unprovedWork bounds what is spent on the chain of a host where nothing is demanded:
// the verdict does not depend on the chain, only its text describes it.
// The longest public chain (three P-384 signatures) fits.
const unprovedWork = 5 * time.Millisecond

// unproved is what can be said of TLS where nothing is demanded: which names came,
// that nothing obliged the host to show its own, and what the domain could publish.
func (j *judge) unproved() Reason {
	h := j.h
	name, dom := h.label(), j.p.label()
	switch h.Reason.ID {
	case ReasonOpportunistic:
		return because(ReasonOpportunistic, "The connection to %s is encrypted; this server is set to authenticate nobody there. The certificate names %s.", name, shownNames(j.d.Presented))
	case ReasonLiteral:
		return because(ReasonLiteral, "The connection to %s is encrypted; an address can not be authenticated. The certificate names %s.", name, shownNames(j.d.Presented))
	}
	switch {
	case h.Reason.ID != ReasonNoPolicy:
		// Policies may be published; this message, or audit mode, passes them by.
		return because(ReasonEncryptedUnproved, "The connection to %s is encrypted; nobody was asked to prove anything. The certificate names %s.", name, shownNames(j.d.Presented))
	case len(j.peer.Chain) == 0:
		return because(ReasonEncryptedCA, "The connection to %s is encrypted, but nobody proved to be that host: it showed no certificate, and nothing obliged it to.", name)
	}
	refs := []rfc6125.Reference{rfc6125.NewReference(h.Name)}
	if j.how.beforeEHLO {
		// This text is not shown. The decision after the handshake looks at the path.
		return because(ReasonEncryptedUnproved, "The connection to %s is encrypted.", name)
	}
	j.work(unprovedWork)
	_, err := j.webpki(refs)
	switch {
	case !j.named(refs, err):
		return because(ReasonEncryptedName, "The connection to %s is encrypted, but nobody proved to be that host: the certificate names %s%s. Nothing obliged the host to show its own name, because %s publishes no policy that holds here (%s). Two standards would make the name count: DANE (TLSA records for %s in a zone signed with DNSSEC) or MTA-STS (a policy of mode enforce on the web host mta-sts.%s).",
			name, shownNames(j.d.Presented), j.onlyCommonName(refs, noCommonName), dom, h.Lacks, name, dom)
	case err != nil:
		return because(ReasonEncryptedCA, "The connection to %s is encrypted, but nobody proved to be that host: its certificate names it, and leads to no CA that this server trusts (%s). Nothing obliged the host to more, because %s publishes no policy that holds here (%s); DANE (TLSA records for %s in a zone signed with DNSSEC) would make even this certificate a proof.",
			name, certText(err), dom, h.Lacks, name)
	}
	return because(ReasonEncryptedUnproved, "The connection to %s is encrypted and its certificate is in order, but it does not count as authenticated: %s publishes no policy that holds here (%s), so somebody between could have put another host in its place unnoticed. An MTA-STS policy of mode enforce on the web host mta-sts.%s, or DANE (TLSA records for %s in a zone signed with DNSSEC), would make it count.",
		name, dom, h.Lacks, dom, name)
}

// named reports whether the certificate has one of the names, given what webpki says of
// it: a certificate can have thousands of names, which are then read once.
func (j *judge) named(refs []rfc6125.Reference, err error) bool {
	var e *pkix.Error
	if err != nil && !errors.As(err, &e) { // there are no roots
		return rfc6125.PresentedBy(j.peer.Chain[0]).Match(refs, rfc6125.Options{}).OK
	}
	return err == nil || !slices.ContainsFunc(e.All, func(one error) bool { return errors.Is(one, pkix.ErrName) })
}

// noCommonName is what a name is told that stands in the wrong place.
const noCommonName = "a Common Name does not count: the name must be a subject alternative name (RFC 8461 section 4.2, RFC 9525 section 2)"

// whyNoCNID is why a Common Name that is right did not count under DANE-TA, where one
// may (RFC 7672 section 3.2.3).
func (j *judge) whyNoCNID() string {
	if j.p.Request.Options.NoCNID {
		return "this server is set to take no Common Name"
	}
	return "a Common Name counts only where there is no subject alternative name (RFC 6125 section 6.4.4)"
}

// onlyCommonName is the clause, behind the names of a certificate of which none counts,
// that says why one of refs was of no use as its Common Name; "" if none stands there.
func (j *judge) onlyCommonName(refs []rfc6125.Reference, why string) string {
	if len(j.peer.Chain) == 0 || j.peer.Chain[0] == nil {
		return ""
	}
	subject := rfc6125.ParsePresented(nil, j.peer.Chain[0].RawSubject)
	if !subject.Match(refs, rfc6125.Options{CNID: true}).OK {
		return ""
	}
	return ", and " + why
}

func refList(refs []rfc6125.Reference) string {
	var names []string
	for _, r := range refs {
		names = append(names, r.String())
	}
	return list(names)
}

// shownNames lists presented names for a sentence: a Common Name that is one of the
// DNS names is not told twice.
func shownNames(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	var all []string
	for _, n := range names {
		if cn, ok := strings.CutPrefix(n, "CN="); ok {
			if slices.Contains(names, cn) {
				continue
			}
			n = cn + " (as Common Name)"
		}
		all = append(all, n)
	}
	return list(all)
}

// certText says what is wrong with a chain, without the words that the sentence
// around it has.
func certText(err error) string {
	var e *pkix.Error
	if !errors.As(err, &e) {
		if err == nil {
			return "no name is expected"
		}
		return clip(err.Error())
	}
	text := strings.TrimPrefix(e.Kind.Error(), pkix.ErrUntrusted.Error()+": ")
	if e.Subject != "" {
		text += ": " + e.Subject
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return clip(text)
}
