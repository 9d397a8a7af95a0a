package tlsawild_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/vectors/tlsawild"
)

func TestRead(t *testing.T) {
	sets, err := tlsawild.Read[tlsawild.Set](strings.NewReader(`{"owner":"o","tlsa":[{"usage":3,"data":"00","matches_chain_index":[1]}],"verdict":"fail"}`))
	if err != nil || len(sets) != 1 || sets[0].TLSA[0].Matches[0] != 1 {
		t.Errorf("%+v, %v", sets, err)
	}
	texts, err := tlsawild.Read[tlsawild.Text](strings.NewReader(`{"text":"a","valid":true,"rdata":"00"}` + "\n" + `{"text":"b","valid":false}`))
	if err != nil || len(texts) != 2 || !texts[0].Valid {
		t.Errorf("%+v, %v", texts, err)
	}
	rows, err := tlsawild.Read[tlsawild.Row](strings.NewReader(`{"rdata":["0301","zz"],"load_result":"0","status":null}`))
	if err != nil || len(rows) != 1 || rows[0].Status != nil {
		t.Fatalf("%+v, %v", rows, err)
	}
	if _, err := rows[0].Bytes(); err == nil {
		t.Error("RDATA that is not hex")
	}
	rows[0].RData = rows[0].RData[:1]
	if b, err := rows[0].Bytes(); err != nil || string(b[0]) != "\x03\x01" {
		t.Errorf("%x, %v", b, err)
	}
	if _, err := tlsawild.Read[tlsawild.Text](strings.NewReader(`{"new":1}`)); err == nil {
		t.Error("an unknown field is read")
	}
	const pem = "x\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n-----BEGIN X-----\nAQID\n-----END X-----\n"
	if c := tlsawild.Certificates([]byte(pem + pem)); len(c) != 2 || string(c[0]) != "\x01\x02\x03" {
		t.Errorf("%x", c)
	}
}
