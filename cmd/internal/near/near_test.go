package near_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/cmd/internal/near"
)

func TestName(t *testing.T) {
	names := []string{"check", "plan", "lint", "forecast", "sts-enforce", "sts-testing", "q"}
	for typed, want := range map[string]string{
		"check": "check", "chekc": "check", "cehck": "check", "Check": "check", "ceck": "check",
		"pln": "plan", "paln": "plan", "lnit": "lint", "forcast": "forecast",
		"sts-enfroce": "sts-enforce", "sts_testing": "sts-testing", "w": "q",
		"example.org": "", "": "", "xyz": "",
		strings.Repeat("check", 100_000): "",
	} {
		if got := near.Name(typed, names); got != want {
			t.Errorf("Name(%.20q) = %q, want %q", typed, got, want)
		}
	}
}
