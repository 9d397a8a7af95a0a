package danetest_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/vectors/danetest"
)

const cert = "subject= CN = x\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n"

func TestRead(t *testing.T) {
	blocks, err := danetest.Read(strings.NewReader("# comment\n\n# 1\n2 1 1 65 -1\n3 1 1 aB cD\n 2  0 0  00\n" + cert + "\n# 2\n 0 2 0 0 2 \n" + cert + cert))
	if err != nil || len(blocks) != 2 {
		t.Fatalf("%+v, %v", blocks, err)
	}
	b := blocks[0]
	if b.Number != 1 || !b.NoNameChecks || b.Result != danetest.NoMatch || b.Depth != -1 || len(b.Records) != 2 || string(b.Records[0].Data) != "\xab\xcd" || b.Records[1].Usage != 2 || len(b.Chain) != 1 || string(b.Chain[0]) != "\x01\x02\x03" {
		t.Errorf("%+v", b)
	}
	if b = blocks[1]; b.Number != 2 || b.NoNameChecks || len(b.Records) != 0 || len(b.Chain) != 2 || b.Depth != 2 {
		t.Errorf("%+v", b)
	}
	for _, bad := range []string{"1 1 1 0\n", "1 1 x 0 0\n", "1 0 1 0 0\n", "1 0 1 0 0\n3 1 1\n", "1 0 1 0 0\n256 1 1 00\n", "1 0 1 0 0\n3 1 1 0g\n", "0 1 1 0 0\n", "0 1 1 0 0\n-----BEGIN CERTIFICATE-----\n", "0 1 1 0 0\n-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"} {
		if b, err := danetest.Read(strings.NewReader(bad)); err == nil {
			t.Errorf("%q reads as %+v", bad, b)
		}
	}
}

func TestReadExpect(t *testing.T) {
	rows, err := danetest.ReadExpect(strings.NewReader(`{"file":"f","case":3,"tlsa":[{"usage":2,"selector":1,"mtype":0}],"generic":"match","smtp":"fail"}` + "\n"))
	if err != nil || len(rows) != 1 || rows[0].Case != 3 || rows[0].TLSA[0].Usage != 2 {
		t.Errorf("%+v, %v", rows, err)
	}
	for _, bad := range []string{`{"generic":"match","smtp":"x"}`, `{"generic":"x","smtp":"fail"}`, `{"generic":"match","smtp":"fail","new":1}`, `{`} {
		if rows, err := danetest.ReadExpect(strings.NewReader(bad)); err == nil {
			t.Errorf("%q reads as %+v", bad, rows)
		}
	}
}
