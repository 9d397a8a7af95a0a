package conformance

import (
	"github.com/mxauth/mxauth/conformance/replay"
	"github.com/mxauth/mxauth/conformance/sets/chains"
	"github.com/mxauth/mxauth/conformance/sets/deliveries"
	"github.com/mxauth/mxauth/conformance/sets/names"
	"github.com/mxauth/mxauth/conformance/sets/policies"
	"github.com/mxauth/mxauth/conformance/sets/reports"
	"github.com/mxauth/mxauth/conformance/sets/tlsa"
)

// Sets lists the sets that can be read, in the order in which they are run.
func Sets() []Set {
	return []Set{
		{"rfc6125", names.Hostmatch},
		{"idna", names.IDNA},
		{"mta-sts", policies.MTASTS},
		{"limbo", chains.Limbo},
		{"bettertls", chains.BetterTLS},
		{"danetest", tlsa.Danetest},
		{"tlsa-wild", tlsa.Wild},
		{"smtp-dane", deliveries.SMTPDANE},
		{"tlsrpt", reports.TLSRPT},
		{"dnssec/rfc", replay.Facts},
		{"dnssec/unbound-unit", replay.Units},
		{"dnssec/dnsjava", replay.Recordings},
		{"dnssec/deckard", replay.Scenarios},
		{"dnssec/unbound", replay.Scenarios},
	}
}
