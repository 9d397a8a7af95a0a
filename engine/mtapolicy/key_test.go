package mtapolicy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine/mtapolicy"
)

func TestParseKey(t *testing.T) {
	for _, c := range []struct {
		in, want string
		err      error
	}{
		{"example.org", "example.org", nil},
		{"Example.ORG", "example.org", nil},
		{"example.org:25", "example.org:25", nil},
		{"[Relay.example]", "[relay.example]", nil},
		{"[relay.example]:587", "[relay.example]:587", nil},
		{"[relay.example]:smtp", "[relay.example]:25", nil},
		{"[relay.example]:submission", "[relay.example]:587", nil},
		{"[192.0.2.1]", "[192.0.2.1]", nil},
		{"[192.0.2.1]:26", "[192.0.2.1]:26", nil},
		{"[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]", nil},
		{"[ipv6:2001:db8:0::1]", "[IPv6:2001:db8::1]", nil},
		{"MÜLLER.example", "xn--mller-kva.example", nil},
		{"mu\u0308ller.example", "xn--mller-kva.example", nil},
		{"faß.example", "xn--fa-hia.example", nil},
		{"ﬁ.example", "fi.example", nil},
		{"[bücher.example]:25", "[xn--bcher-kva.example]:25", nil},

		{"", "", mtapolicy.ErrKey},
		{".example.org", "", mtapolicy.ErrKey},
		{".", "", mtapolicy.ErrKey},
		{strings.Repeat("a", 256), "", mtapolicy.ErrKey},
		{"a..b", "", mtapolicy.ErrKey},
		{"192.0.2.1", "", mtapolicy.ErrKey},
		{"a b", "", mtapolicy.ErrKey},
		{"a\x00b", "", mtapolicy.ErrKey},
		{"a\x7fb", "", mtapolicy.ErrKey},
		{"[relay.example", "", mtapolicy.ErrKey},
		{"[relay.example]x", "", mtapolicy.ErrKey},
		{"[relay.example]:", "", mtapolicy.ErrKey},
		{"[relay.example]:0", "", mtapolicy.ErrKey},
		{"[relay.example]:65536", "", mtapolicy.ErrKey},
		{"[relay.example]:no-such-service-here", "", mtapolicy.ErrKey},
		{"example.org:", "", mtapolicy.ErrKey},
		{"[]", "", mtapolicy.ErrKey},
		{"[fe80::1%eth0]", "", mtapolicy.ErrKey},
		{"example.org:+25", "", mtapolicy.ErrKey},
		{".bücher.example", "", mtapolicy.ErrKey},
		{"bücher.example:no-such-service-here", "", mtapolicy.ErrKeyName},
		{"bücher.example:65536", "", mtapolicy.ErrKeyName},
		{"[bücher.example", "", mtapolicy.ErrKeyName},
		{"example.org:ü", "", mtapolicy.ErrKeyName},
		{"\u200dx.example", "", mtapolicy.ErrKeyName},
		{"a\u2025b", "", mtapolicy.ErrKeyName},
		{"\xff.example", "", mtapolicy.ErrKeyName},
	} {
		k, err := mtapolicy.ParseKey(c.in)
		if k.String() != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("ParseKey(%q) = %q, %v; want %q, %v", c.in, k, err, c.want, c.err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"example.org:25", "[IPv6:::1]:smtp", "mu\u0308ller.example", "[a]:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := mtapolicy.ParseKey(s)
		if err != nil {
			return
		}
		again, err := mtapolicy.ParseKey(k.String())
		if err != nil || again != k {
			t.Errorf("ParseKey(%q) = %q, which reads as %q, %v", s, k, again, err)
		}
	})
}

// TestServicesOfMail shows that a machine without a services database, such as a container, reads the
// names of ports that mail servers write.
func TestServicesOfMail(t *testing.T) {
	for name, port := range map[string]int{"smtp": 25, "lmtp": 24, "submissions": 465, "submission": 587} {
		if got := mtapolicy.MailServices[name]; got != port {
			t.Errorf("%s is %d, want %d", name, got, port)
		}
	}
}
