package smtpdane_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/smtpdane"
)

const good = `{"id":"t","scenario":"s","mx":"d.example","mx_secure":true,"host":"a.example + b.example","address_secure":true,` +
	`"cname":{"target":"c.example","secure":true},"tlsa_status":"secure (at the CNAME target)","tlsa":[{"usage":3,"selector":1,"mtype":1,"data":"ab01"}],` +
	`"chain":null,"exim_mode":"require","rfc7672":"tempfail","why":"because"}`

func TestReadFrom(t *testing.T) {
	none := func(string) ([]byte, error) { return nil, errors.New("no such file") }
	all, err := smtpdane.ReadFrom(strings.NewReader("\n"+good+"\n"), none)
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v %v", all, err)
	}
	s := all[0]
	if s.MX != "d.example" || !s.MXSecure || strings.Join(s.Hosts, ",") != "a.example,b.example" || s.CNAME.Target != "c.example" ||
		s.TLSAStatus != "secure" || s.TLSA[0].String() != "3 1 1 ab01" || !s.Require || s.Chain != nil {
		t.Errorf("%+v", s)
	}
	for name, bad := range map[string]string{
		"nothing":         "\n\n",
		"no JSON":         "{",
		"no host":         `{"id":"t","rfc7672":"fail"}`,
		"no verdict":      strings.Replace(good, "tempfail", "perhaps", 1),
		"no hex":          strings.Replace(good, "ab01", "xy", 1),
		"a chain gone":    strings.Replace(good, `"chain":null`, `"chain":"x.pem"`, 1),
		"a line too long": good + strings.Repeat(" ", 1<<21),
	} {
		if all, err := smtpdane.ReadFrom(strings.NewReader(bad), none); err == nil || all != nil {
			t.Errorf("%s: %+v %v", name, all, err)
		}
	}
	for _, file := range []string{"", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		chain := func(string) ([]byte, error) { return []byte(file), nil }
		if _, err := smtpdane.ReadFrom(strings.NewReader(strings.Replace(good, `"chain":null`, `"chain":"x.pem"`, 1)), chain); err == nil {
			t.Errorf("%q is a chain", file)
		}
	}
	if _, err := smtpdane.Read(t.TempDir()); err == nil {
		t.Error("an empty folder is read")
	}
}

func TestVectors(t *testing.T) {
	all, err := smtpdane.Read(vectors.Dir(t, "smtp-dane"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == "" || s.About == "" || len(s.Hosts) == 0 {
			t.Errorf("%+v", s)
		}
	}
}
