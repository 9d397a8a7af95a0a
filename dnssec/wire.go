package dnssec

import (
	"encoding/binary"
	"time"

	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/internal/text"
)

// recordOf makes the record that a user of this package sees.
func recordOf(rr wire.RR) Record { return Record{Type: Type(rr.Type), TTL: rr.TTL, Data: rr.Data} }

// extendedErrors makes what an upstream said (RFC 8914) fit for a terminal:
// control characters and non-ASCII octets escaped, the text cut.
func extendedErrors(in []wire.ExtendedError) []ExtendedError {
	var out []ExtendedError
	for _, e := range in {
		out = append(out, ExtendedError{Code: e.Code, Text: text.ASCII(e.Text, maxEDEText)})
	}
	return out
}

// positiveTTL is the lifetime of data: its smallest TTL, at most [MaxTTL].
func positiveTTL(seconds uint32) time.Duration {
	return min(time.Duration(seconds)*time.Second, MaxTTL)
}

// minSOA is the length of the shortest RDATA of a SOA record: two names that are the
// root's, and five numbers (RFC 1035 section 3.3.13).
const minSOA = 1 + 1 + 5*4

// negativeTTL is the lifetime of a denial by the SOA records that came with it: the
// smaller of their TTL and last field (RFC 2308 section 5), at most [MaxNegativeTTL].
// Without a SOA record it is 0: such an answer is not kept.
func negativeTTL(soas []wire.RR) time.Duration {
	ttl, found := MaxNegativeTTL, false
	for _, rr := range soas {
		if len(rr.Data) < minSOA {
			continue
		}
		minimum := binary.BigEndian.Uint32(rr.Data[len(rr.Data)-4:])
		// DNS2308-5-01: RFC 2308 section 5
		ttl, found = min(ttl, time.Duration(min(rr.TTL, minimum))*time.Second), true
	}
	if !found {
		return 0
	}
	return ttl
}

const (
	// maxEDEText bounds the text of one extended error that is shown: a line.
	maxEDEText = 160
)
