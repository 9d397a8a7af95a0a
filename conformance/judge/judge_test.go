package judge_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/conformance/judge"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/engine"
)

var worlds = []lab.World{
	{Name: "good", Domain: "good.test", Want: lab.Want{Outcome: "authenticated", Method: "dane-ee", Deliver: true, EveryHost: true, Reason: "dane-ee-match",
		Hosts: []lab.WantHost{{Host: "mx.good.test", Outcome: "authenticated", Method: "dane-ee", Requirement: "dane", SNI: "mx.good.test"}}}},
	{Name: "bad", Domain: "bücher.test", Want: lab.Want{Outcome: "refused"}},
	{Name: "relay", Domain: "relay.test", Request: lab.Request{Request: engine.Request{NextHop: "[127.1.2.3]"}}, Want: lab.Want{Outcome: "encrypted", Deliver: true}},
}

// score judges one line of results and returns the scores by world.
func score(t *testing.T, o judge.Options, lines ...string) (judge.Report, map[string]judge.Score) {
	t.Helper()
	rs, err := judge.Read(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	rep := judge.Judge(worlds, rs, o)
	by := map[string]judge.Score{}
	for _, s := range rep.Scores {
		by[s.World] = s
	}
	return rep, by
}

func TestRight(t *testing.T) {
	rep, _ := score(t, judge.Options{Reasons: true},
		`{"v":1,"domain":"Good.Test.","outcome":"authenticated","method":"dane-ee","deliver":true,"every_host":true,"reason_id":"dane-ee-match","hosts":[{"host":"mx.good.test","outcome":"authenticated","method":"dane-ee","requirement":"dane","sni":"mx.good.test"}]}`,
		``,
		`{"domain":"xn--bcher-kva.test","outcome":"refused","deliver":false}`,
		`{"domain":"[127.1.2.3]","outcome":"encrypted","deliver":true}`)
	if rep.Right != 3 || rep.Wrong != 0 || rep.Missing != 0 || rep.Unknown != nil {
		t.Errorf("%+v", rep)
	}
}

func TestWrong(t *testing.T) {
	const good = `{"world":"good","outcome":"authenticated","deliver":true`
	for _, c := range []struct{ line, want string }{
		{`{"world":"good","outcome":"encrypted","deliver":true}`, "outcome:"},
		{`{"world":"good","outcome":"authenticated"}`, "deliver:"},
		{`{"world":"good","outcome":"authenticated","deliver":false}`, "deliver:"},
		{good + `,"method":"dane-ta"}`, "method:"},
		{good + `,"method":""}`, "method:"},
		{good + `,"every_host":false}`, "every_host:"},
		{good + `,"reason_id":"mta-sts-match"}`, "reason_id:"},
		{good + `,"reason_id":"dane-ee-match","hosts":[]}`, "no row of host mx.good.test"},
		{good + `,"reason_id":"dane-ee-match","hosts":[{"host":"mx.good.test","outcome":"refused"}]}`, "mx.good.test: outcome:"},
		{good + `,"reason_id":"dane-ee-match","hosts":[{"host":"mx.good.test","outcome":"authenticated","method":"pkix"}]}`, "mx.good.test: method:"},
		{good + `,"reason_id":"dane-ee-match","hosts":[{"host":"mx.good.test","outcome":"authenticated","requirement":"may"}]}`, "mx.good.test: requirement:"},
		{good + `,"reason_id":"dane-ee-match","hosts":[{"host":"mx.good.test","outcome":"authenticated","sni":"good.test"}]}`, "mx.good.test: sni:"},
		{`{"world":"good","error":"no"}`, "error:"},
	} {
		rep, by := score(t, judge.Options{Reasons: strings.Contains(c.line, "reason_id")}, c.line)
		s := by["good"]
		if s.Mark != judge.Wrong || len(s.Differences) != 1 || !strings.HasPrefix(s.Differences[0], c.want) || rep.Wrong != 1 || rep.Missing != 2 {
			t.Errorf("%s: %+v", c.line, s)
		}
	}
	if _, by := score(t, judge.Options{}, good+`,"reason_id":"their-own"}`); by["good"].Mark != judge.Right {
		t.Errorf("reasons of another program are held against it: %+v", by["good"])
	}
}

// The last result of a world counts; results of other domains are told.
func TestLastAndUnknown(t *testing.T) {
	rep, by := score(t, judge.Options{}, `{"world":"bad","outcome":"encrypted","deliver":true}`, `{"world":"bad","outcome":"refused","deliver":false}`,
		`{"domain":"elsewhere.test","outcome":"refused","deliver":false}`)
	if by["bad"].Mark != judge.Right || !slices.Equal(rep.Unknown, []string{"domain elsewhere.test"}) {
		t.Errorf("%+v", rep)
	}
	var b strings.Builder
	if err := rep.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := "missing  good                         good.test\nmissing  relay                        relay.test\n" +
		"unknown  \"domain elsewhere.test\" is no world\n1 right, 0 wrong, 2 missing, of 3 worlds\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	b.Reset()
	if err := rep.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back judge.Report
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back.V != 1 {
		t.Error(err)
	}
	if d := cmp.Diff(rep, back); d != "" {
		t.Error(d)
	}
}

// A partial report scores what was answered, and passes only if something was.
func TestPartial(t *testing.T) {
	const right, wrong, other = `{"world":"bad","outcome":"refused","deliver":false}`, `{"world":"good","outcome":"refused","deliver":false}`,
		`{"world":"elsewhere","outcome":"refused","deliver":false}`
	for _, c := range []struct {
		lines   []string
		scores  int
		passed  bool
		summary string
	}{
		{nil, 0, false, "0 right, 0 wrong; 0 of 3 worlds are answered, the others do not count\n"},
		{[]string{right}, 1, true, "1 right, 0 wrong; 1 of 3 worlds are answered, the others do not count\n"},
		{[]string{right, wrong}, 2, false, "1 right, 1 wrong; 2 of 3 worlds are answered, the others do not count\n"},
		{[]string{right, other}, 1, false, "1 right, 0 wrong; 1 of 3 worlds are answered, the others do not count\n"},
	} {
		rep, _ := score(t, judge.Options{Partial: true}, c.lines...)
		var b strings.Builder
		if err := rep.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if len(rep.Scores) != c.scores || rep.Passed() != c.passed || !strings.HasSuffix(b.String(), c.summary) || strings.Contains(b.String(), "missing") {
			t.Errorf("%q: %+v\n%s", c.lines, rep, b.String())
		}
	}
	if rep, _ := score(t, judge.Options{}, right); rep.Passed() {
		t.Error("a report with missing results passes though it is not partial")
	}
}

func TestReadRefuses(t *testing.T) {
	for _, c := range []string{"no json", `{"outcome":"refused"}`, `{"domain":1}`, `{"domain":"` + strings.Repeat("x", 5<<20) + `"}`} {
		if rs, err := judge.Read(strings.NewReader(c)); !errors.Is(err, judge.ErrResults) || rs != nil {
			t.Errorf("%.40q: %v, %v", c, rs, err)
		}
	}
}

// TestReadOdd: what editors and other systems do to a file is read, or refused with the number of
// the line.
func TestReadOdd(t *testing.T) {
	const row = `{"domain":"good.test","outcome":"refused"}`
	wide := func(s string, low int) string {
		b := make([]byte, 2*len(s))
		for i := range len(s) {
			b[2*i+low] = s[i]
		}
		return string(b)
	}
	for name, c := range map[string]struct{ in, want string }{
		"BOM and CRLF":         {"\ufeff" + row + "\r\n" + row + "\r\n", ""},
		"blank lines":          {"\n\n" + row + "\n\n" + row, ""},
		"a long line":          {row + "\n" + strings.Repeat("x", 5<<20), "line 2: more than 4194304 bytes"},
		"NUL":                  {row + "\n{\x00}\n", "line 2: invalid character"},
		"CR alone":             {row + "\r" + row, "line 1: invalid character"},
		"cut":                  {row + "\n" + row[:20], "line 2: unexpected end of JSON input"},
		"UTF-16, little":       {"\xff\xfe" + wide(row, 0), "line 1: the text is UTF-16; want UTF-8"},
		"UTF-16, big":          {"\xfe\xff" + wide(row, 1), "line 1: the text is UTF-16; want UTF-8"},
		"UTF-16, little, bare": {wide(row, 0), "line 1: the text is UTF-16; want UTF-8"},
		"UTF-16, big, bare":    {wide(row, 1), "line 1: the text is UTF-16; want UTF-8"},
		"200,000 lines":        {strings.Repeat("{\"domain\":\"a\"}\n", 200_000), "more than 100000 lines"},
	} {
		t.Run(name, func(t *testing.T) {
			rs, err := judge.Read(strings.NewReader(c.in))
			if c.want == "" && (err != nil || len(rs) != 2) || c.want != "" && (!errors.Is(err, judge.ErrResults) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%d results, %v", len(rs), err)
			}
		})
	}
}

// Whatever a program writes, reading and judging end, and no world is counted twice.
func FuzzJudge(f *testing.F) {
	f.Add(`{"domain":"good.test","outcome":"authenticated","deliver":true,"hosts":[{"host":"mx.good.test"}]}`)
	f.Add("{\"world\":\"bad\"}\n\n{}")
	f.Fuzz(func(t *testing.T, s string) {
		rs, err := judge.Read(strings.NewReader(s))
		if err != nil && rs != nil {
			t.Error("results beside an error")
		}
		rep := judge.Judge(worlds, rs, judge.Options{Reasons: true})
		if rep.Right+rep.Wrong+rep.Missing != len(worlds) || len(rep.Scores) != len(worlds) {
			t.Errorf("%+v", rep)
		}
	})
}
