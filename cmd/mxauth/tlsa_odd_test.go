package main

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/pkix"
)

// TestTLSAOfOddCertificates: tlsa make and tlsa check --cert take any certificate that a
// mail server can have, also one that crypto/x509 does not parse.
func TestTLSAOfOddCertificates(t *testing.T) {
	l := labtest.Start(t, lab.Config{Worlds: []lab.World{{
		Name: "odd", Domain: "odd.test",
		Hosts: []lab.Host{{Name: "mx.odd.test", Pref: 10, Chain: lab.Chain{By: lab.SelfSigned}, TLSA: []string{"3 1 1 leaf"}}},
	}}})
	dir := t.TempDir()
	anchor := filepath.Join(dir, "root.ds")
	if err := os.WriteFile(anchor, []byte(l.TrustAnchor()), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := certtest.NewCA()
	for _, k := range certtest.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			der := k.Leaf(ca, "mx.odd.test", certtest.NewKey())
			file := testFile(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
			data := fmt.Sprintf("%x", sha256.Sum256(pkix.Read(der).SPKI()))
			out, said, code := runVerb(t, "tlsa", "make", "--host", "mx.odd.test", file)
			if code != 0 || out != "_25._tcp.mx.odd.test. IN TLSA 3 1 1 "+data+"\n" {
				t.Errorf("make: exit status %d, %q, %q", code, out, said)
			}
			if wants := k.NotParsed || k.Weak; (said != "") != wants {
				t.Errorf("make: %q", said)
			}
			var printed, errs strings.Builder
			e := newEnv(strings.NewReader(""), &printed, &errs, func(string) string { return "" })
			e.dial = l.Dial
			run(t.Context(), []string{"tlsa", "check", "--resolver", l.Plain().String(), "--trust-anchor", anchor, "--no-connect", "--json", "--cert", file, "odd.test"}, e)
			if s := printed.String(); !strings.Contains(s, `"next":{"state":"publish"`) || !strings.Contains(s, `"data":"`+data+`"`) {
				t.Errorf("check: %s%s", s, errs.String())
			}
		})
	}
}
