package main

import (
	"bytes"
	"crypto/tls"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/netip"
	"net/smtp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
)

// This function is in the README word for word.

func decide(e *engine.Engine, conn net.Conn, plan *engine.Plan, i int) (engine.Decision, *smtp.Client) {
	attempt := e.Attempt(plan, i, conn.RemoteAddr().(*net.TCPAddr).AddrPort())
	client, err := smtp.NewClient(attempt.Watch(conn), plan.Hosts[i].Name.String())
	if err == nil {
		err = client.Hello("mx.sender.example") // the full name of this machine
	}
	var state tls.ConnectionState
	if err == nil && attempt.OffersSTARTTLS() {
		err = client.StartTLS(attempt.TLSConfig()) // and EHLO inside TLS
		state, _ = client.TLSConnectionState()
	}
	attempt.Done(state, err)
	return attempt.Decision(false), client // MAIL FROM only if it says Deliver
}

// at gives a connection the address that was dialled, which the lab maps elsewhere.
type at struct {
	net.Conn
	addr netip.AddrPort
}

func (c at) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.addr) }

// TestReadmeEngine runs the README's Go over worlds of the lab.
func TestReadmeEngine(t *testing.T) {
	l := labtest.Start(t, lab.Config{Worlds: lab.Worlds()})
	srv, err := upstream.PlainServer(l.Resolver())
	if err != nil {
		t.Fatal(err)
	}
	// The resolver of the lab validates: its root is not the world's.
	client, err := mxauth.New(mxauth.Config{Servers: []upstream.Server{srv}, TrustAD: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	e := client.Engine()
	for domain, want := range map[string]engine.Outcome{
		"dane-ee.test": engine.Authenticated, "tlsa-mismatch.test": engine.Refused,
		"stripped-dane.test": engine.Refused, "stripped-nothing.test": engine.Cleartext,
		"dane-injected.test": engine.Refused, "may-injected.test": engine.Cleartext, "dane-alert.test": engine.Refused,
		"ehlo-close.test": engine.Deferred,
	} {
		plan, err := e.Plan(t.Context(), engine.Request{NextHop: domain})
		if err != nil || len(plan.Hosts) != 1 {
			t.Fatalf("%s: %v, %d hosts", domain, err, len(plan.Hosts))
		}
		addr := netip.AddrPortFrom(plan.Hosts[0].Addresses[0], plan.Hosts[0].Port)
		conn, err := l.Dial(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		d, client := decide(e, at{conn, addr}, plan, 0)
		_ = conn.Close()
		if client == nil || d.Outcome != want || d.Deliver != want.Deliverable() {
			t.Errorf("%s: %v %v, want %v: %s", domain, d.Outcome, d.Deliver, want, explain.Text(d.Reason))
		}
	}
}

// A snippet is one fenced block of a page.
type snippet struct{ page, kind, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// snippets reads the blocks of the pages that speak of commands.
func snippets(t *testing.T) (out []snippet) {
	t.Helper()
	for _, page := range []string{"README.md", "docs/check.md", "docs/install.md", "docs/operations.md", "docs/survey.md", "docs/development.md", "docs/from-postfix-tlspol.md", "docs/from-mta-sts-resolver.md"} {
		b, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllStringSubmatch(string(b), -1) {
			out = append(out, snippet{page, m[1], m[2]})
		}
	}
	return out
}

// TestReadmeGo: the Go of the README is that of this file and of the root's examples.
func TestReadmeGo(t *testing.T) {
	compiled := map[string]bool{}
	for _, name := range []string{"readme_test.go", "../../example_test.go"} {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				compiled[string(src[fset.Position(fn.Pos()).Offset:fset.Position(fn.End()).Offset])+"\n"] = true
			}
		}
	}
	n := 0
	for _, s := range snippets(t) {
		if s.kind != "go" {
			continue
		}
		n++
		if !compiled[s.text] {
			t.Errorf("%s: this is not in readme_test.go:\n%s", s.page, s.text)
		}
	}
	if n != 2 {
		t.Errorf("%d Go snippets, want 2", n)
	}
}

// TestReadmeSessions runs each console block: its first line is a command, the rest what
// it prints, where a line of three dots stands for any lines.
func TestReadmeSessions(t *testing.T) {
	n := 0
	for _, s := range snippets(t) {
		if s.kind != "console" {
			continue
		}
		n++
		command, want, _ := strings.Cut(s.text, "\n")
		args, ok := strings.CutPrefix(command, "$ mxauth ")
		if !ok {
			t.Fatalf("%s: not a command: %s", s.page, command)
		}
		var stdout, stderr bytes.Buffer
		e := newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
		run(t.Context(), strings.Fields(args), e)
		var re strings.Builder
		re.WriteString(`\A`)
		for line := range strings.Lines(want) {
			if line == "...\n" {
				re.WriteString(`(?:.*\n)*?`)
			} else {
				re.WriteString(regexp.QuoteMeta(line))
			}
		}
		re.WriteString(`\z`)
		if !regexp.MustCompile(re.String()).MatchString(stdout.String()) {
			t.Errorf("%s: %s prints\n%s%s\nwant\n%s", s.page, command, stdout.String(), stderr.String(), want)
		}
	}
	if n == 0 {
		t.Error("no session")
	}
}

// TestReadmeCommands: every command of the pages has the verbs and flags that it uses.
func TestReadmeCommands(t *testing.T) {
	n := 0
	for _, s := range snippets(t) {
		if s.kind != "sh" && s.kind != "console" {
			continue
		}
		for line := range strings.Lines(s.text) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
			line = strings.Replace(line, "go run ./cmd/mxauth ", "mxauth ", 1)
			line, _, _ = strings.Cut(line, " < ")
			line, _, _ = strings.Cut(line, " > ")
			line, _, _ = strings.Cut(line, " | ")
			args, ok := strings.CutPrefix(line, "mxauth ")
			if !ok {
				continue
			}
			n++
			e := newEnv(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}, func(string) string { return "" })
			cmd, rest, err := newRoot(e).Find(strings.Fields(args))
			if err == nil && !cmd.HasParent() {
				t.Errorf("%s: no such verb: %s", s.page, line)
				continue
			}
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %s: %v", s.page, line, err)
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d commands found", n)
	}
}
