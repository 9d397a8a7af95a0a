package engine_test

import (
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/eachfield"
)

// TestKeyHasEachField: requests that differ in one field never share a kept plan. A plan
// with rules of the operator's own about TLSA records is not kept at all.
func TestKeyHasEachField(t *testing.T) {
	base := engine.Request{NextHop: "example.org", Level: engine.LevelSecure}
	seen := map[any]string{engine.KeyOf(base): "no field"}
	for name, r := range eachfield.Of(base) {
		key := engine.KeyOf(r)
		if strings.HasPrefix(name, "Options.TLSA.") {
			if key != nil {
				t.Errorf("%s: the plan is kept", name)
			}
			continue
		}
		if other, shared := seen[key]; shared || key == nil {
			t.Errorf("%s: the key is that of %s, or none", name, other)
		}
		seen[key] = name
	}
}
