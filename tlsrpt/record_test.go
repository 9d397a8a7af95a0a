package tlsrpt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/tlsrpt"
)

func TestNoRecordIsNotSeveral(t *testing.T) {
	for _, txt := range [][]string{nil, {"v=spf1"}} {
		if _, err := tlsrpt.SelectRecord(txt); errors.Is(err, tlsrpt.ErrSeveral) || !errors.Is(err, tlsrpt.ErrNoRecord) {
			t.Errorf("%q: %v", txt, err)
		}
	}
	const good = "v=TLSRPTv1; rua=mailto:a@example.org"
	if _, err := tlsrpt.SelectRecord([]string{good, good}); !errors.Is(err, tlsrpt.ErrSeveral) {
		t.Errorf("two: %v", err)
	}
}

// TestNothingIsAskedForANameThatCanNotBe: a domain without room for the labels in front.
func TestNothingIsAskedForANameThatCanNotBe(t *testing.T) {
	label := strings.Repeat("a", 61)
	longest := label + "." + label + "." + label + "."
	for rest, ok := range map[int]bool{253 - 11 - len(longest): true, 253 - 10 - len(longest): false, 253 - 5 - len(longest): false, 253 - 4 - len(longest): false} {
		r := dnsfake.New()
		_, err := tlsrpt.Lookup(t.Context(), r, host(t, longest+strings.Repeat("b", rest)))
		if !errors.Is(err, tlsrpt.ErrNoRecord) || len(r.Asked()) == 1 != ok {
			t.Errorf("%d octets: asked %v, %v", len(longest)+rest, r.Asked(), err)
		}
	}
}

func TestSyntaxErrorText(t *testing.T) {
	_, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=" + strings.Repeat("x:,", 16) + "x:")
	if err == nil || err.Error() != "tlsrpt: malformed record: more than 16 report destinations" {
		t.Errorf("got %v", err)
	}
	for _, n := range []int{79, 80, 81, 4000} {
		_, err := tlsrpt.ParseRecord("v=TLSRPTv1; " + strings.Repeat("x", n))
		var se *tlsrpt.SyntaxError
		if !errors.As(err, &se) || len(se.Text) != min(n, 80) || !strings.Contains(err.Error(), `"`+se.Text+`"`) {
			t.Errorf("%d octets: %v", n, err)
		}
	}
}

// TestURIs: the parts of a URI, to the ends of what RFC 3986 appendix A lets stand in them.
func TestURIs(t *testing.T) {
	for u, ok := range map[string]bool{
		"x://[::1]/": true, "x://[::ffff:192.0.2.1]": true, "x://[v1.x]/": true, "x://[V1F.a:b]:1/": true, "x://[vA0.~]": true,
		"x://[192.0.2.1]/": false, "x://[fe80::1%eth0]/": false, "x://[fe80::1%25eth0]/": false, "x://[]/": false, "x://[.x]/": false,
		"x://[v1]/": false, "x://[v.x]/": false, "x://[v1.]/": false, "x://[1.x]/": false, "x://[vg.x]/": false, "x://[w1.x]/": false,
		"x://[v1.%41]/": false, "x://[v1.a/b]/": false, "x://[v1.a@b]/": false, "x://[::1]a/": false, "x://[::1]:": true, "x://[::1]:a": false,
		"x://a@b": true, "x://a:b@c:1": true, "x://@": true, "x://:": true, "x://:1": true, "x://%41@%41/%41?%41#%41": true,
		"x://a[b@c/": false, "x://a\\b@c": false, "x://a@b@c": false, "x://%@c": false, "x://a%4@c": false,
		"x:": true, "x:/": true, "x:a": true, "x:a/b:c@d": true, "x:?": true, "x:#": true, "x:?a/b?c:d@e": true, "x:#a/b?c:d@e": true,
		"x:%": false, "x:%4": false, "x:%4g": false, "x:%g4": false, "x:a%41": true, "x:%aF": true, "x:%Fa": true, "x:%/f": false, "x:%:f": false, "x:%@f": false, "x:%`f": false,
		"x:a\x7f": false, "x:a b": false, "x:a[": false, "x:?a[": false, "x:#a[": false, "x:#a#": false,
		"a1+-.:": true, "Z:": true, "1a:": false, "+a:": false, ":a": false, "a_:": false, "a/b:c": false, "@:": false, "[:": false, "`:": false, "{:": false,
		"a/:": false, "a::": true, "a0:": true, "a9:": true, "aA:": true, "az:": true,
		"mailto:a@b.example?x#y": true, "mailto:a@b.example/x": false, "mailto:a": false, "https://b.example": true, "https://u@b.example:/?#": true,
	} {
		_, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=" + u)
		if (err == nil) != ok {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func TestFaultsAreNamed(t *testing.T) {
	for fields, want := range map[string]string{
		"x": "a field is not name=value", "x=": "bad value of a field", "_=y": "bad name of a field", "x=y": "no rua field", "": "no rua field",
		"rua": "a field is not name=value", "rua=": "not an absolute URI", "rua=a": "not an absolute URI", "rua=x:\\": "a character of the URI is not allowed",
		"rua=x:?\\": "a character of the URI is not allowed", "rua=x:#\\": "a character of the URI is not allowed", "rua=x://[": "no host of a URI",
		"rua=x://a\\@b": "no host of a URI", "rua=mailto:a": "not a mail domain", "rua=mailto:@a.example": "mailto without an address", "rua=https:a": "not a public host name",
	} {
		_, err := tlsrpt.ParseRecord("v=TLSRPTv1; " + fields)
		var se *tlsrpt.SyntaxError
		if !errors.As(err, &se) || !strings.HasSuffix(se.Why, want) {
			t.Errorf("%q: %v, want %q", fields, err, want)
		}
	}
}
