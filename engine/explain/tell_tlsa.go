package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
)

// tlsaUnusable is a TLSA RRset of which no record can be used for mail.
func (c reading) tlsaUnusable(s *engine.Shown) (t told) {
	set := dane.Set{}
	if c.h != nil {
		set = c.h.DANE.Set
	}
	if len(set.Usable()) > 0 { // the option insecure-mx = encrypt
		return told{cause: fmt.Sprintf("%s, and this check then asks %s for no more than TLS, although it has TLSA records (at %s).", capital(unsignedMX(c.p, c.h)), c.host, c.owner()), owner: signMX(c.p)}
	}
	t.cause = sentences(fmt.Sprintf("None of the TLSA records of %s (at %s) can be used for mail: %s.%s So TLS is required, and who the server is cannot be checked.", c.host, c.owner(), unusable(set), c.alias()), tooMany(set))
	if c.h != nil && stsOf(c.p, c.h).there {
		t.cause = sentences(t.cause, sentence(stsOf(c.p, c.h).clause))
	}
	t.owner = []Cure{c.replace(s, fmt.Sprintf("Replace the TLSA records at %s by this one, which is made from the key that %s shows now", c.owner(), c.host), dane.Recommended(dane.DANEEE), true)}
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
func (c reading) replace(s *engine.Shown, text string, r dane.Recipe, tlsa bool) Cure {
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
	return cure(by(text+" (compare it with the key on the server before you publish it):"), fmt.Sprintf("%s. IN TLSA %s", c.owner(), rec))
}

// matching is the record of the set that the presented certificate or key matches although
// it does not count, because a stronger digest is there; ok is false if there is none.
func (c reading) outranked(s *engine.Shown) (weak, strong dane.Record, ok bool) {
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
func (c reading) noMatch(s *engine.Shown) (t told) {
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
	it := "key"
	if recipe.Selector == dane.Cert {
		it = "certificate"
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
	case s.Fault != "":
		shows = fmt.Sprintf("the %s that is shown could not be compared (%s)", it, clip(s.Fault))
	case ok:
		shows = fmt.Sprintf("the one shown is %s", record(now))
	}
	t.cause = sentences(fmt.Sprintf("The %s that %s shows matches none of the TLSA records at %s (published: %s; %s).", it, c.host, owner, list(published), shows), strings.TrimSpace(c.alias()), tooMany(set))
	if ok {
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
func (c reading) noAnchorMatch(s *engine.Shown, usable []dane.Record) (t told) {
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
		t.owner = []Cure{cure(c.hostBy(fmt.Sprintf("Let %s send the certificate of the CA with its own, also if it is a root (Postfix: append it to the file in `smtpd_tls_chain_files`). If the certificate comes from another CA than that of the record, publish the record of the new CA: `mxauth tlsa make --usage 2 CHAIN.pem`.", c.host)))}
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

// shown is what was made of a certificate.
func (c reading) shown(s *engine.Shown) (t told, ok bool) {
	f := judgeChain(s)
	switch c.r.ID {
	case engine.ReasonDANENoMatch:
		return c.noMatch(s), true
	case engine.ReasonEncryptedTLSA:
		return c.tlsaUnusable(s), true
	case engine.ReasonDANEName:
		return c.daneName(s), true
	case engine.ReasonDANEExpired, engine.ReasonDANEUntrusted:
		return c.daneChain(s, f), true
	case engine.ReasonSTSName, engine.ReasonSTSExpired, engine.ReasonSTSUntrusted:
		return c.stsChain(s, f), true
	case engine.ReasonPKIXName, engine.ReasonPKIXExpired, engine.ReasonPKIXUntrusted:
		return c.pkixChain(s, f), true
	case engine.ReasonHalfDANEMatch:
		return c.halfDANE(), true
	case engine.ReasonEncryptedName, engine.ReasonEncryptedCA, engine.ReasonEncryptedUnproved:
		if c.h != nil && c.h.Ground == engine.GroundNoPolicy {
			return c.encrypted(s, f), true
		}
		return told{cause: fmt.Sprintf("The connection to %s is encrypted, and who the server is was not checked.", c.host)}, true
	}
	return told{}, false
}
