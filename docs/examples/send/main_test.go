package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

// TestRun runs the command over worlds of the lab whose answer needs no connection to port
// 25, and with arguments that it refuses.
func TestRun(t *testing.T) {
	l := labtest.Start(t, lab.Config{Worlds: labtest.Worlds(t, "null-mx", "zone-wrong-key")})
	dir := t.TempDir()
	anchors, roots := filepath.Join(dir, "root.ds"), filepath.Join(dir, "ca.pem")
	for name, text := range map[string][]byte{anchors: []byte(l.TrustAnchor()), roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.CA().Raw})} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := []string{"-resolver", l.Plain().String(), "-trust-anchor", anchors, "-ca-file", roots, "-allow-address", "127.0.0.0/8", "-from", "a@sender.example"}
	for _, c := range []struct {
		args   []string
		status int
		want   string // beginning of the output, or part of the error
	}{
		{append(flags, "b@null-mx.test"), exitUnavailable, "bounce: The domain null-mx.test says"},
		{append(flags, "b@zone-wrong-key.test"), exitTempFail, "retry: "},
		{append(flags, "b@."), exitUsage, "next hop"},
		{append(flags, "nobody"), exitUsage, "want one recipient"},
		{flags, exitUsage, "want one recipient"},
		{[]string{"-resolver", "?", "-trust-anchor", dir, "b@null-mx.test"}, exitUsage, "?"},
	} {
		var out bytes.Buffer
		status, err := run(t.Context(), c.args, strings.NewReader("Subject: hello\n\nworld\n"), &out)
		if status != c.status || !strings.HasPrefix(out.String(), c.want) && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: exit status %d, %q, %v", c.args[len(c.args)-1], status, out.String(), err)
		}
	}
}
