// Package vectors finds the published test vectors and holds, in the packages
// below it, one reader for each of their formats. The readers return plain
// values and import nothing else of mxauth, so that every package's own tests
// may use them.
package vectors

import (
	"os"
	"path/filepath"
	"testing"
)

// RequireEnv names the environment variable that turns a missing folder of
// vectors from a skip into a failure; CI sets it.
const RequireEnv = "MXAUTH_REQUIRE_VECTORS"

// Dir returns the folder of one set, such as "mta-sts" or "dnssec/rfc", below
// the folder `shared/vectors` next to the checkout. Where there is
// none the test is skipped, or fails if [RequireEnv] is set to a non-empty value.
func Dir(tb testing.TB, set string) string {
	tb.Helper()
	wd, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			p := filepath.Join(filepath.Dir(dir), "shared", "vectors", filepath.FromSlash(set))
			if st, err := os.Stat(p); err == nil && st.IsDir() {
				return p
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if os.Getenv(RequireEnv) != "" {
		tb.Fatalf("the vectors %s are not in shared/vectors next to the checkout, and %s is set", set, RequireEnv)
	}
	tb.Skipf("the vectors %s are not in shared/vectors next to the checkout", set)
	return ""
}
