package mtasts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/vectors/mtasts"
)

func TestReadersRefuse(t *testing.T) {
	refused := []struct {
		name string
		err  func(string) error
		text string
	}{
		{"record without verdict", func(s string) error { _, err := mtasts.ReadRecords(strings.NewReader(s)); return err }, `{"txt":["a"]}`},
		{"match without verdict", func(s string) error { _, err := mtasts.ReadMatches(strings.NewReader(s)); return err }, `{"pattern":"a"}`},
		{"policy without text", func(s string) error { _, err := mtasts.ReadPolicies(strings.NewReader(s)); return err }, `{"rfc8461":false}`},
		{"policy with both texts", func(s string) error { _, err := mtasts.ReadPolicies(strings.NewReader(s)); return err }, `{"policy":"a","policy_b64":"YQ==","rfc8461":false}`},
		{"policy with bad base64", func(s string) error { _, err := mtasts.ReadPolicies(strings.NewReader(s)); return err }, `{"policy_b64":"*","rfc8461":false}`},
		{"policy without verdict", func(s string) error { _, err := mtasts.ReadPolicies(strings.NewReader(s)); return err }, `{"policy":"a"}`},
		{"valid policy without fields", func(s string) error { _, err := mtasts.ReadPolicies(strings.NewReader(s)); return err }, `{"policy":"a","rfc8461":true}`},
		{"unknown result", func(s string) error { _, err := mtasts.ReadFetches(strings.NewReader(s)); return err }, `{"result":"maybe"}`},
		{"no JSON", func(s string) error { _, err := mtasts.ReadContentTypes(strings.NewReader(s)); return err }, `text/plain`},
	}
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			if err := c.err(c.text); err == nil || !strings.Contains(err.Error(), "line 1") {
				t.Fatalf("got error %v, want one that names line 1", err)
			}
		})
	}
	if _, err := mtasts.ReadContentTypes(strings.NewReader("\n \n")); !errors.Is(err, mtasts.ErrEmpty) {
		t.Fatalf("empty file: got %v, want ErrEmpty", err)
	}
}

func TestReaders(t *testing.T) {
	p, err := mtasts.ReadPolicies(strings.NewReader("\n" + `{"policy_b64":"/w==","rfc8461":false}`))
	if err != nil || len(p) != 1 || string(p[0].Body) != "\xff" || p[0].Line != 2 {
		t.Fatalf("got %+v, %v", p, err)
	}
	f, err := mtasts.ReadFetches(strings.NewReader(`{"content_type":null,"result":"ok"}` + "\n" + `{"result":"ok"}`))
	if err != nil || len(f) != 2 || !f[0].HasContentType || f[0].ContentType != nil || f[1].HasContentType {
		t.Fatalf("got %+v, %v", f, err)
	}
}
