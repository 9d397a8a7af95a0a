package probe

import (
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/rfc6125"
)

// Inner doors.
var Median = median

// FirstTXT reads what a server says of itself.
func FirstTXT(msg []byte, n rfc6125.Name) string { return firstTXT(msg, n) }

// Covers looks for a signature over a type.
func Covers(rrs []wire.RR, t dnssec.Type) bool { return covers(rrs, t) }
