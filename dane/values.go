package dane

import (
	"crypto/sha256"
	"crypto/sha512"
)

// Values are the values that records are compared with: a certificate and its key, whole and as
// digests, each digest made at most once and only when a record asks for it. They
// live on the stack: matching a record allocates nothing.
type values struct {
	raw, spki []byte // DER; raw is nil for a bare key
	have      uint8  // bit of a kind: its digest is made
	sum256    [2][sha256.Size]byte
	sum512    [2][sha512.Size]byte
}

// match compares exactly (RFC 6698 sections 2.1.2 and 2.1.3). Time that depends on
// the data gives nothing away: all of it is public.
func (v *values) match(p *preparedRecord) bool {
	der, sel := v.raw, Cert
	if p.kind >= uint8(SPKI)*3 {
		der, sel = v.spki, SPKI
	}
	if der == nil {
		return false
	}
	made := v.have&(1<<p.kind) != 0
	v.have |= 1 << p.kind
	switch MatchingType(p.kind % 3) {
	case Full:
		return string(der) == p.record.Data
	case SHA2_256:
		if !made {
			v.sum256[sel] = sha256.Sum256(der)
		}
		return string(v.sum256[sel][:]) == p.record.Data
	default:
		if !made {
			v.sum512[sel] = sha512.Sum512(der)
		}
		return string(v.sum512[sel][:]) == p.record.Data
	}
}
