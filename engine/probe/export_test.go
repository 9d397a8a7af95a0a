package probe

import "io"

// FullName is fullName.
func FullName(short string, hosts io.Reader) string { return fullName(short, hosts) }

// The limits of a plan and of an address.
const (
	MaxPerPlan    = maxPerPlan
	MaxPerAddress = maxPerAddress
)

// Possession is possession.
var Possession = possession
