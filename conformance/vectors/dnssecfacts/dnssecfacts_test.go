package dnssecfacts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/dnssecfacts"
)

func TestRead(t *testing.T) {
	got, err := dnssecfacts.Read[dnssecfacts.DS](strings.NewReader(`{"dnskey":"k","ds":"d","match":true}` + "\n"))
	if err != nil || len(got) != 1 || got[0] != (dnssecfacts.DS{DNSKEY: "k", DS: "d", Match: true}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := dnssecfacts.Read[dnssecfacts.DS](strings.NewReader("{")); err == nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestVectors(t *testing.T) {
	dir := vectors.Dir(t, "dnssec/rfc")
	count := func(name string, read func(*os.File) (int, error)) {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if n, err := read(f); err != nil || n == 0 {
			t.Errorf("%s: %d rows, %v", name, n, err)
		}
	}
	count("signatures.jsonl", func(f *os.File) (int, error) {
		r, err := dnssecfacts.Read[dnssecfacts.Signature](f)
		return len(r), err
	})
	count("ds.jsonl", func(f *os.File) (int, error) { r, err := dnssecfacts.Read[dnssecfacts.DS](f); return len(r), err })
	count("nsec3hash.jsonl", func(f *os.File) (int, error) {
		r, err := dnssecfacts.Read[dnssecfacts.Hash](f)
		return len(r), err
	})
	count("nsec3cover.jsonl", func(f *os.File) (int, error) {
		r, err := dnssecfacts.Read[dnssecfacts.Cover](f)
		return len(r), err
	})
}
