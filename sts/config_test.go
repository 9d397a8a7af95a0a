package sts_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/sts"
)

func TestConfigErrors(t *testing.T) {
	_, err := sts.NewClient(sts.Config{Timeout: -1, Allow: []netip.Prefix{{}, netip.MustParsePrefix("::ffff:127.0.0.0/104")}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"no Resolver", "Timeout is -1ns", "invalid prefix", "write the IPv4 prefix"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not hold %q", err, want)
		}
	}
}
