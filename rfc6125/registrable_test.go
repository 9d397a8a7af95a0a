package rfc6125_test

import (
	"testing"

	"github.com/mxauth/mxauth/rfc6125"
)

func TestRegistrable(t *testing.T) {
	for name, want := range map[string]string{
		"example.com": "example.com", "a.b.example.com": "example.com", "a.example.co.uk": "example.co.uk", "co.uk": "co.uk", "com": "com",
		"x.example.test": "example.test", "localhost": "localhost", "a.xn--bcher-kva.example": "xn--bcher-kva.example",
	} {
		h, err := rfc6125.ParseHost(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Registrable(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := (rfc6125.Host{}).Registrable(); got != "" {
		t.Errorf("the zero Host: %q", got)
	}
}
