package dane

import "github.com/mxauth/mxauth/dnssec"

// MaxChain is maxChain.
const MaxChain = maxChain

// NewSetFromDNS is setFromDNS.
func NewSetFromDNS(records []dnssec.Record, p UsePolicy) Set { return setFromDNS(records, p) }

// RecordFromWire is recordFromWire.
func RecordFromWire(b []byte) (Record, error) { return recordFromWire(b) }
