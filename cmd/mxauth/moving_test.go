package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/policydiff"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/postfixconf"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/internal/text"
)

// movingPages tell how to come from another policy server.
var movingPages = []string{"from-postfix-tlspol.md", "from-mta-sts-resolver.md"}

// code is a text in backquotes.
var code = regexp.MustCompile("`([^`]+)`")

// TestMovingPages: the lines of main.cf leave no fault, the settings of mxauth exist, and so do
// the ids of differences, with the verdict that package policydiff comes to.
func TestMovingPages(t *testing.T) {
	keys := map[string]bool{}
	for _, s := range settings.Table() {
		keys[s.Key] = true
	}
	ids := map[string]bool{}
	for _, r := range policydiff.Reasons() {
		ids[string(r)] = true
	}
	key := regexp.MustCompile(`^(resolver|store|serve|log|policy|trust|memory)\.[a-z-]+`)
	for _, page := range movingPages {
		b, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, m := range code.FindAllStringSubmatch(fence.ReplaceAllString(string(b), ""), -1) {
			if k := key.FindString(m[1]); k != "" && !strings.Contains(m[1], ": ") {
				found++
				if !keys[k] {
					t.Errorf("%s: there is no setting %s", page, k)
				}
			}
		}
		if found < 5 {
			t.Errorf("%s: only %d settings", page, found)
		}
		_, table, _ := strings.Cut(string(b), "## What changes in the answers")
		table, _, _ = strings.Cut(table, "\n## ")
		rows := 0
		for line := range strings.Lines(table) {
			cells := strings.Split(strings.TrimSpace(line), "|")
			if len(cells) != 6 || !strings.HasPrefix(strings.TrimSpace(cells[4]), "`") {
				continue
			}
			rows++
			if id := strings.Trim(cells[4], " `"); !ids[id] {
				t.Errorf("%s: compare has no reason %s", page, id)
			}
		}
		if rows < 5 {
			t.Errorf("%s: only %d rows", page, rows)
		}
		for i, m := range fence.FindAllStringSubmatch(string(b), -1) {
			if m[1] != "maincf" || strings.Count(m[2], "\n") < 4 {
				continue
			}
			p, err := postfixconf.ParseParams(strings.NewReader(m[2]))
			if err != nil {
				t.Fatalf("%s: block %d: %v", page, i, err)
			}
			for _, f := range postfixconf.Check(&postfixconf.Input{Params: p, Version: postfixconf.Version{Major: 3, Minor: 7, Patch: 11}}) {
				if f.Level == postfixconf.Fault {
					t.Errorf("%s: %s: %s", page, f.ID, f.Why)
				}
			}
		}
	}
}

// TestMovingList: the shell line of the pages makes a list of domains of what compare prints.
func TestMovingList(t *testing.T) {
	tool(t, "sed")
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce"), nil)
	log := testFile(t, "mail.log", []byte("Nov  2 10:00:01 mail postfix/smtp[7]: 4Xq1: to=<u@dane-ee.test>, relay=mx[192.0.2.1]:25, status=deferred (x)\n"+
		"Nov  2 10:00:01 mail postfix/smtp[7]: 4Xq1: to=<u@sts-enforce.test>, relay=mx.sts-enforce.test[192.0.2.1]:25, status=sent (x)\n"))
	var stdout bytes.Buffer
	e := newEnv(strings.NewReader(""), &stdout, &bytes.Buffer{}, func(string) string { return "" })
	e.dial = l.Dial
	run(t.Context(), append([]string{"compare", "--json", "--postfix-log", log}, l.flags...), e)
	for _, page := range movingPages {
		b, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^sed -n '(.*)' /tmp/log\.jsonl > `).FindStringSubmatch(string(b))
		if m == nil {
			t.Fatalf("%s has no line of sed", page)
		}
		cmd := exec.CommandContext(t.Context(), "sed", "-n", m[1])
		cmd.Stdin = bytes.NewReader(stdout.Bytes())
		out, err := cmd.Output()
		if err != nil || string(out) != "dane-ee.test\nsts-enforce.test\n" {
			t.Errorf("%s: %q, %v; of\n%s", page, out, err, text.Lines(stdout.String()))
		}
	}
}
