package main

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

// A testLab is a running lab with the files that lead mxauth to it.
type testLab struct {
	*lab.Lab
	anchor, ca string   // files
	flags      []string // of the command line
}

// startLab starts a lab that ends with the test; no clock is the real one.
func startLab(t testing.TB, worlds []lab.World, now func() time.Time) *testLab {
	t.Helper()
	l := labtest.Start(t, lab.Config{Worlds: worlds, Now: now})
	out := &testLab{
		Lab:    l,
		anchor: testFile(t, "root.ds", []byte(l.TrustAnchor())),
		ca:     testFile(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.CA().Raw})),
	}
	out.flags = []string{"--resolver", l.Plain().String(), "--trust-anchor", out.anchor, "--ca-file", out.ca, "--allow-address", "127.0.0.0/8"}
	return out
}

// testFile writes a file that ends with the test.
func testFile(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
