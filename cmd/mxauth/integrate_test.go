package main

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

// labMain is the file that has a program of the page ask the lab.
const labMain = `package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/pkix"
)

func labConfig() (c mxauth.Config) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	server, err := upstream.ParseServer(os.Getenv("LAB_RESOLVER"))
	must(err)
	c.Servers = []upstream.Server{server}
	text, err := os.ReadFile(os.Getenv("LAB_ANCHOR"))
	must(err)
	c.Anchors, err = anchor.Parse(strings.NewReader(string(text)))
	must(err)
	text, err = os.ReadFile(os.Getenv("LAB_CA"))
	must(err)
	block, _ := pem.Decode(text)
	ca, err := x509.ParseCertificate(block.Bytes)
	must(err)
	c.Roots = pkix.NewRoots(ca)
	c.AllowAddresses = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		conn, err := net.Dial("unix", os.Getenv("LAB_DIALER"))
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(conn, addr)
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			conn.Close()
			return nil, syscall.ECONNREFUSED
		}
		return conn, nil
	}
	return c
}
`

// goBuild compiles files into a program, within this module.
func goBuild(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("testdata", "integrate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./"+dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// status is how a program ended.
func status(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return 0
}

// TestIntegrate compiles and runs the blocks of docs/integrate.md.
func TestIntegrate(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "integrate.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]string{}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	if len(blocks["go"]) != 2 || len(blocks["sh"]) != 2 || len(blocks["bash"]) != 1 || len(blocks["toml"]) != 1 {
		t.Fatalf("%d Go, %d sh, %d bash, %d toml", len(blocks["go"]), len(blocks["sh"]), len(blocks["bash"]), len(blocks["toml"]))
	}
	l := startLab(t, serveWorlds(t, "dane-ee", "tlsa-mismatch", "stripped-nothing"), nil)
	d, _ := startHTTP(t, l, "")
	socket := filepath.Join(d.dir, "h")
	here := strings.NewReplacer("/run/mxauth/http.sock", socket, "mx.example.org", "mx.dane-ee.test", "example.org", "dane-ee.test")

	t.Run("configuration", func(t *testing.T) {
		if err := settings.Defaults().Parse("integrate.md", blocks["toml"][0]); err != nil {
			t.Error(err)
		}
	})
	t.Run("package", func(t *testing.T) {
		program := blocks["go"][0]
		f, err := parser.ParseFile(token.NewFileSet(), "main.go", program, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if path := strings.Trim(i.Path.Value, `"`); strings.Contains(path, ".") && path != "github.com/mxauth/mxauth" {
				t.Errorf("imports %s", path)
			}
		}
		goBuild(t, map[string]string{"main.go": program})
		inLab := strings.Replace(program, "mxauth.Config{}", "labConfig()", 1)
		if inLab == program {
			t.Fatal("no mxauth.Config{}")
		}
		cmd := exec.CommandContext(t.Context(), goBuild(t, map[string]string{"main.go": inLab, "lab.go": labMain}), "dane-ee.test", "tlsa-mismatch.test")
		cmd.Env = append(os.Environ(), "LAB_RESOLVER="+l.Plain().String(), "LAB_ANCHOR="+l.anchor, "LAB_CA="+l.ca, "LAB_DIALER="+serveDialer(t, l))
		out, err := cmd.CombinedOutput()
		if want := "dane-ee.test authenticated dane-ee true dane-ee-match\ntlsa-mismatch.test refused  false dane-no-match\n"; err != nil || string(out) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, out, want)
		}
	})
	t.Run("daemon", func(t *testing.T) {
		program := goBuild(t, map[string]string{"main.go": blocks["go"][1]})
		out, err := exec.CommandContext(t.Context(), program, socket, "dane-ee.test").CombinedOutput()
		if want := "mx.dane-ee.test dane\n"; err != nil || string(out) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, out, want)
		}
		if out, err := exec.CommandContext(t.Context(), program, socket, "a..b").CombinedOutput(); err == nil || !strings.Contains(string(out), "not a host name") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	tool(t, "curl")
	t.Run("curl", func(t *testing.T) {
		commands := append(strings.Split(strings.TrimSpace(blocks["sh"][0]), "\n"), blocks["sh"][1])
		wants := []string{`"requirement":"dane"`, `"reply":"OK dane-only`, `"outcome":"authenticated"`, `"reason_id":"no-starttls"`}
		if len(commands) != len(wants) {
			t.Fatalf("%d commands", len(commands))
		}
		for i, command := range commands {
			out, err := exec.CommandContext(t.Context(), "bash", "-ec", here.Replace(command)).CombinedOutput()
			if err != nil || !strings.Contains(string(out), wants[i]) {
				t.Errorf("%v, want %s\n%s\n%s", err, wants[i], command, out)
			}
		}
	})
	t.Run("monitoring", func(t *testing.T) {
		script := filepath.Join(t.TempDir(), "check_mxauth")
		write(t, script, blocks["bash"][0])
		d, _ := startHTTP(t, l, "") // with checks of its own
		socket := filepath.Join(d.dir, "h")
		for _, c := range []struct {
			args   []string
			status int
			want   string
		}{
			{[]string{socket, "dane-ee.test"}, 0, `dane-ee.test: authenticated\n`},
			{[]string{socket, "dane-ee.test", "stripped-nothing.test"}, 1, `dane-ee.test: authenticated\nstripped-nothing.test: (encrypted|cleartext)\n`},
			{[]string{socket, "tlsa-mismatch.test"}, 2, `tlsa-mismatch.test: refused\n`},
			{[]string{socket, "a..b"}, 3, `a..b: not checked: .*not a host name.*\n`},
			{[]string{socket + "-absent", "dane-ee.test"}, 3, `mxauth is not ready\n`},
		} {
			out, err := exec.CommandContext(t.Context(), "bash", append([]string{script}, c.args...)...).Output()
			if got := status(t, err); got != c.status || !regexp.MustCompile(`\A`+c.want+`\z`).MatchString(string(out)) {
				t.Errorf("%q: %d %s, want %d %s", c.args[1:], got, out, c.status, c.want)
			}
		}
	})
}
