package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/conformance/lab"
)

// introduced is a stage of docs/introduce.md: what yours.example publishes, and the day.
type introduced struct {
	name  string
	days  int // after the first stage
	world lab.World
}

// stages are those of docs/introduce.md, in order.
func stages() []introduced {
	const reports = "v=TLSRPTv1; rua=mailto:tlsrpt@yours.example"
	policy := func(mode, id string, age int) *lab.STS { return &lab.STS{ID: id, Mode: mode, MaxAge: age} }
	world := func(tlsrpt string, s *lab.STS, tlsa ...string) lab.World {
		return lab.World{Name: "introduce", Domain: "yours.example", About: "a domain on its way",
			Zones: []lab.Zone{{Apex: "yours.example"}}, TLSRPT: tlsrpt, STS: s,
			Hosts: []lab.Host{{Name: "mx.yours.example", Pref: 10, TLSA: tlsa, TLSATTL: 3600}}}
	}
	return []introduced{
		{"nothing", 0, world("", nil)},
		{"reports", 1, world(reports, nil)},
		{"testing", 15, world(reports, policy("testing", "20260602090000", 86400))},
		{"enforce", 22, world(reports, policy("enforce", "20260616090000", 86400))},
		{"month", 23, world(reports, policy("enforce", "20260623090000", 2592000))},
		{"both", 24, world(reports, policy("enforce", "20260623090000", 2592000), "3 1 1 leaf")},
	}
}

var (
	stageMark    = regexp.MustCompile(`<!-- stage: ([a-z]+) -->`)
	digests      = regexp.MustCompile(`\b[0-9a-f]{18,128}\b`) // whole or cut
	milliseconds = regexp.MustCompile(`\b[0-9]+ ms\b`)
)

// constant makes an answer the same in every run: the lab's keys, how long a fetch took, and
// the lab's addresses, for which the page has those of documentation (RFC 5737).
func constant(answer string) string {
	answer = digests.ReplaceAllStringFunc(answer, func(d string) string { return strings.Repeat("0123456789abcdef", 8)[:len(d)] })
	return strings.ReplaceAll(milliseconds.ReplaceAllString(answer, "12 ms"), "127.16.1.", "192.0.2.")
}

// TestIntroduce runs each command of docs/introduce.md against a lab in the stage that the
// page has reached, and compares all that it prints. -update writes the page.
func TestIntroduce(t *testing.T) {
	const page = "introduce.md"
	t.Chdir("../../docs")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	labs := map[string]*testLab{}
	clocks := map[string]func() time.Time{}
	for _, s := range stages() {
		clocks[s.name] = func() time.Time { return goldenClock().AddDate(0, 0, s.days) }
		labs[s.name] = startLab(t, []lab.World{s.world}, clocks[s.name])
	}
	var out bytes.Buffer
	stage, at, sessions := "", 0, 0
	used := map[string]bool{}
	for _, m := range fence.FindAllSubmatchIndex(text, -1) {
		if marks := stageMark.FindAllSubmatch(text[at:m[0]], -1); len(marks) > 0 {
			stage = string(marks[len(marks)-1][1])
		}
		if string(text[m[2]:m[3]]) != "console" {
			continue
		}
		body := string(text[m[4]:m[5]])
		command, want, _ := strings.Cut(body, "\n")
		args, ok := strings.CutPrefix(command, "$ mxauth ")
		l := labs[stage]
		if !ok || l == nil {
			t.Fatalf("%s in stage %q is no command of a stage", command, stage)
		}
		used[stage], sessions = true, sessions+1
		var stdout, stderr bytes.Buffer
		e := newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
		e.dial, e.now = l.Dial, clocks[stage]
		if code := run(t.Context(), append(strings.Fields(args), l.flags...), e); code >= exitRefused {
			t.Errorf("%s: exit status %d\n%s", command, code, stderr.String())
		}
		got := constant(stdout.String())
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" && !*update {
			t.Errorf("%s, stage %s:\n%s%s", command, stage, diff, stderr.String())
		}
		out.Write(text[at:m[4]])
		out.WriteString(command + "\n" + got)
		at = m[5]
	}
	out.Write(text[at:])
	if len(used) != len(stages()) || sessions < 10 {
		t.Errorf("%d sessions in %d stages, want 10 or more in %d", sessions, len(used), len(stages()))
	}
	if *update {
		if err := os.WriteFile(page, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
