package sts_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestGODEBUG runs the fetches once more in a process whose Go runtime takes what it
// refuses by default: a policy host with a key of 1,024 bits, or with RSA key exchange,
// fails all the same.
func TestGODEBUG(t *testing.T) {
	if os.Getenv("GODEBUG") != "" {
		t.Skip("this is such a process")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestFetchFailures$/^RSA", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=tlsrsakex=1,rsa1024min=0,x509negativeserial=1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: TestFetchFailures/RSA") != 2 {
		t.Errorf("%v: %s", err, out)
	}
}
