package sts_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/sts"
)

// lines prints findings in short: line, field, "!" if fatal, what is wrong.
func lines(fs []sts.Finding) string {
	var out []string
	for _, f := range fs {
		mark := "-"
		if f.Fatal {
			mark = "!"
		}
		out = append(out, fmt.Sprintf("%d %s%s %s", f.Line, mark, f.Field, f.Why))
	}
	return strings.Join(out, "\n")
}

func TestLint(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"good", policy("enforce", 1209600, "mx.example.org", "*.example.org"), ""},
		{"good removal", policy("none", 86400), ""},
		{"a week is long enough", policy("enforce", 604800, "mx.example.org"), ""},
		{"everything at once", "Version: STSv1\nversion: STSv2\n\n mode: enforce\nmode: Enforce\nmx: a.example, b.example\nmx: bücher.example\nmx:\nmax-age: 10\nmax_age: 31557601\nx y: z\nq: \x01\n", "" +
			"2 !version version is not STSv1\n" +
			"3 ! empty line\n" +
			"4 !mode a blank before the name of the field\n" +
			"5 !mode mode is \"Enforce\", not \"enforce\"\n" +
			"6 !mx not a host name of letters, digits and hyphens\n" +
			"7 !mx not ASCII: an internationalised name must be written as A-labels\n" +
			"8 !mx empty value\n" +
			"10 !max_age max_age is above 31557600 seconds\n" +
			"11 ! field name is not 1 to 32 of letters, digits, \"_\", \"-\", \".\", beginning with a letter or digit\n" +
			"12 !q control character in a value\n" +
			"1 -Version an unknown field, similar to \"version\"\n" +
			"9 -max-age an unknown field, similar to \"max_age\""},
		{"nothing", "", "0 ! the file is empty"},
		{"a field first without a value", "version: STSv1\nmode:\nmode: enforce\nmax_age: 1209600\nmx: a.example\n", "2 !mode empty value"},
		{"two bad mx", "version: STSv1\nmode: enforce\nmax_age: 1209600\nmx: *\nmx: **\nmx: a.example\n", "" +
			"4 !mx \"*\" alone; \"*.\" and a domain name matches hosts with exactly one label before that name\n5 !mx \"*\" is allowed only as the whole first label"},
		{"no max_age", "version: STSv1\nmode: enforce\nmx: a.example\n", "0 !max_age no max_age"},
		{"no mode", "version: STSv1\nmax_age: 1\nmx: a.example\n", "0 !mode no mode"},
		{"short removal", policy("none", 1), ""},
		{"no mx", policy("enforce", 1209600), "0 !mx no mx, which only mode none may omit"},
		{"bad mx only", "version: STSv1\nmode: enforce\nmax_age: 1209600\nmx: *\n", "4 !mx \"*\" alone; \"*.\" and a domain name matches hosts with exactly one label before that name"},
		{"repeated", "version: STSv1\r\nmode: enforce\r\nmode: none\r\nmax_age: 1209600\r\nmx: a.example\r\nmx: A.example\r\n",
			"3 -mode does not count: line 2 has this field already\n6 -mx the same as line 5"},
		{"short and testing", policy("testing", 86400, "mx.example.org"), "4 -max_age senders forget the policy after 24h0m0s\n2 -mode protects nothing: failures are only reported"},
		{"wide", policy("enforce", 1209600, "*.org"), "3 -mx names every host directly below a top-level domain"},
		{"large", strings.Repeat("x: y\n", 20000), "0 ! longer than 64 KiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := sts.Lint([]byte(c.body))
			if d := cmp.Diff(c.want, lines(fs)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			for _, f := range fs {
				if missing := f.Fatal && strings.HasPrefix(f.Why, "no "+f.Field) && f.Field != ""; f.Missing != missing {
					t.Errorf("line %d: missing is %t of %q", f.Line, f.Missing, f.Why)
				}
				if f.Cure == "" && f.Field != "q" && f.Line != 11 {
					t.Errorf("line %d: no cure for %q", f.Line, f.Why)
				}
			}
		})
	}
}

func TestLintCures(t *testing.T) {
	for pattern, want := range map[string]string{
		"mx.example.":       `write "mx.example" without the dot at its end`,
		"a.example, b.test": `write one host in a line, each with its own "mx:"`,
		".example.org":      `write "*.example.org" for any one label before it`,
		"bücher.example":    `write "xn--bcher-kva.example"`,
		"*.BÜCHER.example":  `write "*.xn--bcher-kva.example"`,
		"a.*.example":       `write the host name as in the MX record`,
		"192.0.2.1":         `write the host name as in the MX record`,
		"mx_1.example":      `write the host name as in the MX record`,
	} {
		fs := sts.Lint([]byte(policy("enforce", 1209600, pattern)))
		if len(fs) != 1 || fs[0].Cure != want || fs[0].Line != 3 {
			t.Errorf("%q: %+v, want the cure %q", pattern, fs, want)
		}
	}
}

func TestLintRecord(t *testing.T) {
	for _, c := range []struct {
		txt  []string
		want string
	}{
		{[]string{"v=STSv1; id=a;"}, ""},
		{[]string{"other", "v=STSv1; id=a; x=y"}, ""},
		{nil, "0 ! no TXT record"},
		{[]string{"v=spf1"}, "0 ! no MTA-STS record; the TXT record here is one of SPF"},
		{[]string{"v=STSv1; id=a", "v=STSv1; id=b"}, "0 ! more than one STS record"},
		{[]string{"v=STSv1; id=a-b"}, `0 !id id holds "-" (its character 2); only letters and digits are allowed`},
		{[]string{"v=STSv1; id=a; id=b; ID=c"}, "0 -id a second id, which senders ignore\n0 -ID an unknown field; \"id\" is written in lower case"},
	} {
		fs := sts.LintRecord(c.txt)
		if d := cmp.Diff(c.want, lines(fs)); d != "" {
			t.Errorf("%q: (-want +got)\n%s", c.txt, d)
		}
		for _, f := range fs {
			if f.Cure == "" {
				t.Errorf("%q: no cure", c.txt)
			}
		}
	}
}

// TestLintAgrees: what Lint calls fatal, ParsePolicy refuses, and nothing else.
func TestLintAgrees(t *testing.T) {
	for _, body := range []string{"", "x", policy("enforce", 1, "a"), policy("none", 1), "version: STSv1\nmode: none\nmax_age: 1\nmode: x\n", "version: STSv1\nmode: none\nmax_age: 1\n\n"} {
		_, err := sts.ParsePolicy([]byte(body))
		isFatal := false
		for _, f := range sts.Lint([]byte(body)) {
			isFatal = isFatal || f.Fatal
		}
		if isFatal != (err != nil) {
			t.Errorf("%q: fatal %v, error %v", body, isFatal, err)
		}
	}
}

// TestLintLargest: a policy of just the limit is read, one octet more is all that is said.
func TestLintLargest(t *testing.T) {
	body := policy("enforce", 1209600, "mx.example.org") + "x: "
	body += strings.Repeat("y", sts.MaxPolicySize-len(body))
	if got := lines(sts.Lint([]byte(body))); got != "" {
		t.Errorf("at the limit: %s", got)
	}
	if got := lines(sts.Lint([]byte(body + "y"))); got != "0 ! longer than 64 KiB" {
		t.Errorf("above it: %s", got)
	}
}
