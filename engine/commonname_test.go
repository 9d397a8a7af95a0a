package engine_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
)

// TestCommonName: a name that stands only in the Common Name proves nothing but under
// DANE-TA, and every sentence that turns it down says so.
func TestCommonName(t *testing.T) {
	pki := sharedPKI()
	beside := issue(t, certSpec{cn: "mx.example.org", names: []string{"elsewhere.example"}, issuer: pki.ca})
	ta := func() *world {
		w := newWorld(t).signed()
		return w.tlsa(tlsaOf(2, 0, w.ca.Cert))
	}
	const (
		webpki = "a Common Name does not count: the name must be a subject alternative name"
		alone  = "a Common Name counts only where there is no subject alternative name"
		off    = "this server is set to take no Common Name"
	)
	for _, c := range []struct {
		name string
		w    *world
		req  engine.Request
		leaf *certtest.Pair
		want reason.ID
		says string // "" if nothing is said of the Common Name
	}{
		{"nothing published", newWorld(t).unsigned(), engine.Request{}, pki.onlyCN, reason.EncryptedName, webpki},
		{"nothing published, beside another name", newWorld(t).unsigned(), engine.Request{}, beside, reason.EncryptedName, webpki},
		{"nothing published, another name", newWorld(t).unsigned(), engine.Request{}, pki.wrong, reason.EncryptedName, ""},
		{"MTA-STS", newWorld(t).unsigned().policy("enforce", "mx.example.org"), engine.Request{}, pki.onlyCN, reason.STSName, webpki},
		{"MTA-STS, another name", newWorld(t).unsigned().policy("enforce", "mx.example.org"), engine.Request{}, pki.wrong, reason.STSName, ""},
		{"REQUIRETLS", newWorld(t).signed(), engine.Request{RequireTLS: true}, pki.onlyCN, reason.PKIXName, webpki},
		{"REQUIRETLS, another name", newWorld(t).signed(), engine.Request{RequireTLS: true}, pki.wrong, reason.PKIXName, ""},
		{"DANE-TA takes it", ta(), engine.Request{}, pki.onlyCN, reason.DANETAMatch, ""},
		{"DANE-TA, beside another name", ta(), engine.Request{}, beside, reason.DANEName, alone},
		{"DANE-TA, switched off", ta(), engine.Request{Options: engine.Options{NoCNID: true}}, pki.onlyCN, reason.DANEName, off},
		{"DANE-TA, another name", ta(), engine.Request{}, pki.wrong, reason.DANEName, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.w.decide(c.req, shows(c.leaf, pki.ca))
			if d.Reason.ID != c.want {
				t.Fatalf("%s: %s", d.Reason.ID, explain.Text(d.Reason))
			}
			for _, clause := range []string{webpki, alone, off} {
				if said := strings.Contains(explain.Text(d.Reason), ", and "+clause); said != (clause == c.says) {
					t.Errorf("said %q: %v; the sentence is: %s", clause, said, explain.Text(d.Reason))
				}
			}
		})
	}
}
