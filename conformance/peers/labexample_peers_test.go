package peers_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/conformance/peers"
)

// docScore is the Postfix whose score docs/lab.md prints.
const docScore = "3.7."

// The example of docs/lab.md runs as it is printed there: posttls-finger answers for the lab's
// domains through a shell script, and mxconform judge scores it. The page has the script and,
// for the Postfix of Debian 12, the score.
func TestLabExample(t *testing.T) {
	peers.Require(t, "posttls-finger", "postconf", "unshare", "mount", "ip", "jq")
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "mxconform"), "github.com/mxauth/mxauth/cmd/mxconform").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	const folder = "../../docs/examples/lab"
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	page := read("../../docs/lab.md")
	for _, name := range []string{"posttls-finger.sh", "run.sh"} {
		if script := read(filepath.Join(folder, name)); !strings.Contains(page, "```sh\n"+script+"```\n") {
			t.Errorf("docs/lab.md does not have %s as it is", name)
		}
	}
	path := "PATH=" + bin + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--net", "sh", filepath.Join(folder, "run.sh"), peers.Dir(t))
	cmd.Env = append(os.Environ(), path)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%v\n%s%s", err, out, &errs)
	}
	score := string(out)
	t.Logf("\n%s", score)

	// What any sender with DANE must get right.
	for _, world := range []string{"dane-ee", "dane-ta", "tlsa-mismatch", "tlsa-servfail", "null-mx", "mx-servfail", "half-dane", "alias-secure", "tlsa-stripped"} {
		if strings.Contains(score, "wrong    "+world+" ") {
			t.Errorf("%s is judged wrong", world)
		}
	}
	if !regexp.MustCompile(`(?m)^[12]\d\d right, [1-9]\d? wrong; 2\d\d of \d+ worlds are answered, the others do not count$`).MatchString(score) {
		t.Errorf("the score is not one of posttls-finger's")
	}
	version, err := exec.CommandContext(ctx, "postconf", "-dh", "mail_version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(version), docScore) {
		t.Logf("docs/lab.md has the score of Postfix %sx, this is %s", docScore, version)
		return
	}
	_, rest, _ := strings.Cut(page, "<!-- score -->\n```text\n")
	want, _, ok := strings.Cut(rest, "```\n")
	if d := cmp.Diff(stable(want), stable(score)); !ok || d != "" {
		t.Errorf("docs/lab.md has another score: %s", d)
	}
}

// stable returns the wrong worlds of a score without those that are right or wrong by the
// address that posttls-finger tries first, which is random.
func stable(score string) []string {
	var out []string
	for line := range strings.Lines(score) {
		if strings.HasPrefix(line, "wrong ") && !strings.Contains(line, " two-addresses-") {
			out = append(out, line)
		}
	}
	return out
}
