package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// TestPasswordFile: the password of a store on a server may be in a file of its own, which others
// must not read, and which nothing prints.
func TestPasswordFile(t *testing.T) {
	l := startLab(t, serveWorlds(t, "sts-enforce"), nil)
	m := miniredis.RunT(t)
	const secret = "p/ss@w:rd"
	m.RequireUserAuth("mxauth", secret)
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, secret+"\n")
	d := startServe(t, l, fmt.Sprintf("[store]\npath = \"redis://mxauth@%s\"\npassword-file = %q\n", m.Addr(), file))
	if got := d.ask("QUERY", "sts-enforce.test"); got != stsReply {
		t.Error(got)
	}
	if len(m.DB(0).Keys()) == 0 {
		t.Error("nothing was stored")
	}
	for _, args := range [][]string{{"config", "print", "--config", d.config}, {"status"}} {
		_, out, more := d.mxauth(args...)
		if strings.Contains(out+more, secret) || !strings.Contains(out, m.Addr()) {
			t.Errorf("%v: %s%s", args, out, more)
		}
	}
	if strings.Contains(d.log.String(), secret) {
		t.Error("the log has the password")
	}
	for _, c := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{secret, 0o644, "other users may read it"}, {secret, 0o620, "other users may write to it"}, {"", 0o600, "want one line"},
		{"a\nb", 0o600, "want one line"}, {secret, 0o640, ""}, {"wrong", 0o600, "does not accept the user or the password"},
	} {
		write(t, file, c.text)
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		code, out, more := d.mxauth("serve", "--check", "--config", d.config)
		if good := c.want == ""; good != (code == 0) || !strings.Contains(more, c.want) || strings.Contains(out+more, secret) {
			t.Errorf("%q, mode %o: status %d, %s%s", c.text, c.mode, code, out, more)
		}
	}
}
