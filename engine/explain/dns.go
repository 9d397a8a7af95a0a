package explain

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
)

// What DNS came to, in clauses: why an answer counts as unsigned, and why a lookup failed.

// day is a date as sentences have it.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// moment is a time as sentences have it, where the hour may matter.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// zoneOf is the zone that has to be put right, as far as it is known.
func zoneOf(r dnssec.Reason) string {
	switch {
	case r.Zone.IsRoot():
		return "the root zone"
	case r.Zone.IsValid():
		return "the zone " + r.Zone.String()
	case r.Name.IsValid():
		return "the zone of " + r.Name.String()
	}
	return "the zone"
}

// parentOf is the zone above one, as far as it is known.
func parentOf(r dnssec.Reason) string {
	switch {
	case r.Zone.IsRoot():
		return "the root zone"
	case r.Zone.IsValid() && r.Zone != r.Name:
		return r.Zone.String()
	case r.Name.IsValid() && !r.Name.IsRoot() && !r.Name.Parent().IsRoot():
		return r.Name.Parent().String()
	}
	return "its parent zone"
}

// bareParent is parentOf for brackets: "no DS record in org".
func bareParent(r dnssec.Reason) string { return strings.TrimPrefix(parentOf(r), "the ") }

// unsigned is the clause that says why an answer counts as unsigned: "the zone example.org
// is not signed (no DS record in org)".
func unsigned(r dnssec.Reason) string {
	switch r.Code {
	case dnssec.ReasonUnsignedDelegation:
		return fmt.Sprintf("the zone %s is not signed (no DS record in %s)", r.Name, bareParent(r))
	case dnssec.ReasonUnsupportedAlgorithm:
		if r.EDE == dnssec.EDEUnsupportedDigest {
			return fmt.Sprintf("the DS record of the zone %s has digest type %d, which is not supported", r.Name, r.Number)
		}
		return fmt.Sprintf("the zone %s is signed with algorithm %d only, which is not supported", r.Name, r.Number)
	case dnssec.ReasonNSEC3Iterations:
		return iterations(r) + ", so its answers about names that do not exist prove nothing"
	case dnssec.ReasonOptOut:
		return fmt.Sprintf("the zone of %s is not signed as far as %s says (no DS record there; NSEC3 opt-out)", r.Name, zoneOf(r))
	case dnssec.ReasonADClear:
		return "the resolver does not confirm that it has validated the answer (no AD bit)"
	case dnssec.ReasonNoAnchor:
		return "this machine has no trust anchor that covers " + r.Name.String()
	case dnssec.ReasonNegativeAnchor:
		return "a negative trust anchor of this machine covers " + r.Name.String()
	case "":
		return "the answer is not signed"
	}
	return clip(r.String())
}

// iterations says what is wrong with the NSEC3 records of a zone.
func iterations(r dnssec.Reason) string {
	if r.Number == 0 {
		return fmt.Sprintf("%s uses more NSEC3 iterations than the resolver checks", zoneOf(r))
	}
	return fmt.Sprintf("%s uses NSEC3 with %d iterations, and no more than %d are checked", zoneOf(r), r.Number, r.Limit)
}

// lookupOf returns the evidence of a failed lookup; nil if there is none.
func lookupOf(err error) *dnssec.LookupError {
	var le *dnssec.LookupError
	if errors.As(err, &le) {
		return le
	}
	return nil
}

// failedLookup is the clause that says why a lookup failed. what is what was looked for,
// with its article: "the TLSA records of mx.example.org".
func failedLookup(err error, what string) string {
	text := whyFailed(err, what)
	if le := lookupOf(err); le != nil {
		for _, x := range le.EDE {
			text += fmt.Sprintf("; the resolver adds extended error %d", x.Code)
			if x.Text != "" {
				text += fmt.Sprintf(" (%s)", quoted(x.Text))
			}
		}
	}
	return text
}

func whyFailed(err error, what string) string {
	le := lookupOf(err)
	if le == nil {
		return fmt.Sprintf("the lookup of %s failed (%s)", what, clip(err.Error()))
	}
	r := le.Reason
	switch {
	case errors.Is(le.Kind, dnssec.ErrBogus):
		return bogus(r, what)
	case errors.Is(le.Kind, dnssec.ErrBudget):
		return fmt.Sprintf("%s could not be looked up: %s", what, limit(err))
	case dnssec.IsShortage(err):
		return fmt.Sprintf("the lookup of %s was not made, because of a limit of this program (%s)", what, clip(lookup(err)))
	case r.Code == dnssec.ReasonNSEC3Iterations:
		return fmt.Sprintf("%s; so its proof that there are no %s is not checked and not accepted", iterations(r), bare(what))
	case errors.Is(le.Kind, dnssec.ErrIndeterminate):
		return indeterminate(le, what)
	case errors.Is(le.Kind, dnssec.ErrServFail):
		return fmt.Sprintf("the question for %s is answered with SERVFAIL: their name servers fail or cannot be reached", what)
	case errors.Is(le.Kind, dnssec.ErrTimeout):
		return fmt.Sprintf("the question for %s got no answer in time%s", what, server(le))
	case errors.Is(le.Kind, dnssec.ErrUnreachable):
		return fmt.Sprintf("the resolver of this machine%s cannot be reached, so %s could not be looked up", reached(le), what)
	case errors.Is(le.Kind, dnssec.ErrRefused):
		return fmt.Sprintf("the resolver of this machine%s does not answer the question for %s: %s", at(le), what, refusal(r))
	case errors.Is(le.Kind, dnssec.ErrMalformed):
		return fmt.Sprintf("the answer to the question for %s cannot be read: %s", what, clip(malformed(r)))
	case errors.Is(le.Kind, dnssec.ErrAliasLoop):
		if r.Code == dnssec.ReasonAliasLimit {
			return fmt.Sprintf("%s is the start of a chain of more than %d aliases (CNAME)", le.Question.Name, dnssec.MaxAliases)
		}
		return fmt.Sprintf("the aliases (CNAME) from %s lead back to %s, a loop", le.Question.Name, r.Name)
	}
	return fmt.Sprintf("the lookup of %s failed (%s)", what, clip(lookup(err)))
}

// malformed is what is wrong with an answer, "" if that is not known.
func malformed(r dnssec.Reason) string {
	if s := r.String(); s != "" && s != string(r.Code) {
		return s
	}
	return "the message is malformed"
}

// refusal is how the resolver refuses.
func refusal(r dnssec.Reason) string {
	switch r.Code {
	case dnssec.ReasonReferral:
		return "it is a name server of zones and does not resolve other names"
	case dnssec.ReasonFormErr:
		return "it does not understand EDNS, which DNSSEC needs"
	case dnssec.ReasonRefused, "":
		return "it answers REFUSED"
	}
	return clip(r.String())
}

func at(le *dnssec.LookupError) string {
	if le.Server == "" {
		return ""
	}
	return " (" + clip(le.Server) + ")"
}

// reached is at for a resolver that cannot be reached, with what the network says.
func reached(le *dnssec.LookupError) string {
	if le.Cause == nil {
		return at(le)
	}
	where := ""
	if t := interface{ Tried() string }(nil); errors.As(le.Cause, &t) {
		where = clip(t.Tried())
	}
	network := networkFault(le.Cause)
	switch {
	case where != "" && network != "":
		return " (" + where + ", " + network + ")"
	case network != "":
		return " (" + network + ")"
	}
	return " (" + clip(le.Cause.Error()) + ")"
}

// networkFault is what the operating system says of a connection that fails; "" if err
// holds nothing of that kind.
func networkFault(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "no route"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	}
	return ""
}

func server(le *dnssec.LookupError) string {
	if le.Server == "" {
		return ""
	}
	return " from the resolver " + clip(le.Server)
}

// bare is what without its article.
func bare(what string) string { return strings.TrimPrefix(what, "the ") }

// records is what is left of a name and a type for sentences about one RRset.
func records(r dnssec.Reason, what string) string {
	if !r.Name.IsValid() || r.Type == 0 {
		return what
	}
	switch r.Type {
	case dnssec.TypeDNSKEY:
		return "the keys (DNSKEY) of " + zoneOf(r)
	case dnssec.TypeDS:
		return "the DS record of " + r.Name.String()
	case dnssec.TypeCNAME, dnssec.TypeDNAME:
		return fmt.Sprintf("the alias (%s) at %s", r.Type, r.Name)
	}
	return what
}

// bogus is the clause for an answer that DNSSEC validation rejects.
func bogus(r dnssec.Reason, what string) string {
	it := records(r, what)
	if r.Denial && r.Type != dnssec.TypeDS {
		it = fmt.Sprintf("the NSEC or NSEC3 record that says there are no %s", bare(what))
	}
	if r.Denial && r.Type == dnssec.TypeDS {
		it = "the NSEC or NSEC3 record that says there is no DS record of " + r.Name.String()
	}
	when := time.Unix(r.At, 0)
	switch r.Code {
	case dnssec.ReasonSignatureMissing:
		return fmt.Sprintf("%s come without a signature (RRSIG), and %s is signed", it, zoneOf(r))
	case dnssec.ReasonSignatureInvalid:
		return fmt.Sprintf("a signature (RRSIG) does not verify: that of %s", it)
	case dnssec.ReasonSignatureExpired:
		if r.At == 0 {
			return fmt.Sprintf("a signature (RRSIG) has expired: that of %s", it)
		}
		return fmt.Sprintf("a signature (RRSIG) expired on %s: that of %s", moment(when), it)
	case dnssec.ReasonSignatureNotYetValid:
		if r.At == 0 {
			return fmt.Sprintf("a signature (RRSIG) is not valid yet: that of %s", it)
		}
		return fmt.Sprintf("a signature (RRSIG) is not valid before %s: that of %s", moment(when), it)
	case dnssec.ReasonSignatureAlgorithm:
		return fmt.Sprintf("%s are signed with an algorithm that is not supported, and the DS record of %s names another", it, zoneOf(r))
	case dnssec.ReasonSignatureKey:
		return fmt.Sprintf("the signature (RRSIG) of %s was made with a key that %s does not publish (DNSKEY)", it, zoneOf(r))
	case dnssec.ReasonSignatureSigner:
		return fmt.Sprintf("the signature (RRSIG) of %s is in the name of a zone that does not hold them", it)
	case dnssec.ReasonSignatureLabels:
		return fmt.Sprintf("the signature (RRSIG) of %s is for another name", it)
	case dnssec.ReasonKeyUnusable, dnssec.ReasonKeySize:
		return fmt.Sprintf("a key (DNSKEY) of %s is malformed or of a size that is not accepted", zoneOf(r))
	case dnssec.ReasonKeysMissing:
		return fmt.Sprintf("%s has a DS record in its parent zone and publishes no keys (DNSKEY)", zoneOf(r))
	case dnssec.ReasonNoKeyForDS:
		return fmt.Sprintf("the DS record of %s in its parent zone fits none of its keys (DNSKEY)", zoneOf(r))
	case dnssec.ReasonKeyRevoked:
		return fmt.Sprintf("the key of %s that its DS record names is revoked", zoneOf(r))
	case dnssec.ReasonAnchorMismatch:
		return fmt.Sprintf("the keys of %s do not fit the trust anchor of this machine", zoneOf(r))
	case dnssec.ReasonDenialMissing:
		if r.Type == dnssec.TypeDS {
			return fmt.Sprintf("the parent zone %s answers without the DS record of %s and without the NSEC records that would prove that there is none", parentOf(r), r.Name)
		}
		return fmt.Sprintf("the name servers of %s say that there are no %s, without the NSEC or NSEC3 records that would prove it", zoneOf(r), bare(what))
	case dnssec.ReasonDenialInvalid:
		if r.Type == dnssec.TypeDS {
			return fmt.Sprintf("the NSEC or NSEC3 records with which the parent zone %s denies the DS record of %s belong to other names and prove nothing", parentOf(r), r.Name)
		}
		return fmt.Sprintf("the NSEC or NSEC3 records with which the name servers of %s deny %s belong to other names and prove nothing", zoneOf(r), what)
	case dnssec.ReasonWildcard:
		return fmt.Sprintf("%s come from a wildcard of %s, without the NSEC records that would prove that no closer name exists", it, zoneOf(r))
	case dnssec.ReasonAliasForged:
		return fmt.Sprintf("%s is not what its DNAME makes", it)
	case dnssec.ReasonUpstreamBogus:
		return fmt.Sprintf("the resolver of this machine reports that %s fail DNSSEC validation", what)
	}
	return fmt.Sprintf("%s fail DNSSEC validation", what)
}

// indeterminate is the clause for what cannot be judged.
func indeterminate(le *dnssec.LookupError, what string) string {
	switch r := le.Reason; r.Code {
	case dnssec.ReasonUpstreamStrips:
		return fmt.Sprintf("the resolver of this machine%s removes the DNSSEC signatures from its answers, so %s cannot be validated", at(le), what)
	case dnssec.ReasonUpstreamCD:
		return fmt.Sprintf("the resolver of this machine%s answers SERVFAIL for %s although it is asked not to validate, so the fault cannot be seen", at(le), what)
	case dnssec.ReasonNoUsableAnchor:
		return fmt.Sprintf("every trust anchor of this machine for %s is revoked or out of date", zoneOf(r))
	case dnssec.ReasonUpstreamUnfit:
		return fmt.Sprintf("the resolver of this machine%s says that it cannot validate %s", at(le), what)
	}
	return fmt.Sprintf("DNSSEC validation of %s was not possible", what)
}

// cure is what to do about a failed lookup: by whom, and what. zone is the zone that has to
// be put right; the zero Name where it is not the zone that is at fault.
type dnsCure struct {
	zone rfc6125.Name
	text string
}

// lookupCure is what puts a failed lookup right at its owner's end; no text: nothing does.
func lookupCure(err error) dnsCure {
	le := lookupOf(err)
	if le == nil {
		return dnsCure{}
	}
	r, q := le.Reason, le.Question
	dig := func(name rfc6125.Name, t dnssec.Type) string { return fmt.Sprintf("`dig +dnssec %s %s`", name, t) }
	again := fmt.Sprintf("Sign %s again and let all its name servers serve the same signed zone; check with %s at each of them.", zoneOf(r), dig(r.Name, r.Type))
	if !r.Name.IsValid() {
		again = "Sign the zone again and let all its name servers serve the same signed zone."
	}
	switch {
	case OwnFault(err) != NoHint:
		return dnsCure{}
	case errors.Is(le.Kind, dnssec.ErrBogus):
		switch r.Code {
		case dnssec.ReasonSignatureExpired:
			return dnsCure{r.Zone, fmt.Sprintf("Sign %s again, and let its signatures be renewed automatically before they end.", zoneOf(r))}
		case dnssec.ReasonSignatureNotYetValid:
			return dnsCure{r.Zone, fmt.Sprintf("Correct the clock of the machine that signs %s, and sign it again.", zoneOf(r))}
		case dnssec.ReasonSignatureMissing:
			return dnsCure{r.Zone, fmt.Sprintf("Sign %s again, so that each answer has its RRSIG: one of its name servers serves an unsigned or old copy, or something between removes the signatures; check with %s at each of them.", zoneOf(r), dig(r.Name, r.Type))}
		case dnssec.ReasonKeysMissing:
			return dnsCure{r.Zone, fmt.Sprintf("Sign %s again with the key that its DS record names; or, if it is no longer meant to be signed, let the registrar remove the DS record.", zoneOf(r))}
		case dnssec.ReasonNoKeyForDS, dnssec.ReasonKeyRevoked, dnssec.ReasonSignatureAlgorithm:
			return dnsCure{r.Zone, fmt.Sprintf("Give the registrar of %s the DS record of the key that signs it now (`dnssec-dsfromkey`), or remove the DS record if the zone is no longer meant to be signed.", zoneOf(r))}
		case dnssec.ReasonDenialMissing, dnssec.ReasonDenialInvalid, dnssec.ReasonWildcard:
			if r.Type == dnssec.TypeDS {
				return dnsCure{r.Zone, fmt.Sprintf("The fault is at the name servers of the parent zone %s: they must answer %s with the DS record, or with the NSEC records that prove that there is none. Report this to its operator; in the zone %s nothing has to be changed.", parentOf(r), dig(r.Name, dnssec.TypeDS), r.Name)}
			}
			return dnsCure{r.Zone, fmt.Sprintf("Sign %s again, so that its NSEC or NSEC3 chain is complete, and update the software of its name servers; check with %s at each of them.", zoneOf(r), dig(q.Name, q.Type))}
		case dnssec.ReasonUpstreamBogus:
			return dnsCure{r.Zone, fmt.Sprintf("Look at %s from outside, for example with `delv %s %s`; it names the signature or DS record that is wrong.", zoneOf(r), q.Name, q.Type)}
		}
		return dnsCure{r.Zone, again}
	case errors.Is(le.Kind, dnssec.ErrBudget):
		return dnsCure{r.Zone, fmt.Sprintf("Shorten the chains of aliases and delegations that lead to %s, and remove DNSKEY, DS and RRSIG records that are not needed.", q.Name)}
	case r.Code == dnssec.ReasonNSEC3Iterations:
		return dnsCure{r.Zone, fmt.Sprintf("Sign %s with 0 NSEC3 iterations (RFC 9276), or with NSEC.", zoneOf(r))}
	case errors.Is(le.Kind, dnssec.ErrServFail), errors.Is(le.Kind, dnssec.ErrTimeout), errors.Is(le.Kind, dnssec.ErrRefused):
		text := fmt.Sprintf("See that every name server of %s answers %s, with the records or with none.", zoneOf(r), dig(q.Name, q.Type))
		if q.Type == dnssec.TypeTLSA {
			text += " Old name servers and firewalls drop questions of a type that they do not know."
		}
		return dnsCure{r.Zone, text}
	case errors.Is(le.Kind, dnssec.ErrMalformed):
		return dnsCure{r.Zone, fmt.Sprintf("See what the name servers of %s answer to %s.", zoneOf(r), dig(q.Name, q.Type))}
	case errors.Is(le.Kind, dnssec.ErrAliasLoop):
		return dnsCure{r.Zone, fmt.Sprintf("Point the CNAME at %s to a name that has the records.", q.Name)}
	}
	return dnsCure{}
}

// unsignedCure is what makes answers of a zone count as signed; no text: nothing does there.
func unsignedCure(r dnssec.Reason) dnsCure {
	switch r.Code {
	case dnssec.ReasonUnsignedDelegation:
		name := r.Name
		if name.IsRoot() || name.NumLabels() == 1 {
			return dnsCure{} // the owners of zones below cannot correct it
		}
		return dnsCure{name, fmt.Sprintf("sign the zone %s, unless it is signed already, and give its DS record to the parent zone %s (through the registrar)", name, bareParent(r))}
	case dnssec.ReasonUnsupportedAlgorithm:
		if r.EDE == dnssec.EDEUnsupportedDigest {
			return dnsCure{r.Name, fmt.Sprintf("give the parent zone a DS record of %s with digest type 2 (SHA-256), as `dnssec-dsfromkey -2` makes it", r.Name)}
		}
		return dnsCure{r.Name, fmt.Sprintf("sign the zone %s with algorithm 13 (ECDSA P-256) or 8 (RSA/SHA-256), and give the new DS record to the parent zone", r.Name)}
	case dnssec.ReasonNSEC3Iterations:
		return dnsCure{r.Zone, fmt.Sprintf("sign %s with 0 NSEC3 iterations (RFC 9276), or with NSEC", zoneOf(r))}
	case dnssec.ReasonOptOut:
		if r.Zone.IsValid() && registry(r.Zone.String()) {
			return dnsCure{r.Name, fmt.Sprintf("sign the zone of %s, and give its DS record to the parent zone %s (through the registrar)", r.Name, bareParent(r))}
		}
		return dnsCure{r.Zone, fmt.Sprintf("sign %s without NSEC3 opt-out", zoneOf(r))}
	}
	return dnsCure{}
}
