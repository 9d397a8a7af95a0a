package dane

import (
	"time"
)

// Limits and defaults.
const (
	// DefaultPort is the port of SMTP between servers, and of the TLSA owner name if
	// [DiscoverOptions] names none.
	DefaultPort = 25
	// MaxMaterial bounds the octets of a file that [ReadMaterial] reads: a chain of ten
	// certificates has 20 kB.
	MaxMaterial = 1 << 20
	// MaxRecords bounds the records of one RRset that can be usable. Real sets have two
	// to ten; 64 KiB of DNS message could bring some 1,700, each of which costs work for
	// every certificate of a chain. A record beyond the limit is not usable, so a set
	// that exceeds it can refuse a peer and never let one pass.
	MaxRecords = 128
	// UnknownTTL is taken for the TTL of records whose zone is not known to have a smaller one:
	// an answer without a signature shows only what is left of it in a cache. Few zones have
	// more than a day.
	UnknownTTL = 24 * time.Hour
)
