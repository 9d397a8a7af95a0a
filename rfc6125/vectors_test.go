package rfc6125_test

import (
	"strings"
	"testing"

	xidna "golang.org/x/net/idna"

	"github.com/mxauth/mxauth/conformance/sets/names"
	"github.com/mxauth/mxauth/conformance/sets/setstest"
	"github.com/mxauth/mxauth/conformance/vectors/idna"
)

func TestHostmatchVectors(t *testing.T) { setstest.Run(t, "rfc6125", names.Hostmatch) }

// TestIDNAVectors: no kind of exception is listed in vain, and some of the samples of
// Punycode are host names.
func TestIDNAVectors(t *testing.T) {
	skipped := map[string]int{}
	samples := 0
	for _, r := range setstest.Run(t, "idna", names.IDNA) {
		skipped[r.Skip]++
		if strings.HasPrefix(r.Case, "punycode_tests.json") && strings.HasPrefix(r.Want, "xn--") {
			samples++
		}
	}
	for _, e := range idna.TableExceptions(xidna.UnicodeVersion) {
		if skipped[e.Why] == 0 {
			t.Errorf("the exception is not needed: %s", e.Why)
		}
	}
	if samples == 0 {
		t.Error("no sample of Punycode is a host name")
	}
}
