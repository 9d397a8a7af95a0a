package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/internal/text"
)

// terminal is a world whose servers try to write to the terminal of who checks it.
var terminal = lab.World{
	Name: "terminal", Domain: "terminal.test", About: "names with escape sequences in them",
	Zones: []lab.Zone{{Apex: "terminal.test", Sign: lab.Unsigned}},
	Hosts: []lab.Host{{Name: "mx.terminal.test", Pref: 10, Chain: lab.Chain{
		By: lab.SelfSigned, NoSAN: true, CN: "\x1b]0;owned\x07\x1b[2J\u202egood.example",
	}}},
	Records: []string{`_mta-sts.terminal.test. 0 IN TXT "v=STSv1; id=\027[31mred;"`},
	Want:    lab.Want{Outcome: "encrypted", Deliver: true},
}

// reported are worlds whose owners hear of failures: of the MX lookup, of a host that may
// not be used, and of one that shows another key at one of its addresses.
var reported = []lab.World{
	{
		Name: "reported-mx", Domain: "reported-mx.test", About: "the MX records have lost their signature, and reports are asked for", TLSRPT: "v=TLSRPTv1; rua=mailto:tls@reported-mx.test",
		Zones: []lab.Zone{{Apex: "reported-mx.test", Break: []lab.Break{{What: lab.Stripped, Name: "reported-mx.test", Type: "MX"}}}},
		Hosts: []lab.Host{{Name: "mx.reported-mx.test", Pref: 10}},
		Want:  lab.Want{Outcome: "deferred"},
	},
	{
		Name: "reported-hosts", Domain: "reported-hosts.test", About: "a TLSA lookup fails, another record does not match, and reports are asked for", TLSRPT: "v=TLSRPTv1; rua=mailto:tls@reported-hosts.test",
		Zones: []lab.Zone{{Apex: "reported-hosts.test"}}, Faults: []lab.Fault{{Name: "_25._tcp.mx1.reported-hosts.test", Type: "TLSA", What: lab.ServFail}},
		Hosts: []lab.Host{{Name: "mx1.reported-hosts.test", Pref: 10}, {Name: "mx2.reported-hosts.test", Pref: 20, TLSA: []string{"3 1 1 other"}}},
		Want:  lab.Want{Outcome: "refused"},
	},
}

// ending is a world whose policy ends at once: it holds for the delivery that fetched it.
var ending = lab.World{
	Name: "sts-zero", Domain: "sts-zero.test", About: "the policy has a max_age of 0, and the certificate is self-signed",
	Zones: []lab.Zone{{Apex: "sts-zero.test", Sign: lab.Unsigned}},
	Hosts: []lab.Host{{Name: "mx.sts-zero.test", Pref: 10, Chain: lab.Chain{By: lab.SelfSigned}}},
	STS:   &lab.STS{Body: "version: STSv1\r\nmode: enforce\r\nmx: mx.sts-zero.test\r\nmax_age: 0\r\n"},
	Want:  lab.Want{Outcome: "refused"},
}

// lastExit is the key of the exit status that a script's last mxauth had.
type lastExit struct{}

// TestScripts runs the scripts of testdata/script: what a user types, and what he
// reads. They run against one lab with all its worlds; its dialler takes the place of
// the network. $RESOLVER validates, $PLAIN does not, $STRIPS loses all DNSSEC, $LIES
// sets AD on everything, $NOBODY is a port where nothing listens, $SILENT one that answers nothing.
func TestScripts(t *testing.T) {
	l := startLab(t, slices.Concat(lab.Worlds(), reported, []lab.World{terminal, ending}), nil)
	p := &printed{lines: map[string]int{}, seen: map[string]bool{}, ended: map[string]map[int]int{}}
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	// t.Run waits for the scripts, which run in parallel, before the lab is closed.
	t.Run("script", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:                 "testdata/script",
			RequireUniqueNames:  true,
			RequireExplicitExec: true,
			Setup: func(e *testscript.Env) error {
				e.Values[lastExit{}], e.Values[socketKey{}] = new(int), new(*net.UnixConn)
				for name, value := range map[string]string{
					"RESOLVER": l.Resolver().String(), "PLAIN": l.Plain().String(), "STRIPS": l.Strips().String(),
					"LIES": l.Lies().String(), "NOBODY": nobody(t), "SILENT": silent.LocalAddr().String(), "ANCHOR": l.anchor, "CA": l.ca,
					"LAB": "", // see mxauth below
				} {
					e.Setenv(name, value)
				}
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				// mxauth [< FILE] ARGS...: runs it in this process. An argument LAB stands for the
				// flags that point it at the lab.
				"mxauth": func(ts *testscript.TestScript, neg bool, args []string) {
					code := runScripted(ts, l, p, args)
					*ts.Value(lastExit{}).(*int) = code
					if neg == (code == 0) {
						ts.Fatalf("exit status %d", code)
					}
				},
				// follow REGEXP [< FILE] [DOMAIN]: runs the one example of the help that is in stdout
				// whose line has the expression, about DOMAIN or FILE, against the lab.
				"follow": func(ts *testscript.TestScript, neg bool, args []string) {
					line, err := exampleOf(ts.ReadFile("stdout"), args[0])
					ts.Check(err)
					code := runScripted(ts, l, p, followed(line, args[1:]))
					*ts.Value(lastExit{}).(*int) = code
					if neg == (code == 0) {
						ts.Fatalf("exit status %d of %s", code, line)
					}
				},
				// partners FILE N: writes a list of N domains, which have one of a few worlds each.
				"partners": func(ts *testscript.TestScript, _ bool, args []string) {
					n, err := strconv.Atoi(args[1])
					ts.Check(err)
					var b strings.Builder
					for i := range n {
						b.WriteString([]string{"dane-ee.test", "null-mx.test", "sts-enforce.test", "stripped-nothing.test", "half-dane.test"}[i%5] + "\n")
					}
					ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
				},
				// worlds FILE: writes the domains of all worlds of the lab.
				"worlds": func(ts *testscript.TestScript, _ bool, args []string) {
					var b strings.Builder
					for _, w := range lab.Worlds() {
						b.WriteString(w.Domain + "\n")
					}
					ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
				},
				// status N: the last mxauth ended with this exit status.
				"status": func(ts *testscript.TestScript, neg bool, args []string) {
					if got := strconv.Itoa(*ts.Value(lastExit{}).(*int)); neg || !slices.Equal(args, []string{got}) {
						ts.Fatalf("exit status %s, want %v", got, args)
					}
				},
				// printable FILE: no control character but the line feed is in it.
				"printable": func(ts *testscript.TestScript, neg bool, args []string) {
					for _, r := range strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "") {
						if text.Unsafe(r) {
							ts.Fatalf("%s holds the character %U", args[0], r)
						}
					}
				},
				// forge WORLD: the world turns from what it was into what it is.
				"forge": func(ts *testscript.TestScript, neg bool, args []string) {
					if err := l.Forge(args...); (err != nil) != neg {
						ts.Fatalf("%v", err)
					}
				},
				// peer hangs|closes|drops|lies PATH: opens a socket that reads nothing, closes each
				// connection, closes it after it has read something, or answers with a web page.
				"peer": openPeer,
				// collector PATH: opens the socket of a TLSRPT collector.
				"collector": openSocket,
				// collected FILE: writes the datagrams that have come into a file, a line each.
				"collected": readSocket,
				// validsurvey FILE: it holds rows or a summary as docs/survey.schema.json says.
				"validsurvey": func(ts *testscript.TestScript, neg bool, args []string) {
					validSurvey(ts, neg, args)
					if strings.HasSuffix(args[0], "rows.json") { // lines, which mxauth has validated
						return
					}
					var b bytes.Buffer
					ts.Check(json.Compact(&b, []byte(ts.ReadFile(args[0]))))
					ts.Check(p.validate([]string{"survey", "--json"}, b.Bytes()))
				},
				// cmpdomains A B: two files of rows are of the same domains, in the same order.
				"cmpdomains": cmpDomains,
				// valid FILE: every line is a JSON object as docs/check.schema.json says.
				"valid": func(ts *testscript.TestScript, neg bool, args []string) {
					s, err := loadSchema("check")
					ts.Check(err)
					for line := range strings.Lines(ts.ReadFile(args[0])) {
						if err := s.validate([]byte(line)); (err != nil) != neg {
							ts.Fatalf("%s: %v", line, err)
						}
					}
				},
			},
		})
	})
	p.complete(t)
}

// runScripted runs mxauth in this process with the lab's dialler, and holds what it prints
// with --json against the schema of the verb.
func runScripted(ts *testscript.TestScript, l *testLab, p *printed, args []string) int {
	var stdin io.Reader = strings.NewReader("")
	if len(args) > 1 && args[0] == "<" {
		stdin = strings.NewReader(ts.ReadFile(args[1]))
		args = args[2:]
	}
	if i := slices.Index(args, "LAB"); i >= 0 {
		args = slices.Concat(args[:i], l.flags, args[i+1:])
	}
	// A file name in a flag is of the script's folder.
	for i, a := range args {
		if name, ok := strings.CutPrefix(a, "./"); ok {
			args[i] = ts.MkAbs(name)
		}
	}
	var stdout bytes.Buffer
	e := newEnv(stdin, io.MultiWriter(ts.Stdout(), &stdout), ts.Stderr(), ts.Getenv)
	e.dial = l.Dial
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	code := run(ctx, args, e)
	p.end(args, code)
	ts.Check(p.validate(args, stdout.Bytes()))
	return code
}

// openPeer is the script command peer.
func openPeer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || !slices.Contains([]string{"hangs", "closes", "drops", "lies"}, args[0]) {
		ts.Fatalf("usage: peer hangs|closes|drops|lies PATH")
	}
	ln, err := net.Listen("unix", ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	if args[0] == "hangs" {
		return
	}
	go func() {
		for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
			if args[0] != "closes" {
				_, _ = c.Read(make([]byte, 4096))
			}
			if args[0] == "lies" {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
			}
			c.Close()
		}
	}()
}

// exampleOf returns the command line of the one example of a help text that has the expression.
func exampleOf(help, expression string) (string, error) {
	re, err := regexp.Compile(expression)
	if err != nil {
		return "", err
	}
	_, help, _ = strings.Cut(help, "\nExamples:\n")
	help, _, _ = strings.Cut(strings.ReplaceAll(help, "\\\n", " "), "\n\n")
	var found []string
	for line := range strings.Lines(help) {
		if command, _, _ := strings.Cut(strings.TrimSpace(line), "  "); re.MatchString(line) && strings.HasPrefix(command, "mxauth ") {
			found = append(found, command)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%q fits %q of the examples of the help", expression, found)
	}
	return found[0], nil
}

// followed are the arguments of an example, about other domains than it names: with the domain of
// args in place of example.org, or with the list of args as standard input.
func followed(line string, args []string) []string {
	line, _, list := strings.Cut(line, " < ")
	out := append(strings.Fields(line)[1:], "LAB")
	switch {
	case list && len(args) == 2:
		return append([]string{"<", args[1]}, out...)
	case !list && len(args) == 1:
		for i, a := range out {
			if a == "example.org" {
				out[i] = args[0]
			} else if strings.HasSuffix(a, ".pem") {
				out[i] = "./" + a
			}
		}
		return out
	}
	return nil // refused as a command line without a verb
}

// The address of a port at which nothing listens: the kernel gives port 1 to no socket.
func nobody(t *testing.T) string {
	t.Helper()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, 9, 9}), 1).String()
}

// TestWriteError: an answer that cannot be written is no success.
func TestWriteError(t *testing.T) {
	var stderr bytes.Buffer
	e := newEnv(strings.NewReader(""), failingWriter{}, &stderr, func(string) string { return "" })
	if code := run(t.Context(), []string{"--help"}, e); code != exitFault || !strings.Contains(stderr.String(), "disk full") {
		t.Errorf("exit status %d, want %d; standard error: %q", code, exitFault, stderr.String())
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestInterrupt: a run that is interrupted says so and prints no verdict.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	e := newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
	code := run(ctx, []string{"check", "--resolver", nobody(t), "--timeout", "1s", "example.org"}, e)
	if code != exitInterrupted || stdout.Len() != 0 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit status %d, want %d; standard output %q, standard error %q", code, exitInterrupted, stdout.String(), stderr.String())
	}
}

// TestPanic: a fault of this program is reported as one.
func TestPanic(t *testing.T) {
	var stdout, stderr bytes.Buffer
	e := newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
	e.now = func() time.Time { panic("the clock is broken") }
	if code := run(t.Context(), []string{"demo", "null-mx"}, e); code != exitFault || !strings.Contains(stderr.String(), "the clock is broken") {
		t.Errorf("exit status %d, want %d; standard error: %s", code, exitFault, stderr.String())
	}
}
