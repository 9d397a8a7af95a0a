package peers

import (
	"testing"

	"github.com/mxauth/mxauth/conformance/generate"
)

// Plainly are lines for [Resolver].Extra that let an Unbound look at each answer by
// itself, in place of making answers from what it has seen before.
const Plainly = `  qname-minimisation: no
  aggressive-nsec: no
  neg-cache-size: 0
  harden-below-nxdomain: no
  val-sig-skew-min: 0
  val-sig-skew-max: 0
  incoming-num-tcp: 64
`

// StartWorld serves a generated world at port 53 of its address until the test ends.
func StartWorld(tb testing.TB, w *generate.World) {
	tb.Helper()
	_, stop, err := w.Serve(generate.ServerAddress + ":53")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Error(err)
		}
	})
}
