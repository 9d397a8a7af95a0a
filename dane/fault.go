package dane

import (
	"fmt"
	"slices"
)

// A Fault says why a TLSA record is not usable, or why one that is does not authenticate
// the peer. The zero Fault is none. Package engine/explain has the sentence of each.
type Fault uint8

// Faults.
const (
	NoFault Fault = iota

	// Of a record that is not usable.
	FaultMalformed       // no TLSA record: RecordUse.Octets long, shorter than its three numbers
	FaultTooMany         // beyond MaxRecords
	FaultPKIXUsage       // usage 0 or 1 (RFC 7672 section 3.1.3)
	FaultUnknownUsage    // the number has no meaning
	FaultUnknownSelector // the number has no meaning
	FaultUnknownMatching // the number has no meaning
	FaultLength          // the data is longer or shorter than the digest
	FaultDigestOff       // UsePolicy.Strength does not list the digest
	FaultNotCert         // the data should be a certificate
	FaultNotKey          // the data should be a SubjectPublicKeyInfo
	FaultForbidden       // UsePolicy.Forbid gave RecordUse.Local
	FaultOutranked       // RecordUse.Stronger is present (RFC 7671 section 9)

	// Of a usable record that does not authenticate the peer.
	FaultNoMatch    // DANE-EE: not the certificate or key that was presented
	FaultNoKeyMatch // DANE-EE: not the bare key that was presented
	FaultNoCert     // the peer presented nothing that could be read
	FaultBareKey    // needs a certificate, and the peer presented a bare key
	FaultNotTried   // another record authenticates the peer
	FaultNotInChain // DANE-TA: no certificate of the chain
	FaultKeySigned  // DANE-TA: no certificate of the chain, and the key in DNS signed none
	FaultNoPath     // DANE-TA: no certificate of the chain, and no path leads to the one in DNS
	FaultLeaf       // DANE-TA: the peer's own certificate, which is not self-signed
	FaultOffPath    // DANE-TA: a certificate at which the path does not end
	FaultName       // ErrName
	FaultPath       // ErrPath; RecordResult.Err has the failure
	FaultKey        // ErrKey; RecordResult.Err has the failure
)

var faultWords = [...]string{"", "malformed", "too-many", "pkix-usage", "unknown-usage", "unknown-selector", "unknown-matching-type",
	"length", "digest-off", "not-certificate", "not-key", "forbidden", "outranked",
	"no-match", "no-key-match", "no-certificate", "bare-key", "not-tried", "not-in-chain", "key-signed-none", "no-path", "leaf", "off-path",
	"name", "path", "key"}

// String returns the word of the fault: "unknown-usage"; "" for NoFault.
func (f Fault) String() string {
	if int(f) < len(faultWords) {
		return faultWords[f]
	}
	return "invalid"
}

// MarshalText prints f as [Fault.String] does.
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what [Fault.MarshalText] prints. Errors wrap [ErrRecord].
func (f *Fault) UnmarshalText(b []byte) error {
	i := slices.Index(faultWords[:], string(b))
	if i < 0 {
		return fmt.Errorf("%w: no such fault: %.40q", ErrRecord, b)
	}
	*f = Fault(i)
	return nil
}
