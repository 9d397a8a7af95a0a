package pkix_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mxauth/mxauth/conformance/sets/chains"
	"github.com/mxauth/mxauth/conformance/sets/setstest"
	"github.com/mxauth/mxauth/conformance/vectors"
)

func openVector(t *testing.T, set, file string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(vectors.Dir(t, set), file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestLimbo(t *testing.T) { setstest.Run(t, "limbo", chains.Limbo) }

func TestBetterTLS(t *testing.T) { setstest.Run(t, "bettertls", chains.BetterTLS) }
