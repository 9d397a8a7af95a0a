package anchor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/rfc6125"
)

func TestEdges(t *testing.T) {
	broken := errors.New("broken")
	if a, err := anchor.Parse(iotest.ErrReader(broken)); !errors.Is(err, broken) || !errors.Is(err, anchor.ErrAnchor) || a != nil {
		t.Errorf("%v %v", a, err)
	}
	if s, err := anchor.ParseState(iotest.ErrReader(broken)); !errors.Is(err, broken) || len(s.Keys) != 0 {
		t.Errorf("%v %v", s, err)
	}
	digest := "<KeyDigest><KeyTag>1</KeyTag><Algorithm>8</Algorithm><DigestType>2</DigestType><Digest>00</Digest></KeyDigest>"
	for n, ok := range map[int]bool{1000: true, 1001: false} {
		a, err := anchor.Parse(strings.NewReader("<TrustAnchor><Zone>.</Zone>" + strings.Repeat(digest, n) + "</TrustAnchor>"))
		if (err == nil) != ok || (ok && len(a) != n) {
			t.Errorf("%d digests: %d, %v", n, len(a), err)
		}
	}
	key := newSigner(t)
	line := func(rest string) string { return key.String() + " " + rest + "\n" }
	for text, want := range map[string]string{
		line(";;state=6"):                         "",
		line(";;state=5") + "\n \n":               "REMOVED",
		line(";;state=") + line(";;state=2"):      "",
		". A 192.0.2.1 ;;state=2":                 "",
		"a..b DNSKEY 257 3 8 AAAA ;;state=2":      "",
		"( ;;state=2":                             "",
		line(";;state=2 ;;lastchange=1999999999"): "VALID",
	} {
		s, err := anchor.ParseState(strings.NewReader(text))
		if got := states(s); got != want || (err == nil) != (want != "") {
			t.Errorf("%.60q: %q %v", text, got, err)
		}
		if want == "VALID" && s.Keys[0].Since.Unix() != 1999999999 {
			t.Errorf("since %s", s.Keys[0].Since)
		}
	}
	// A state follows DNSKEY anchors of its zone, a bounded number.
	own := key.anchor(t)
	other := own
	other.Zone = mustName(t, "test.")
	var many []anchor.Anchor
	for range 40 {
		many = append(many, own)
	}
	for what, c := range map[string]struct {
		in   []anchor.Anchor
		want int
	}{"own": {[]anchor.Anchor{own}, 1}, "another zone": {[]anchor.Anchor{other}, 0}, "digests": {anchor.Root(), 0}, "many": {many, 32}} {
		if got := len(anchor.NewState(rfc6125.RootName(), c.in, start).Keys); got != c.want {
			t.Errorf("%s: %d keys", what, got)
		}
	}
	if got := fmt.Sprint(anchor.Start, anchor.Status(99)); got != "START START" {
		t.Error(got)
	}
}

func mustName(t *testing.T, s string) rfc6125.Name {
	t.Helper()
	n, err := rfc6125.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
