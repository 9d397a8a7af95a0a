package main

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
)

// exceptionFor is an exception for a domain.
func exceptionFor(domain, effect string) string {
	return fmt.Sprintf("[[exception]]\nid=%q\ndomain=%q\neffect=%q\nreason=\"test\"\nauthor=\"postmaster\"\nends=%s\n",
		"x-"+domain, domain, effect, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReload: SIGHUP reads exceptions, anchors, certification authorities and the log level
// again, drops the replies that rest on them, and leaves the old in force where a file has
// a fault.
func TestReload(t *testing.T) {
	l := startLab(t, serveWorlds(t, "tlsa-mismatch", "sts-enforce", "dane-ee"), nil)
	dir := t.TempDir()
	exceptions := filepath.Join(dir, "x.toml")
	write(t, exceptions, "")
	d := startServe(t, l, fmt.Sprintf("[exceptions]\nfile = %q\n[log]\nlevel = \"info\"\n", exceptions))
	expect := func(key, want string) {
		t.Helper()
		if got := d.ask("QUERY", key); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	const daneOnly = "OK dane-only"
	expect("tlsa-mismatch.test", daneOnly)

	t.Run("exceptions", func(t *testing.T) {
		write(t, exceptions, exceptionFor("tlsa-mismatch.test", "encrypt"))
		d.reload()
		expect("tlsa-mismatch.test", "OK encrypt protocols=>=TLSv1.2")
		write(t, exceptions, "[[exception]]\nid = 3\n")
		d.reload()
		d.log.await(t, "the configuration was not read", 1)
		expect("tlsa-mismatch.test", "OK encrypt")
		write(t, exceptions, exceptionFor("tlsa-mismatch.test", "may"))
		if err := os.Chmod(exceptions, 0o666); err != nil {
			t.Fatal(err)
		}
		d.reload()
		if !strings.Contains(d.log.String(), "other users may write to it") {
			t.Error(d.log)
		}
		if err := os.Chmod(exceptions, 0o600); err != nil {
			t.Fatal(err)
		}
		d.reload()
		expect("tlsa-mismatch.test", "OK may")
	})
	t.Run("exceptions are looked at without a signal", func(t *testing.T) {
		const again = "the exceptions were read again"
		before := strings.Count(d.log.String(), again)
		write(t, exceptions, "# none any more\n")
		// An earlier change may be noticed only now: that is the first time, then.
		for n := 1; n == 1 || n == 2 && !strings.HasPrefix(d.ask("QUERY", "tlsa-mismatch.test"), daneOnly); n++ {
			d.log.await(t, again, before+n)
		}
		expect("tlsa-mismatch.test", daneOnly)
	})
	t.Run("exceptions that others may write are not looked at", func(t *testing.T) {
		const refused = "the previous exceptions stay in force"
		before := strings.Count(d.log.String(), refused)
		bad := filepath.Join(dir, "bad.toml")
		write(t, bad, exceptionFor("tlsa-mismatch.test", "may"))
		if err := os.Chmod(bad, 0o646); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(bad, exceptions); err != nil {
			t.Fatal(err)
		}
		d.log.await(t, refused, before+1)
		expect("tlsa-mismatch.test", daneOnly)
		write(t, bad, "# none any more\n")
		if err := os.Rename(bad, exceptions); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("log level", func(t *testing.T) {
		text, err := os.ReadFile(d.config)
		if err != nil {
			t.Fatal(err)
		}
		write(t, d.config, strings.Replace(string(text), `level = "info"`, `level = "warn"`, 1))
		d.reload()
		expect("dane-ee.test", daneOnly)
		if strings.Contains(d.log.String(), "key=dane-ee.test") {
			t.Error("logged below the level")
		}
		write(t, d.config, strings.Replace(string(text), `[serve]`, "[serve]\npatience = \"3s\"\n", 1))
		d.reload()
		d.log.await(t, "these settings have changed and count after a restart", 1)
		write(t, d.config, "[serve]\nno-such-key = 1\n")
		n := strings.Count(d.log.String(), "the configuration was not read")
		d.reload()
		if strings.Count(d.log.String(), "the configuration was not read") != n+1 || !strings.Contains(d.log.String(), "no-such-key") {
			t.Error(d.log)
		}
		write(t, d.config, string(text))
		d.reload()
	})
	t.Run("anchors and certification authorities", func(t *testing.T) {
		expect("sts-enforce.test", "OK secure")
		expect("dane-ee.test", daneOnly)
		anchors, err := os.ReadFile(l.anchor)
		if err != nil {
			t.Fatal(err)
		}
		// An anchor that fits no key of the root: nothing can be proved any more.
		write(t, l.anchor, ". IN DS 1 13 2 "+strings.Repeat("00", 32)+"\n")
		d.reload()
		expect("dane-ee.test", "TEMP ")
		write(t, l.anchor, "nonsense\n")
		d.reload()
		if !strings.Contains(d.log.String(), "trust-anchor") {
			t.Error(d.log)
		}
		write(t, l.anchor, string(anchors))
		d.reload()
		expect("dane-ee.test", daneOnly)
		// Another authority: the policy that is kept stays, the next fetch fails.
		write(t, l.ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: otherCA(t)})))
		d.reload()
		expect("sts-enforce.test", "OK secure")
		if code, _, errOut := d.mxauth("cache", "delete", "sts-enforce.test"); code != 0 {
			t.Fatal(errOut)
		}
		expect("sts-enforce.test", "NOTFOUND ")
	})
	if code := d.stop(); code != 0 {
		t.Errorf("status %d", code)
	}
}

// otherCA is the certificate of a lab's authority that is not that of any other lab.
func otherCA(t *testing.T) []byte {
	l, err := lab.Start(t.Context(), lab.Config{Worlds: serveWorlds(t, "null-mx")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.CA().Raw
}

// TestServeRefuses: what serve and serve --check do not start with.
func TestServeRefuses(t *testing.T) {
	l := startLab(t, serveWorlds(t, "null-mx"), nil)
	dir := shortDir(t)
	damaged := filepath.Join(dir, "damaged.db")
	write(t, damaged, strings.Repeat("not a database ", 1000))
	open := filepath.Join(dir, "open.toml")
	write(t, open, "")
	if err := os.Chmod(open, 0o666); err != nil {
		t.Fatal(err)
	}
	held := filepath.Join(dir, "held.db")
	holder := startServe(t, l, fmt.Sprintf("[store]\npath = \"bolt:%s\"\n", held))
	for name, c := range map[string]struct{ extra, want string }{
		"another process holds the store":    {"[store]\npath = \"bolt:" + held + "\"\n", "another mxauth holds the store"},
		"a damaged store":                    {"[store]\npath = \"bolt:" + damaged + "\"\n", "rescue"},
		"a store in a folder that is absent": {"[store]\npath = \"bolt:" + dir + "/no/store.db\"\n", "store"},
		"exceptions that others may write":   {"[exceptions]\nfile = \"" + open + "\"\n", "other users may write to it"},
		"exceptions that are absent":         {"[exceptions]\nfile = \"/no/such/file\"\n", "no such file"},
		"mx-alias refuse":                    {"[policy]\nmx-alias = \"refuse\"\n", "allow-deviation"},
		"dane-and-sts both":                  {"[policy]\ndane-and-sts = \"both\"\n", "allow-deviation"},
		"memory without a store":             {"[memory]\naction = \"defer\"\n", "a store in memory is lost at exit"},
		"an unknown key":                     {"[store]\npth = \"memory\"\n", "did you mean store.path"},
	} {
		for _, check := range []bool{true, false} {
			file, _, _ := writeConfig(t, l, shortDir(t), c.extra)
			args := []string{"serve", "--config", file}
			if check {
				args = append(args, "--check")
			}
			var out strings.Builder
			e := newEnv(strings.NewReader(""), &out, &out, func(string) string { return "" })
			if code := run(t.Context(), args, e); code != exitConfig || !strings.Contains(out.String(), c.want) {
				t.Errorf("%s (check %v): status %d: %s", name, check, code, out.String())
			}
		}
	}
	loose, _, _ := writeConfig(t, l, shortDir(t), "")
	if err := os.Chmod(loose, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"serve", "--config", loose}, {"serve", "--config", loose, "--check"}} {
		var out strings.Builder
		e := newEnv(strings.NewReader(""), &out, &out, func(string) string { return "" })
		if code := run(t.Context(), args, e); code != exitConfig || !strings.Contains(out.String(), "other users may write to it") {
			t.Errorf("a configuration that others may write (%v): status %d: %s", args, code, out.String())
		}
	}
	// A check creates no store, and one that the running daemon holds is good.
	fresh := filepath.Join(dir, "fresh.db")
	file, _, _ := writeConfig(t, l, shortDir(t), "[store]\npath = \"bolt:"+fresh+"\"\n")
	for _, config := range []string{file, holder.config} {
		var out strings.Builder
		e := newEnv(strings.NewReader(""), &out, &out, func(string) string { return "" })
		if code := run(t.Context(), []string{"serve", "--config", config, "--check"}, e); code != 0 || !strings.Contains(out.String(), "the daemon can start") {
			t.Errorf("%s: status %d: %s", config, code, out.String())
		}
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("the check has created a store")
	}
	// The daemon that runs is not disturbed by the check of another, and a socket at which a
	// process listens is not taken over.
	var out strings.Builder
	e := newEnv(strings.NewReader(""), &out, &out, func(string) string { return "" })
	file, _, _ = writeConfig(t, l, holder.dir, "")
	if code := run(t.Context(), []string{"serve", "--config", file, "--check"}, e); code != 0 {
		t.Errorf("status %d: %s", code, out.String())
	}
	if code := run(t.Context(), []string{"serve", "--config", file}, e); code != exitConfig || !strings.Contains(out.String(), "another process listens there") {
		t.Errorf("status %d: %s", code, out.String())
	}
	if got := holder.ask("QUERY", "null-mx.test"); got != "NOTFOUND " {
		t.Error(got)
	}
}

// TestAnchorState: the daemon writes the state of the trust anchors, and believes it after a
// restart in place of the file of anchors.
func TestAnchorState(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee"), nil)
	d := newServed(t, l, "")
	state := filepath.Join(d.dir, "root.key")
	d.env["MXAUTH_RESOLVER_ANCHOR_STATE"] = state
	d.start()
	d.log.await(t, "the state of a trust anchor has changed", 1)
	eventually(t, "the state", func() bool { _, err := os.Stat(state); return err == nil })
	if got := d.ask("QUERY", "dane-ee.test"); got != daneReply {
		t.Errorf("%q", got)
	}
	d.stop()
	text, err := os.ReadFile(state)
	if err != nil || !strings.Contains(string(text), ";;state=2 [ VALID ]") {
		t.Fatalf("%s %v", text, err)
	}
	write(t, l.anchor, ". IN DS 1 13 2 "+strings.Repeat("00", 32)+"\n")
	d.start()
	if got := d.ask("QUERY", "dane-ee.test"); got != daneReply {
		t.Errorf("by the state alone: %q", got)
	}
	d.stop()
	write(t, state, "damaged\n")
	var out strings.Builder
	e := newEnv(strings.NewReader(""), &out, &out, func(name string) string { return d.env[name] })
	if code := run(t.Context(), []string{"serve", "--config", d.config, "--check"}, e); code != exitConfig || !strings.Contains(out.String(), "resolver.anchor-state") {
		t.Errorf("status %d: %s", code, out.String())
	}
}
