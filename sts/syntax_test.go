package sts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/sts"
)

func TestPolicySyntaxFaults(t *testing.T) {
	for body, want := range map[string]string{
		": a\n":                                  "field name is not",
		"a\n":                                    `no ":"`,
		"mx: *.\n":                               "no host name",
		"mx: \x80\n":                             "not ASCII",
		"mx: \x7f\n":                             "not a host name",
		"mx: a..b\n":                             "empty label",
		"mx: -a\n":                               "begins or ends with a hyphen",
		"mx: a-\n":                               "begins or ends with a hyphen",
		"mx: 192.0.2.1":                          "an IP address",
		"max_age: 1x\n":                          "not a number",
		"x: \xff\n":                              "not UTF-8",
		"x: a\x00b\n":                            "control character",
		"x:\t\n":                                 "empty value",
		"\tx: a\n":                               "begins with a blank",
		"\n":                                     "empty line",
		"mode: Enforce":                          "mode is not",
		"version: STSv2":                         "version is not",
		"mx: " + strings.Repeat("a.", 127) + "a": "longer than 253",
		"mx: " + strings.Repeat("a", 64) + ".test": "longer than 63",
		"max_age: 12345678901":                     "more than 10 digits",
	} {
		_, err := sts.ParsePolicy([]byte(body))
		var se *sts.SyntaxError
		if !errors.As(err, &se) || se.Line != 1 || !strings.Contains(se.Why, want) {
			t.Errorf("%q: %v, want line 1 and %q", body, err, want)
		}
	}
	large := []byte(policy("none", 1) + "x: " + strings.Repeat("y", sts.MaxPolicySize))
	if _, err := sts.ParsePolicy(large); !errors.Is(err, sts.ErrPolicy) || !strings.Contains(err.Error(), "64 KiB") {
		t.Errorf("a large policy: %v", err)
	}
	if _, err := sts.ParsePolicy(large[:sts.MaxPolicySize]); err != nil {
		t.Errorf("a policy of just the limit: %v", err)
	}
}

func TestRecordSyntaxFaults(t *testing.T) {
	for txt, want := range map[string]string{
		"v=STSv1":            "no TXT record begins",
		"v=STSv1;":           "no id",
		"v=STSv1;;id=a":      "empty field between two semicolons",
		"v=STSv1; id=a; ;":   "empty field between two semicolons",
		"v=STSv1; id=a ":     "blanks at the end without a semicolon",
		"v=STSv1; id=a; x":   "field without \"=\"",
		"v=STSv1; id=a; _=b": "field name is not",
		"v=STSv1; id=a; " + strings.Repeat("n", 33) + "=b": "field name is not",
		"v=STSv1; id=":                           "id is not 1 to 32",
		"v=STSv1; id=" + strings.Repeat("a", 33): "id is not 1 to 32",
		"v=STSv1; id=a; x=":                      "value is not visible ASCII",
		"v=STSv1; id=a; x=b=c":                   "value is not visible ASCII",
	} {
		_, err := sts.ParseRecord([]string{txt})
		var se *sts.SyntaxError
		if !errors.As(err, &se) || !strings.Contains(se.Why, want) {
			t.Errorf("%q: %v, want %q", txt, err, want)
		}
	}
	if _, err := sts.ParseRecord(nil); err != sts.ErrNoRecord {
		t.Errorf("no record at all: %v", err)
	}
}
