package explain

import (
	"fmt"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/internal/text"
)

// maxRecordFault is how many octets of the failure of a path a line about its record shows.
const maxRecordFault = 300

// RecordUse says in a clause why a TLSA record is not usable, with the RFC section where
// there is one; "" if it is usable. It may have text of DNS and is not escaped.
func RecordUse(u dane.RecordUse) string {
	r := u.Record
	switch u.Fault {
	case dane.NoFault:
		return ""
	case dane.FaultMalformed:
		return fmt.Sprintf("not a TLSA record: RDATA of %d octets, shorter than its three numbers", u.Octets)
	case dane.FaultTooMany:
		return fmt.Sprintf("more than %d records", dane.MaxRecords)
	case dane.FaultPKIXUsage:
		return fmt.Sprintf("usage %s is not used for SMTP (RFC 7672 section 3.1.3)", r.Usage)
	case dane.FaultUnknownUsage:
		return fmt.Sprintf("unknown usage %d", r.Usage)
	case dane.FaultUnknownSelector:
		return fmt.Sprintf("unknown selector %d", r.Selector)
	case dane.FaultUnknownMatching:
		return fmt.Sprintf("unknown matching type %d", r.MatchingType)
	case dane.FaultLength:
		return fmt.Sprintf("%s data of %d octets, not %d", r.MatchingType, len(r.Data), r.MatchingType.Size())
	case dane.FaultDigestOff:
		return fmt.Sprintf("digest %s is switched off by local policy", r.MatchingType)
	case dane.FaultNotCert:
		return "Full data is not a certificate"
	case dane.FaultNotKey:
		return "Full data is not a SubjectPublicKeyInfo"
	case dane.FaultForbidden:
		return "forbidden by local policy: " + u.Local
	case dane.FaultOutranked:
		return fmt.Sprintf("a record with the stronger digest %s is present (RFC 7671 section 9)", u.Stronger)
	}
	return u.Fault.String()
}

// RecordResult says in a clause why a TLSA record of set does not authenticate the peer; ""
// if it does. i is the index of the record in the set and in the trace of its verification.
// The clause may have text of DNS or of the peer and is not escaped.
func RecordResult(set dane.Set, i int, t dane.RecordResult) string {
	switch t.Fault {
	case dane.NoFault:
		return ""
	case dane.FaultNoMatch:
		return "does not match what the server presented"
	case dane.FaultNoKeyMatch:
		return "does not match the key that the server presented"
	case dane.FaultNoCert:
		return "the server presented no certificate"
	case dane.FaultBareKey:
		return "needs a certificate; the server presented a bare key"
	case dane.FaultNotTried:
		return "not tried: another record authenticates the server"
	case dane.FaultNotInChain:
		return "matches no certificate of the chain"
	case dane.FaultKeySigned:
		return "matches no certificate of the chain, and its key signed none"
	case dane.FaultNoPath:
		return "matches no certificate of the chain, and no path leads to the one in DNS"
	case dane.FaultLeaf:
		return "matches the server's own certificate, which is not self-signed and so no authority"
	case dane.FaultOffPath:
		return "matches a certificate at which the path does not end"
	case dane.FaultName:
		return "the name is wrong"
	case dane.FaultPath:
		return text.Cut(last(t.Err).Error(), maxRecordFault)
	case dane.FaultKey:
		return "matches, and the key is not accepted: " + last(t.Err).Error()
	}
	if uses := set.Uses(); i < len(uses) {
		return RecordUse(uses[i])
	}
	return t.Fault.String()
}

// last returns the last error that err wraps with others: its most specific cause.
func last(err error) error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		all := several.Unwrap()
		return all[len(all)-1]
	}
	return err
}
