package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mxauth/mxauth/conformance/sets"
	"github.com/mxauth/mxauth/conformance/vectors/dnsjava"
	"github.com/mxauth/mxauth/conformance/vectors/dnssecfacts"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/internal/text"
)

func fixed(t time.Time) func() time.Time { return func() time.Time { return t } }

// Scenarios runs the replay files (.rpl, .crpl) of a folder.
func Scenarios(_ context.Context, dir string) ([]sets.Result, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*rpl"))
	if err != nil {
		return nil, err
	}
	var out []sets.Result
	for _, f := range files {
		res := sets.Result{Case: filepath.Base(f), Want: "as the scenario has it"}
		err := withFile(f, RunScenario)
		switch {
		case err == nil:
			res.Got = res.Want
		case errors.Is(err, ErrNotApplicable):
			res.Got, res.Skip = "nothing", short(err.Error())
		default:
			res.Got = short(err.Error())
		}
		out = append(out, res)
	}
	return out, nil
}

func withFile(name string, f func(io.Reader) error) error {
	r, err := os.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	return f(r)
}

// Recordings runs the recordings that index.jsonl of a folder lists and that are there.
func Recordings(_ context.Context, dir string) ([]sets.Result, error) {
	var cases []dnsjava.Case
	if err := withFile(filepath.Join(dir, "index.jsonl"), func(r io.Reader) (err error) {
		cases, err = dnsjava.ReadIndex(r)
		return err
	}); err != nil {
		return nil, err
	}
	var anchors []anchor.Anchor
	if err := withFile(filepath.Join(dir, "trust_anchors.txt"), func(r io.Reader) (err error) {
		anchors, err = anchor.Parse(r)
		return err
	}); err != nil {
		return nil, err
	}
	var out []sets.Result
	for _, c := range cases {
		err := withFile(filepath.Join(dir, filepath.Base(c.File)), func(r io.Reader) error {
			out = append(out, RunRecording(c, r, anchors))
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	return out, nil
}

// Facts judges the tables of signatures, digests and hashes in a folder.
func Facts(_ context.Context, dir string) ([]sets.Result, error) {
	var out []sets.Result
	err := errors.Join(
		table(dir, "signatures.jsonl", &out, RunSignature),
		table(dir, "ds.jsonl", &out, RunDS),
		table(dir, "nsec3hash.jsonl", &out, RunHash),
		table(dir, "nsec3cover.jsonl", &out, RunCover),
	)
	return out, err
}

func table[T dnssecfacts.Signature | dnssecfacts.DS | dnssecfacts.Hash | dnssecfacts.Cover](dir, file string, out *[]sets.Result, run func(T) sets.Result) error {
	err := withFile(filepath.Join(dir, file), func(r io.Reader) error {
		rows, err := dnssecfacts.Read[T](r)
		for _, row := range rows {
			*out = append(*out, run(row))
		}
		return err
	})
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// Units judges the data files of Unbound's unit tests in a folder: files of entries
// (test_*) and replay files.
func Units(ctx context.Context, dir string) ([]sets.Result, error) {
	files, err := filepath.Glob(filepath.Join(dir, "test_*"))
	if err != nil {
		return nil, err
	}
	var out []sets.Result
	for _, f := range files {
		if err := withFile(f, func(r io.Reader) error {
			got, err := RunUnits(filepath.Base(f), r)
			out = append(out, got...)
			if err != nil {
				return fmt.Errorf("%s: %w", filepath.Base(f), err)
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	more, err := Scenarios(ctx, dir)
	return append(out, more...), err
}

// short cuts a text to one line of a report.
func short(s string) string {
	s = strings.ReplaceAll(s, "\n", " ")
	const most = 400
	return text.Cut(s, most)
}
