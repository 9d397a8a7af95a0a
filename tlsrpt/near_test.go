package tlsrpt_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/tlsrpt"
)

// TestNear: a record that is there and that no sender reads is told by what is wrong in it.
func TestNear(t *testing.T) {
	for _, c := range []struct{ txt, why string }{
		{"v=tlsrptv1; rua=mailto:a@b.example", "upper and lower case"},
		{"rua=mailto:a@b.example", "no version"},
		{"v=TLSRPT1; rua=mailto:a@b.example", `"v=TLSRPT1" is not`},
		{"v=TLSRPTv1, rua=mailto:a@b.example", `"," after`},
		{"v=TLSRPTv1", `no "rua" field`},
		{"v=TLSRPTv1; x=y", `no "rua" field`},
		{"v=TLSRPTv1; rua=", `no address after "rua="`},
		{"v=TLSRPTv1; rua=a@b.example", "is no URI"},
		{`"v=TLSRPTv1; rua=mailto:a@b.example"`, "character 1 is a quotation mark"},
		{" v=TLSRPTv1; rua=mailto:a@b.example", "a blank before"},
		{"v = TLSRPTv1; rua=mailto:a@b.example", "a blank next to"},
		{"v=TLSRPTv1;\u00a0rua=mailto:a@b.example", "character 12 is U+00A0"},
	} {
		if why := tlsrpt.Near(c.txt); !strings.Contains(why, c.why) || !tlsrpt.MeansRecord(c.txt) {
			t.Errorf("%q: %q, want %q", c.txt, why, c.why)
		}
	}
	if why := tlsrpt.Near("v=TLSRPTv1; rua=mailto:a@b.example"); why != "" {
		t.Errorf("a good record: %s", why)
	}
	for _, txt := range []string{"", "v=spf1 -all", "v=DMARC1; p=none; rua=mailto:a@b.example", "v=STSv1; id=1;"} {
		if tlsrpt.MeansRecord(txt) {
			t.Errorf("%q counts as meant", txt)
		}
	}
}
