package literal_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/internal/literal"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "[192.0.2.1]", "IPv6:2001:db8::1": "[IPv6:2001:db8::1]", "ipv6:2001:DB8::1": "[IPv6:2001:db8::1]",
		"2001:db8::1": "[IPv6:2001:db8::1]", "IPv6:::ffff:192.0.2.1": "[IPv6:::ffff:192.0.2.1]",
		"": "", "IPv6:": "", "IPv6:192.0.2.1": "", "fe80::1%eth0": "", "IPv6:fe80::1%eth0": "", "IPv4:192.0.2.1": "", "example.org": "", "[192.0.2.1]": "",
	} {
		a, ok := literal.Parse(in)
		if ok != (want != "") {
			t.Errorf("%q: %v, %v", in, a, ok)
			continue
		}
		if !ok {
			continue
		}
		got := literal.String(a)
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
		if again, ok := literal.Parse(strings.Trim(got, "[]")); !ok || again != a {
			t.Errorf("%s reads as %v, %v", got, again, ok)
		}
	}
}
