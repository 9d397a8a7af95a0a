package explain_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine/explain"
)

func TestClip(t *testing.T) {
	for in, want := range map[string]string{"plain": "plain", "a\x00b\x1b[1m\u202e\xff": `a\x00b\x1b[1m\u202e\ufffd`, strings.Repeat("y", 201): strings.Repeat("y", 200) + "...", strings.Repeat("y", 200): strings.Repeat("y", 200)} {
		if got := explain.Clip(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestKinds: each kind of failure of the packages below has a word, which is the end of
// its own text.
func TestKinds(t *testing.T) {
	known := map[string]bool{}
	for err, word := range explain.WordsOfKinds {
		if !strings.HasSuffix(err.Error(), ": "+word) {
			t.Errorf("%q is not how %q ends", word, err)
		}
		known[word] = true
	}
	kinds := regexp.MustCompile(`(?m)^\tErr\w+ += fmt\.Errorf\("%w: ([^"%]+)", (?:ErrUntrusted|ErrLookup|ErrFetch)\)`)
	n := 0
	for _, file := range []string{"../../pkix/errors.go", "../../dnssec/sentinel.go", "../../sts/fetcherror.go"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range kinds.FindAllStringSubmatch(string(src), -1) {
			n++
			if !known[m[1]] {
				t.Errorf("%s: %q has no word", file, m[1])
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d kinds found", n)
	}
}
