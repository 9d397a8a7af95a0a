package sts_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/mtasts"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// vectorRows reads one file of the set mta-sts.
func vectorRows[T any](t *testing.T, name string, read func(io.Reader) ([]T, error)) []T {
	t.Helper()
	f, err := os.Open(filepath.Join(vectors.Dir(t, "mta-sts"), name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := read(f)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestVectorRecords(t *testing.T) {
	for _, row := range vectorRows(t, "records.jsonl", mtasts.ReadRecords) {
		t.Run(fmt.Sprintf("line %d", row.Line), func(t *testing.T) {
			r, err := sts.ParseRecord(row.TXT)
			if (err == nil) != *row.RFC8461 {
				t.Fatalf("%q: error %v, rfc8461 %v (%s)", row.TXT, err, *row.RFC8461, row.Note)
			}
			if r.ID != row.ID {
				t.Errorf("%q: id %q, want %q", row.TXT, r.ID, row.ID)
			}
			if err != nil && !errors.Is(err, sts.ErrNoRecord) {
				t.Errorf("%q: error %v does not wrap ErrNoRecord", row.TXT, err)
			}
		})
	}
}

func TestVectorPolicies(t *testing.T) {
	for _, row := range vectorRows(t, "policies.jsonl", mtasts.ReadPolicies) {
		t.Run(fmt.Sprintf("line %d", row.Line), func(t *testing.T) {
			p, err := sts.ParsePolicy(row.Body)
			if (err == nil) != *row.RFC8461 {
				t.Fatalf("%q: error %v, rfc8461 %v (%s)", row.Body, err, *row.RFC8461, row.Note)
			}
			if err != nil {
				var se *sts.SyntaxError
				if !errors.Is(err, sts.ErrPolicy) || !errors.As(err, &se) {
					t.Errorf("%q: error %v is no SyntaxError that wraps ErrPolicy", row.Body, err)
				}
				return
			}
			got := mtasts.Fields{Version: "STSv1", Mode: p.Mode.String(), MaxAge: int64(p.MaxAge / time.Second), MX: []string{}, Ext: map[string]string{}}
			for _, m := range p.MX {
				got.MX = append(got.MX, m.String())
			}
			for _, f := range p.Ext {
				switch f.Name {
				case "version", "mode", "max_age": // repeated, kept as a remark
				default:
					got.Ext[f.Name] = f.Value
				}
			}
			if d := cmp.Diff(*row.Fields, got); d != "" {
				t.Errorf("%q: (-want +got)\n%s", row.Body, d)
			}
		})
	}
}

func TestVectorMatches(t *testing.T) {
	for _, row := range vectorRows(t, "mxmatch.jsonl", mtasts.ReadMatches) {
		t.Run(fmt.Sprintf("line %d", row.Line), func(t *testing.T) {
			p, perr := sts.ParsePattern(row.Pattern)
			h, herr := rfc6125.ParseHost(row.Host)
			got := perr == nil && herr == nil && p.Match(h)
			if got != *row.RFC8461 {
				t.Errorf("pattern %q (%v), host %q (%v): match %v, want %v (%s)", row.Pattern, perr, row.Host, herr, got, *row.RFC8461, row.Note)
			}
		})
	}
}

func TestVectorContentTypes(t *testing.T) {
	for _, row := range vectorRows(t, "contenttype.jsonl", mtasts.ReadContentTypes) {
		t.Run(fmt.Sprintf("line %d", row.Line), func(t *testing.T) {
			if got := sts.MediaTypeOK(row.ContentType); got != row.Accept {
				t.Errorf("%q: accepted %v, want %v", row.ContentType, got, row.Accept)
			}
		})
	}
}
