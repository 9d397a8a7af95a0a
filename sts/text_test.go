package sts_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/sts"
)

func TestRowString(t *testing.T) {
	for r, want := range map[sts.Row]string{0: "", sts.S1: "S1", sts.S2: "S2", sts.S9: "S9", sts.S10: "S10", sts.S12: "S12"} {
		if r.String() != want {
			t.Errorf("%d prints as %q", r, r)
		}
	}
	if sts.S12 != 12 {
		t.Error("rows are numbered as in the table")
	}
}

func TestTextForms(t *testing.T) {
	for _, m := range []sts.Mode{sts.ModeNone, sts.ModeTesting, sts.ModeEnforce} {
		var back sts.Mode
		if err := json.Unmarshal(must(json.Marshal(m)), &back); err != nil || back != m {
			t.Errorf("%s: %s, %v", m, back, err)
		}
	}
	var m sts.Mode
	if err := m.UnmarshalText([]byte("Enforce")); err == nil || m != 0 {
		t.Errorf("got %s, %v", m, err)
	}
	if sts.Mode(0).String() != "invalid" {
		t.Error("the zero Mode has a name")
	}
	for _, s := range []string{"a.example", "*.a.example"} {
		p := must(sts.ParsePattern(strings.ToUpper(s)))
		var back sts.Pattern
		if err := json.Unmarshal(must(json.Marshal(p)), &back); err != nil || back != p || p.String() != s {
			t.Errorf("%s: %s, %v", p, back, err)
		}
	}
	var p sts.Pattern
	if err := p.UnmarshalText([]byte("a.*")); !errors.Is(err, sts.ErrPolicy) {
		t.Errorf("got %v", err)
	}
}

func TestErrorTexts(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&sts.SyntaxError{Why: "no version", Field: "version", Kind: sts.ErrPolicy}, "sts: policy invalid: field version: no version"},
		{&sts.SyntaxError{Line: 3, Why: "w", Text: "a\x1b[31m", Kind: sts.ErrPolicy}, `sts: policy invalid: line 3: w: "a\x1b[31m"`},
		{&sts.SyntaxError{Why: "w"}, "sts: syntax: w"},
		{&sts.FetchError{Kind: sts.ErrFetchDNS, Host: host("mta-sts.example.org"), Detail: "d", Cause: errors.New("c")}, "sts: policy fetch failed: dns: mta-sts.example.org: d"},
		{&sts.FetchError{Kind: sts.ErrFetchTCP, Host: host("mta-sts.example.org"), Addr: netip.MustParseAddrPort("9.9.9.10:443"), Cause: errors.New("a \"b\" \\ \x1b")},
			`sts: policy fetch failed: connect: mta-sts.example.org (9.9.9.10:443): a "b" \ \x1b`},
		{&sts.FetchError{Kind: sts.ErrFetchStatus, Host: host("h"), Detail: "status 500", Repeated: true, Until: time.Unix(0, 0)},
			"sts: policy fetch failed: http status: h: status 500 (not tried again before 1970-01-01T00:00:00Z)"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	long := &sts.FetchError{Kind: sts.ErrFetchTLS, Host: host("h"), Cause: errors.New(strings.Repeat("x", 10_000))}
	if n := len(long.Error()); n < 300 || n > 400 {
		t.Errorf("a text of %d octets", n)
	}
	// The text is cut between runes.
	_, err := sts.ParsePolicy([]byte(strings.Repeat("a", 79) + "é"))
	var se *sts.SyntaxError
	if !errors.As(err, &se) || se.Text != strings.Repeat("a", 79) {
		t.Errorf("got %q", se.Text)
	}
	_, err = sts.ParsePolicy([]byte(strings.Repeat("\x80", 100))) // no runes at all: each byte becomes U+FFFD
	if !errors.As(err, &se) || se.Text != strings.Repeat("\ufffd", 26) {
		t.Errorf("got %q", se.Text)
	}
	_, err = sts.ParsePolicy([]byte(strings.Repeat("a", 80)))
	if !errors.As(err, &se) || len(se.Text) != 80 {
		t.Errorf("got %q", se.Text)
	}
}

func TestFetchWords(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range []error{sts.ErrFetchDNS, sts.ErrFetchAddress, sts.ErrFetchTCP, sts.ErrFetchTLS, sts.ErrFetchWebPKI, sts.ErrFetchHTTP, sts.ErrFetchStatus,
		sts.ErrFetchRedirect, sts.ErrFetchMediaType, sts.ErrFetchSize, sts.ErrFetchTimeout, sts.ErrFetchSyntax} {
		w := sts.FetchWord(&sts.FetchError{Kind: kind})
		if w == "" || seen[w] || sts.FetchKind(w) != kind || !errors.Is(kind, sts.ErrFetch) {
			t.Errorf("%v: word %q", kind, w)
		}
		seen[w] = true
	}
	if sts.FetchWord(errors.New("x")) != "" || sts.FetchWord(nil) != "" || sts.FetchKind("x") != sts.ErrFetch {
		t.Error("a word for what is none")
	}
}
