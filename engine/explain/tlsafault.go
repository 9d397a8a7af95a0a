package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/pkix"
)

// TLSA records that do not match, or cannot be used.

// tlsaUnusable is a TLSA RRset of which no record can be used for mail.
func (c reasonView) tlsaUnusable(s *reason.Shown) (t statement) {
	set := dane.Set{}
	if c.h != nil {
		set = c.h.DANE.Set
	}
	if len(set.Usable()) > 0 { // the option insecure-mx = encrypt
		return statement{cause: fmt.Sprintf("%s, and this check then asks %s for no more than TLS, although it has TLSA records (at %s).", capital(unsignedMX(c.p, c.h)), c.host, c.owner()), owner: signMX(c.p)}
	}
	t.cause = sentences(fmt.Sprintf("None of the TLSA records of %s (at %s) can be used for mail: %s.%s So TLS is required, and who the server is cannot be checked.", c.host, c.owner(), unusable(set), c.alias()), tooMany(set))
	if c.h != nil && stsOf(c.p, c.h).there {
		t.cause = sentences(t.cause, sentence(stsOf(c.p, c.h).clause))
	}
	t.owner = []Cure{c.replace(s, fmt.Sprintf("Replace the TLSA records at %s %s", c.owner(), c.madeNow(s)), dane.Recommended(dane.DANEEE), true)}
	return t
}

// tooMany says that a set was cut; "" if it was not.
func tooMany(s dane.Set) string {
	if s.Len() <= dane.MaxRecords {
		return ""
	}
	return fmt.Sprintf("There are %d TLSA records, and only the first %d are looked at.", s.Len(), dane.MaxRecords)
}

// replace is the cure to publish a record of what the server shows now.
func (c reasonView) replace(s *reason.Shown, text string, r dane.Recipe, tlsa bool) Cure {
	rec, ok := dane.Record{}, false
	if s != nil {
		rec, ok = tlsaNow(s, r)
	}
	by := c.hostBy
	if tlsa {
		by = c.tlsaBy
	}
	if !ok {
		return cure(by(fmt.Sprintf("%s: `mxauth tlsa make %s` prints it.", strings.Replace(text, "this one, which is made", "one that is made", 1), c.host)))
	}
	return cure(by(text+" (compare it with the key on the server before you publish it):"), recordLines(s, c.owner(), rec)...)
}

// matching is the record of the set that the presented certificate or key matches although
// it does not count, because a stronger digest is there; ok is false if there is none.
func (c reasonView) outranked(s *reason.Shown) (weak, strong dane.Record, ok bool) {
	if c.h == nil || leaf(s.Chain) == nil {
		return weak, strong, false
	}
	for _, u := range c.h.DANE.Set.Uses() {
		r := u.Record
		if u.Usable || r.Usage != dane.DANEEE || r.MatchingType == dane.Full || r.MatchingType > dane.SHA2_512 || r.Selector > dane.SPKI {
			continue
		}
		now, made := tlsaNow(s, dane.Recipe{Usage: r.Usage, Selector: r.Selector, MatchingType: r.MatchingType})
		if !made || now != r {
			continue
		}
		for _, o := range c.h.DANE.Set.Usable() {
			if o.Usage == r.Usage && o.Selector == r.Selector && o.MatchingType != r.MatchingType {
				return r, o, true
			}
		}
	}
	return weak, strong, false
}

// noMatch is a key or certificate that matches no TLSA record.
func (c reasonView) noMatch(s *reason.Shown) (t statement) {
	owner := c.owner()
	set := dane.Set{}
	if c.h != nil {
		set = c.h.DANE.Set
	}
	usable := set.Usable()
	if weak, strong, ok := c.outranked(s); ok {
		now, _ := tlsaNow(s, dane.Recipe{Usage: strong.Usage, Selector: strong.Selector, MatchingType: strong.MatchingType})
		t.cause = sentences(fmt.Sprintf("At %s the TLSA record %s matches the key of %s, and the record %s, with a stronger digest (SHA-512), does not match: where both are published, only the strongest digest counts.", owner, short(weak), c.host, short(strong)), strings.TrimSpace(c.alias()))
		t.owner = []Cure{cure(c.tlsaBy(fmt.Sprintf("Delete the stale record `%s`, or replace it by:", short(strong))), fmt.Sprintf("%s. IN TLSA %s", owner, now))}
		return t
	}
	anchors := slices.ContainsFunc(usable, func(r dane.Record) bool { return r.Usage == dane.DANETA })
	ends := slices.ContainsFunc(usable, func(r dane.Record) bool { return r.Usage == dane.DANEEE })
	if anchors && !ends {
		return c.noAnchorMatch(s, usable)
	}
	recipe := dane.Recommended(dane.DANEEE)
	for _, r := range usable {
		if r.Usage == dane.DANEEE {
			recipe = dane.Recipe{Usage: r.Usage, Selector: r.Selector, MatchingType: r.MatchingType}
			if r.MatchingType == dane.Full {
				recipe.MatchingType = dane.SHA2_256
			}
			break
		}
	}
	it := c.key + "key"
	if recipe.Selector == dane.Cert {
		it = c.key + "certificate"
	}
	var published []string
	for _, r := range usable {
		published = append(published, short(r))
	}
	now, ok := tlsaNow(s, recipe)
	shows := fmt.Sprintf("%s shows another", c.host)
	switch {
	case len(s.Chain) == 0 && len(s.RawKey) == 0:
		shows = fmt.Sprintf("%s shows no certificate", c.host)
	case s.Unread != "":
		shows = fmt.Sprintf("the %s that is shown could not be compared (%s)", it, clip(s.Unread))
	case ok:
		shows = fmt.Sprintf("the one shown is %s", record(now))
	}
	t.cause = sentences(fmt.Sprintf("The %s that %s shows matches none of the TLSA records at %s (published: %s; %s).", it, c.host, owner, list(published), shows), strings.TrimSpace(c.alias()), tooMany(set))
	if s.Pair != nil && ok {
		t.owner = []Cure{c.recordsOfPair(s, recipe, now, usable)}
	} else if ok {
		stale := "the published records"
		if len(usable) == 1 {
			stale = "the published record"
		}
		t.owner = []Cure{cure(c.tlsaBy(fmt.Sprintf("Run %s on %s and compare with the line below. The same: the TLSA record is stale, replace %s by this line (the next time, publish the record of a new key first and wait for the TTL). Not the same: another server answers in its place; publish nothing, and find out who that is.", compareCommand(recipe), c.host, stale)),
			fmt.Sprintf("%s. IN TLSA %s", owner, now))}
	} else {
		t.owner = []Cure{cure(c.tlsaBy(fmt.Sprintf("Publish at %s the record of the key that the server uses: `mxauth tlsa make %s`.", owner, c.host)))}
	}
	t.hints = append(t.hints, HintException)
	return t
}

// compareCommand prints the digest of the key in a certificate file.
func compareCommand(r dane.Recipe) string {
	sum := "sha256sum"
	if r.MatchingType == dane.SHA2_512 {
		sum = "sha512sum"
	}
	if r.Selector == dane.Cert {
		return "`openssl x509 -in cert.pem -outform DER | " + sum + "`"
	}
	return "`openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform DER | " + sum + "`"
}

// short is a record with the beginning of its data.
func short(r dane.Record) string { return record(r) }

// noAnchorMatch is a chain without the authority that TLSA records of usage 2 name.
func (c reasonView) noAnchorMatch(s *reason.Shown, usable []dane.Record) (t statement) {
	owner := c.owner()
	var published []string
	for _, r := range usable {
		published = append(published, short(r))
	}
	c0 := leaf(s.Chain)
	switch {
	case c0 == nil:
		t.cause = fmt.Sprintf("%s shows no certificate, and the TLSA record at %s (%s) names a CA.", c.host, owner, list(published))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Let %s show a certificate of that CA, with the certificate of the CA.", c.host)))}
	case len(s.Chain) == 1 && !selfSigned(c0):
		t.cause = fmt.Sprintf("%s sends only its own certificate, without that of the issuer (%s): the CA certificate that the TLSA record at %s (%s) names is not among what it sends.", c.host, quoted(issuer(c0)), owner, list(published))
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Let %s send the certificate of the CA with its own, also if it is a root (Postfix: append it to the file in `smtpd_tls_chain_files`). If the certificate comes from another CA than that of the record, publish the record of the new CA, with usage 2: `mxauth tlsa make` prints it from the file of the certificates.", c.host)))}
	default:
		top := s.Chain[len(s.Chain)-1]
		t.cause = fmt.Sprintf("None of the certificates that %s sends is that of the CA which the TLSA record at %s (%s) names: the last one sent is %s, issued by %s.", c.host, owner, list(published), quoted(subject(top)), quoted(issuer(top)))
		text := fmt.Sprintf("If the CA of the record has issued the certificate, let %s send the certificate of that CA as well (Postfix: append it to the file in `smtpd_tls_chain_files`).", c.host)
		if ca, err := dane.Generate(dane.Recommended(dane.DANETA), top); err == nil && top.IsCA {
			t.owner = []Cure{cure(c.tlsaBy(text+fmt.Sprintf(" If the certificate now comes from %s on purpose, publish the record of that CA:", quoted(subject(top)))), fmt.Sprintf("%s. IN TLSA %s", owner, ca))}
		} else {
			t.owner = []Cure{cure(c.hostBy(text))}
		}
	}
	t.cause = sentences(t.cause, strings.TrimSpace(c.alias()))
	t.hints = append(t.hints, HintException)
	return t
}

// halfDANE is a match of a host found by an unsigned MX record.
func (c reasonView) halfDANE() (t statement) {
	t.cause = sentences(fmt.Sprintf("%s proves itself by its TLSA records (at %s), but %s: so it is not proven that mail of %s belongs there.", c.host, c.owner(), unsignedMX(c.p, c.h), c.domain))
	s := stsOf(c.p, c.h)
	if s.there {
		t.cause = sentences(t.cause, sentence(s.clause))
	}
	t.owner = append(t.owner, signMX(c.p)...)
	if s.there {
		t.owner = append(t.owner, c.policyCures(nil, certFault{})...)
	} else if s.known {
		t.owner = append(t.owner, cure(fmt.Sprintf("Or publish an MTA-STS policy that lists %s (`mxauth lint %s` writes it).", c.host, c.domain)))
	}
	return t
}

// daneName is a certificate of the right CA and another name.
func (c reasonView) daneName(s *reason.Shown) (t statement) {
	why := commonName(s.CommonName)
	t.cause = fmt.Sprintf("The %scertificate of %s is from the CA that its TLSA records at %s name, but it is for %s%s; one of these names is needed: %s.", c.key, c.host, c.owner(), presented(s.Presented), why, list(texts(s.References)))
	if c.p != nil && c.p.MX.Status != dnssec.Secure && c.p.Orig.IsValid() && slices.Contains(s.Presented, c.domain) {
		t.cause = sentences(t.cause, fmt.Sprintf("The name %s does not count here: %s, so anybody could have put %s in its place.", c.domain, unsignedMX(c.p, c.h), c.host))
	}
	t.cause = sentences(t.cause, strings.TrimSpace(c.alias()))
	want := c.host
	if len(s.References) > 0 {
		want = s.References[0].String()
	}
	text := fmt.Sprintf("Give %s %scertificate whose subjectAltName has the name %s", c.host, c.a(), want)
	if now, ok := tlsaNow(s, dane.Recommended(dane.DANEEE)); ok && s.Pair != nil {
		t.owner = []Cure{cure(c.hostBy(text+"; or publish a record of that key as well, with which no name is needed (compare it with the key on the server first):"), fmt.Sprintf("%s. IN TLSA %s", c.owner(), now))}
	} else if ok {
		t.owner = []Cure{cure(c.hostBy(text+"; or publish a record of the server's own key in place of that of the CA, with which no name is needed (compare it with the key on the server first):"), fmt.Sprintf("%s. IN TLSA %s", c.owner(), now))}
	} else {
		t.owner = []Cure{cure(c.hostBy(text + "."))}
	}
	return t
}

// daneChain is a path to a CA of the TLSA records that is not valid.
func (c reasonView) daneChain(s *reason.Shown, f certFault) (t statement) {
	if weak := (*pkix.KeyError)(nil); errors.Is(s.Err, dane.ErrKey) && errors.As(s.Err, &weak) {
		t.cause = fmt.Sprintf("The %skey of %s matches its TLSA record at %s, and proves nothing, because it is %s.", c.key, c.host, c.owner(), weak)
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Give %s an ECDSA P-256 key or an RSA key of at least 2048 bits; publish its TLSA record first.", c.host)))}
		return t
	}
	t.cause = sentences(sentence(f.of(c.host)), fmt.Sprintf("The TLSA records at %s name a CA, so the chain to that CA has to be valid.", c.owner()))
	t.owner = []Cure{cure(c.hostBy(c.chainCure(f, false)))}
	if f.trouble == certIssuerOld && c.h != nil && slices.ContainsFunc(c.h.DANE.Set.Usable(), func(r dane.Record) bool { return r.Usage == dane.DANETA && r.Selector == dane.SPKI }) {
		// Doubt D8 of the decision table: OpenSSL looks at no date of an anchor that is a key.
		t.cause = sentences(t.cause, "Senders that use OpenSSL (Postfix) still accept it, because the TLSA record names only the key of the CA.")
	}
	return t
}
