package evidence_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/pkix"
)

// TestOddCertificates: a file can hold any certificate that a peer can present, and
// none that is no certificate.
func TestOddCertificates(t *testing.T) {
	ca := certtest.NewCA()
	var kinds []certtest.Kind
	w := lab.World{Name: "odd", Domain: "odd.test", Hosts: []lab.Host{{Name: "mx.odd.test", Pref: 10, Chain: lab.Chain{By: lab.SelfSigned}}}}
	var leaves [][]byte
	for _, k := range certtest.Kinds() {
		if k.NotParsed {
			der := k.Leaf(ca, "mx.odd.test", certtest.NewKey())
			kinds, leaves = append(kinds, k), append(leaves, der)
			w.Records = append(w.Records, fmt.Sprintf("_25._tcp.mx.odd.test. TLSA 3 1 1 %x", sha256.Sum256(pkix.Read(der).SPKI())))
		}
	}
	l := labtest.Start(t, lab.Config{Worlds: []lab.World{w}})
	c := tape(t, l, w, evidence.ModeValidate)
	if c.summary.Outcome == engine.Authenticated {
		t.Fatal("the host's own certificate is in no record")
	}
	replay := func(chain ...[]byte) (*evidence.Replayed, error) {
		f := written(t, c.file)
		f.Hosts[0].Peers[0].Chain = chain
		return written(t, f).Replay(t.Context(), evidence.ReplayConfig{Anchors: c.anchors, Roots: c.roots})
	}
	for i, k := range kinds {
		r, err := replay(leaves[i], ca.DER)
		if err != nil || r.Summary.Outcome != engine.Authenticated {
			t.Errorf("%s: %v, %+v", k.Name, err, r)
		}
		if r, err = replay(ca.DER, leaves[i]); err != nil || r.Summary.Outcome == engine.Authenticated {
			t.Errorf("%s, not the leaf: %v", k.Name, err)
		}
	}
	if _, err := replay([]byte("junk")); !errors.Is(err, evidence.ErrFile) {
		t.Errorf("junk: %v", err)
	}
}
