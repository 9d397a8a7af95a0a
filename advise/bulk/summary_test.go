package bulk_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mxauth/mxauth/advise/bulk"
	"github.com/mxauth/mxauth/engine/reason"
)

func row(domain, provider string, m bulk.Mechanism, faults ...reason.ID) *bulk.Row {
	r := &bulk.Row{V: 1, Line: 1, Domain: domain, Provider: provider, Mechanism: m, Hosts: []bulk.Host{}}
	for _, f := range faults {
		r.Faults = append(r.Faults, bulk.Fault{ReasonID: f, Reason: "it is so."})
	}
	return r
}

func TestTally(t *testing.T) {
	var tally bulk.Tally
	for i := range 5 {
		tally.Add(row(fmt.Sprintf("d%d.example", i), "big.example", bulk.DANE, reason.STSFetch))
	}
	tally.Add(row("e.example", "small.example", bulk.None, reason.STSFetch, reason.TLSAUnusable))
	tally.Add(row("f.example", "", bulk.NoMail))
	tally.Refuse()
	s := tally.Summary()
	if s.Domains != 7 || s.Refused != 1 || s.Authenticated != 5 || s.Outcomes != nil {
		t.Errorf("%+v", s)
	}
	if f := s.Faults; len(f) != 2 || f[0].ReasonID != reason.STSFetch || f[0].Domains != 6 || strings.Join(f[0].Examples, " ") != "d0.example d1.example d2.example" || f[0].About == "" {
		t.Errorf("%+v", f)
	}
	if p := s.Providers; len(p) != 2 || p[0] != (bulk.ProviderCount{Provider: "big.example", Domains: 5, Authenticated: 5, Faulty: 5}) || p[1].Domains != 1 {
		t.Errorf("%+v", p)
	}
	if s.Others != (bulk.ProviderCount{}) {
		t.Errorf("%+v", s.Others)
	}
}

// TestTallyBounded: however many providers there are, no domain is lost from the counts, and the
// largest provider is found.
func TestTallyBounded(t *testing.T) {
	var tally bulk.Tally
	const n = 5 * bulk.MaxProviders
	for i := range n {
		tally.Add(row("a.example", fmt.Sprintf("p%d.example", i), bulk.None))
		tally.Add(row("b.example", "big.example", bulk.MTASTS))
	}
	s := tally.Summary()
	sum := s.Others
	for _, p := range s.Providers {
		sum.Domains += p.Domains
		sum.Authenticated += p.Authenticated
	}
	if sum.Domains != 2*n || sum.Authenticated != n || s.Providers[0] != (bulk.ProviderCount{Provider: "big.example", Domains: n, Authenticated: n}) {
		t.Errorf("%+v of %d, %+v", sum, n, s.Providers[0])
	}
}

// TestWriteText: lines fit the width, words alone may be longer.
func TestWriteText(t *testing.T) {
	var tally bulk.Tally
	tally.Add(row("a.example", "mx.example", bulk.HalfDANE, reason.HalfDANE))
	s := tally.Summary()
	for _, width := range []int{20, 60, 90} {
		var b strings.Builder
		if err := s.WriteText(&b, width); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if utf8.RuneCountInString(line) > max(width, 45) || strings.HasSuffix(line, " ") {
				t.Errorf("width %d: %q", width, line)
			}
		}
		if !strings.Contains(b.String(), "half-dane:") || !strings.Contains(strings.Join(strings.Fields(b.String()), " "), "ended before") {
			t.Error(b.String())
		}
	}
}

// TestWriteHTML: the page refers to nothing outside, and what is in it is escaped.
func TestWriteHTML(t *testing.T) {
	var tally bulk.Tally
	r := row("<script>alert(1)</script>", "\"><img src=x>", bulk.None, reason.STSFetch)
	tally.Add(r)
	s := tally.Summary()
	var b strings.Builder
	if err := s.WriteHTML(&b, "a <b>"); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if m := regexp.MustCompile(`(?i)<script|<img|<link|src=|href=|url\(|@import|http:|https:`).FindString(strings.ReplaceAll(page, "&#34;&gt;&lt;img src=x&gt;", "")); m != "" {
		t.Errorf("the page holds %q", m)
	}
	for _, want := range []string{"<title>a &lt;b&gt;</title>", "&lt;script&gt;alert(1)", "<svg ", "default-src 'none'", "sts-fetch-failed"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestInert(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\ta": "'\ta", "\ra": "'\ra", "a=1": "a=1", "＝1": "'＝1", "1": "1",
	} {
		if got := bulk.Inert(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestCSV: what is written is read back, in as many columns as the header has.
func TestCSV(t *testing.T) {
	var b strings.Builder
	w := bulk.NewCSVWriter(&b)
	r := row("-a.example", "=p.example", bulk.None, reason.STSFetch, reason.TLSAUnusable)
	r.Faults[0].Reason = "@SUM(1,\"2\")\nx"
	if err := w.Write(r); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteRefused(&bulk.Refused{Line: 2, Asked: "=x", Error: "+y"}); err != nil {
		t.Fatal(err)
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	got := strings.Join(all[1], "|") + "\n" + strings.Join(all[2], "|")
	if want := "1|'-a.example|none|||'=p.example||sts-fetch-failed tlsa-unusable|'@SUM(1,\"2\")\nx|\n2|'=x||||||||'+y"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	b.Reset()
	if err := bulk.NewCSVWriter(&b).End(); err != nil || !strings.HasPrefix(b.String(), "line,domain,") {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestMechanismText(t *testing.T) {
	for m := bulk.Undetermined; m <= bulk.NoMail; m++ {
		b, _ := json.Marshal(m)
		var back bulk.Mechanism
		if err := json.Unmarshal(b, &back); err != nil || back != m {
			t.Errorf("%s: %v, %v", b, back, err)
		}
	}
	var m bulk.Mechanism
	if err := m.UnmarshalText([]byte("x")); err == nil {
		t.Error("no error")
	}
}
