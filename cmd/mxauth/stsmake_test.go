package main

import (
	"testing"
	"time"

	"github.com/mxauth/mxauth/sts"
)

func TestParseAge(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{"30d": 30 * day, "86400": day, "36h": 36 * time.Hour, "0": 0} {
		if got, err := parseAge(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	// Too much stays too much: nothing overflows.
	for _, text := range []string{"366d", "213504d", "4294967295d", "4294967295"} {
		if got, err := parseAge(text); err != nil || got <= sts.MaxMaxAge {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1y", "4294967296", "1.5d"} {
		if got, err := parseAge(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
