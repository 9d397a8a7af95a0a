package register_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mxauth/mxauth/conformance/register"
)

const head = "id\tlevel\trfc\tsection\tpackage\trequirement\ttest_idea\tattack_or_failure\n"

const rows = head +
	"A1-2-01\tMUST\t1\t2\tx\tfirst\ti\ta\n" +
	"A1-2-02\tMUST NOT\t1\t2\tx\tsecond | with a bar\ti\ta\n" +
	"B2-3.1-01\tSHOULD\t2\t3.1\ty\tthird <b>\ti\ta\n" +
	"B2-3.1-02\tMUST\t2\t3.1\ty\tfourth\ti\ta\n" +
	"B2-3.1-03\tMUST\t2\t3.1\ty\tfifth\ti\ta\n"

const run = `not json
{"Action":"run","Package":"m/x","Test":"TestA"}
{"Action":"run","Package":"m/x","Test":"TestA/A1-2-01_B2-3.1-01_both"}
{"Action":"output","Package":"m/x","Test":"TestA/A1-2-01_B2-3.1-01_both","Output":"x"}
{"Action":"pass","Package":"m/x","Test":"TestA/A1-2-01_B2-3.1-01_both","Elapsed":0}
{"Action":"pass","Package":"m/x","Test":"TestA/A1-2-01#01","Elapsed":0}
{"Action":"pass","Package":"m/x","Test":"TestA/mentions_A1-2-02_later","Elapsed":0}
{"Action":"fail","Package":"m/x","Test":"TestA/A1-2-02:_x","Elapsed":0}
{"Action":"pass","Package":"m/x","Test":"TestA/A1-2-02:_x","Elapsed":0}
{"Action":"skip","Package":"m/y","Test":"TestB/B2-3.1-02_x","Elapsed":0}
{"Action":"pass","Package":"m/y","Elapsed":0}
`

func build(t *testing.T, excuses string) register.Table {
	t.Helper()
	reqs, err := register.Read(strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	ex, err := register.Excuses(strings.NewReader(excuses))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := register.Scan(strings.NewReader(run))
	if err != nil {
		t.Fatal(err)
	}
	return register.Build(reqs, ex, tests)
}

func TestBuild(t *testing.T) {
	tab := build(t, "# why\n\nB2-3.1-03\tcannot be seen from here\n")
	got := map[string]string{}
	for _, r := range tab.Rows {
		got[r.ID] = r.State()
	}
	want := map[string]string{"A1-2-01": "shown", "A1-2-02": "failed", "B2-3.1-01": "shown", "B2-3.1-02": "skipped", "B2-3.1-03": "excused"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := len(tab.Rows[0].Tests); n != 2 {
		t.Errorf("A1-2-01 is carried by %d subtests, want 2", n)
	}
	if d := cmp.Diff([]string{
		"A1-2-02: a test that carries it failed",
		"B2-3.1-02 (MUST, RFC 2 s.3.1, y): skipped",
	}, tab.Faults()); d != "" {
		t.Error(d)
	}
	if n, of := tab.Count("shown", register.Requirement.Binding); n != 1 || of != 4 {
		t.Errorf("%d of %d binding rows shown", n, of)
	}
	if n, of := tab.Count("shown", nil); n != 2 || of != 5 {
		t.Errorf("%d of %d rows shown", n, of)
	}
}

func TestFaults(t *testing.T) {
	tab := build(t, "A1-2-01\tno need\nZ9-1-01\tunknown\n")
	all := strings.Join(tab.Faults(), "\n")
	for _, want := range []string{"A1-2-01: excused, but shown", "Z9-1-01: excused, but not in the register", "B2-3.1-03 (MUST, RFC 2 s.3.1, y): missing"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in:\n%s", want, all)
		}
	}
}

func TestUnfinishedTestIsAFailure(t *testing.T) {
	reqs, _ := register.Read(strings.NewReader(rows))
	tests, err := register.Scan(strings.NewReader(`{"Action":"run","Package":"m/x","Test":"TestA/A1-2-01"}`))
	if err != nil {
		t.Fatal(err)
	}
	if s := register.Build(reqs, nil, tests).Rows[0].State(); s != "failed" {
		t.Errorf("a test that did not end is %s", s)
	}
}

func TestMalformed(t *testing.T) {
	for what, in := range map[string]string{
		"empty": "", "other columns": "a\tb\n", "no rows": head, "few columns": head + "A\tMUST\n",
		"twice": rows + "A1-2-01\tMUST\t1\t2\tx\tagain\n", "no id": head + "\tMUST\t1\t2\tx\ttext\n",
	} {
		if _, err := register.Read(strings.NewReader(in)); !errors.Is(err, register.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, in := range []string{"A1-2-01", "A1-2-01\t ", "A\tb\nA\tc\n"} {
		if _, err := register.Excuses(strings.NewReader(in)); !errors.Is(err, register.ErrFormat) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestPrint(t *testing.T) {
	tab := build(t, "B2-3.1-03\tcannot be seen | from here\n")
	var text, md, html bytes.Buffer
	if err := errors.Join(tab.WriteText(&text, true), tab.WriteMarkdown(&md), tab.WriteHTML(&html)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, want string }{
		{text.String(), "shown    A1-2-01                  MUST       first\n         pass  m/x TestA/A1-2-01_B2-3.1-01_both\n"},
		{text.String(), "because: cannot be seen"},
		{text.String(), "all      2 of 5 shown, of MUST and MUST NOT 1 of 4, 1 excused, 2 neither\n"},
		{md.String(), "| A1-2-02 | MUST NOT | 1 s.2 | failed | second \\| with a bar | x.TestA |\n"},
		{md.String(), "| excused | fifth | cannot be seen \\| from here |\n"},
		{html.String(), "third &lt;b&gt;"},
	} {
		if !strings.Contains(c.in, c.want) {
			t.Errorf("no %q in:\n%s", c.want, c.in)
		}
	}
}

func TestRegisterReads(t *testing.T) {
	f, err := os.Open("../requirements.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reqs, err := register.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reqs {
		switch r.Level {
		case "MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "DEF":
		default:
			t.Errorf("%s: level %q", r.ID, r.Level)
		}
	}
}
