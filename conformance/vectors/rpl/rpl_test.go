package rpl_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/conformance/vectors"
	"github.com/mxauth/mxauth/conformance/vectors/rpl"
)

func TestParse(t *testing.T) {
	f, err := rpl.Parse(strings.NewReader(`; comment
server:
	trust-anchor: "example. DS 1 2 3 00" # why
	val-override-date: "20070916134226"
CONFIG_END
SCENARIO_BEGIN A title
RANGE_BEGIN 0 100
	ADDRESS 192.0.2.1
ENTRY_BEGIN
MATCH opcode qtype
ADJUST copy_id
REPLY QR NOERROR
SECTION QUESTION
example. IN SOA
SECTION ANSWER
example. IN SOA a. b. ( 1 2 ; serial
  3 4 5 )
example. TXT "a;b("
ENTRY_END
RANGE_END
STEP 1 QUERY
ENTRY_BEGIN
REPLY RD DO
SECTION QUESTION
example. IN SOA
ENTRY_END
STEP 2 TIME_PASSES ELAPSE 5
SCENARIO_END
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &rpl.File{
		Title:   "A title",
		Options: []rpl.Option{{"server", ""}, {"trust-anchor", "example. DS 1 2 3 00"}, {"val-override-date", "20070916134226"}},
		Files:   map[string]string{},
		Ranges: []rpl.Range{{From: 0, To: 100, Addresses: []string{"192.0.2.1"}, Entries: []rpl.Entry{{
			Match: []string{"opcode", "qtype"}, Adjust: []string{"copy_id"}, Reply: []string{"QR", "NOERROR"},
			Question: []string{"example. IN SOA"},
			Answer:   []string{"example. IN SOA a. b. ( 1 2    3 4 5 )", `example. TXT "a;b("`},
		}}}},
		Steps: []rpl.Step{
			{N: 1, Event: "QUERY", Args: []string{}, Entry: &rpl.Entry{Reply: []string{"RD", "DO"}, Question: []string{"example. IN SOA"}}},
			{N: 2, Event: "TIME_PASSES", Args: []string{"ELAPSE", "5"}},
		},
	}
	if d := cmp.Diff(want, f); d != "" {
		t.Error(d)
	}
	if got := f.Get("trust-anchor"); len(got) != 1 || got[0] != "example. DS 1 2 3 00" {
		t.Errorf("Get: %q", got)
	}
}

func TestParseErrors(t *testing.T) {
	for name, text := range map[string]string{
		"no config end":   "server:\n",
		"no scenario end": "CONFIG_END\nSCENARIO_BEGIN x\n",
		"bad range":       "CONFIG_END\nSCENARIO_BEGIN x\nRANGE_BEGIN a b\n",
		"bad step":        "CONFIG_END\nSCENARIO_BEGIN x\nSTEP x QUERY\n",
		"open entry":      "CONFIG_END\nSCENARIO_BEGIN x\nSTEP 1 QUERY\nENTRY_BEGIN\nSECTION ANSWER\nfoo. SOA (\n",
		"bad section":     "CONFIG_END\nSCENARIO_BEGIN x\nSTEP 1 QUERY\nENTRY_BEGIN\nSECTION FOO\nENTRY_END\nSCENARIO_END\n",
	} {
		if f, err := rpl.Parse(strings.NewReader(text)); err == nil || f != nil {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// TestVectors reads every file of the published sets.
func TestVectors(t *testing.T) {
	for _, set := range []string{"dnssec/unbound", "dnssec/deckard", "dnssec/unbound-unit"} {
		t.Run(set, func(t *testing.T) {
			dir := vectors.Dir(t, set)
			files, _ := filepath.Glob(filepath.Join(dir, "*pl"))
			if len(files) == 0 {
				t.Fatal("no files")
			}
			for _, name := range files {
				r, err := os.Open(name)
				if err != nil {
					t.Fatal(err)
				}
				f, err := rpl.Parse(r)
				r.Close()
				if err != nil {
					t.Errorf("%s: %v", filepath.Base(name), err)
					continue
				}
				if len(f.Steps) == 0 {
					t.Errorf("%s: no steps", filepath.Base(name))
				}
			}
		})
	}
}
