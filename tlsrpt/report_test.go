package tlsrpt_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/tlsrpt"
)

// TestReportLimit: the limit is on what is read, compressed or not.
func TestReportLimit(t *testing.T) {
	b, err := report().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	fits := append(b, bytes.Repeat([]byte(" "), tlsrpt.MaxReport-len(b))...)
	over := append(bytes.Clone(fits), ' ')
	zip := func(b []byte) []byte {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		if _, err := z.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	for name, c := range map[string]struct {
		b  []byte
		ok bool
	}{"fits": {fits, true}, "fits, compressed": {zip(fits), true}, "over": {over, false}, "over, compressed": {zip(over), false}} {
		_, err := tlsrpt.ParseReport(c.b)
		if (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "larger than 16777216 octets") {
			t.Errorf("%s: %v", name, err)
		}
	}
	z := zip(b)
	for _, cut := range []int{1, 4, 8, 12} {
		if _, err := tlsrpt.ParseReport(z[:len(z)-cut]); !errors.Is(err, tlsrpt.ErrReport) {
			t.Errorf("a compressed report without its last %d octets: %v", cut, err)
		}
	}
}

// TestFileNameCharacters: at the ends of what the grammar lets into the id.
func TestFileNameCharacters(t *testing.T) {
	r := report()
	r.ID = "09AZaz-./:@[`{_!\u00e9"
	if got := r.FileName("a", "b", false); !strings.HasSuffix(got, "!09AZaz.json") {
		t.Errorf("%q", got)
	}
}
