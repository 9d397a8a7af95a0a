package explain_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine/explain"
)

func TestClip(t *testing.T) {
	for in, want := range map[string]string{"plain": "plain", "a\x00b\x1b[1m\u202e\xff": "a?b?[1m??", strings.Repeat("y", 201): strings.Repeat("y", 200) + "...", strings.Repeat("y", 200): strings.Repeat("y", 200)} {
		if got := explain.Clip(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
