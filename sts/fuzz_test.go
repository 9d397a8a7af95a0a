package sts_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// safeLine reports whether s can be shown on a terminal as one line.
func safeLine(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// FuzzParseRecord: what parses prints and parses back to the same value; an error returns
// nothing.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{"v=STSv1; id=a", "v=STSv1 ; id=a; x=y;", "v=STSv1; id=;", "v=STSv1;;", "\x00"} {
		f.Add(s, "v=spf1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		r, err := sts.ParseRecord([]string{b, a})
		if err != nil {
			if !errors.Is(err, sts.ErrNoRecord) || r.ID != "" || r.Text != "" || r.Ext != nil || !safeLine(err.Error()) || len(err.Error()) > 600 {
				t.Fatalf("%q: %+v, %v", a, r, err)
			}
			return
		}
		back, err := sts.ParseRecord([]string{r.String()})
		if err != nil || back.ID != r.ID || fmt.Sprint(back.Ext) != fmt.Sprint(r.Ext) {
			t.Fatalf("%q prints as %q, which reads as %+v, %v", a, r.String(), back, err)
		}
		if r.Text != a && r.Text != b {
			t.Fatalf("the text %q is none of those given", r.Text)
		}
		if n := len(sts.LintRecord([]string{b, a})); n > len(r.Ext) {
			t.Fatalf("%d findings in a valid record", n)
		}
	})
}

// FuzzParsePolicy: as for records; and Lint agrees with the parser about what is fatal.
func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{enforce, policy("none", 0), "version: STSv1\r\nmode:\ttesting \r\nmx:*.a\nmax_age:1\nx: é", "a:b", "\n", "mx: xn--a.example\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := sts.ParsePolicy(body)
		fatal := false
		for _, l := range sts.Lint(body) {
			fatal = fatal || l.Fatal
			if !safeLine(l.Why) || !safeLine(l.Field) || len(l.Text) > 80 || !utf8.ValidString(l.Text) && utf8.Valid(body) {
				t.Fatalf("a finding that cannot be shown: %+v", l)
			}
		}
		if fatal != (err != nil) {
			t.Fatalf("%q: Lint says fatal %v, the parser %v", body, fatal, err)
		}
		if err != nil {
			var se *sts.SyntaxError
			if !errors.As(err, &se) || p.Text != "" || p.MX != nil || p.Mode != 0 || !safeLine(err.Error()) || len(err.Error()) > 600 {
				t.Fatalf("%q: %+v, %v", body, p, err)
			}
			return
		}
		if p.MaxAge < 0 || p.MaxAge > sts.MaxMaxAge || p.Mode == 0 || p.Mode != sts.ModeNone && len(p.MX) == 0 || p.Text != string(body) {
			t.Fatalf("%q: a valid policy that cannot be: %+v", body, p)
		}
		back, err := sts.ParsePolicy([]byte(p.String()))
		if len(p.String()) <= sts.MaxPolicySize && (err != nil || back.String() != p.String() || back.Mode != p.Mode || back.MaxAge != p.MaxAge || fmt.Sprint(back.MX) != fmt.Sprint(p.MX)) {
			t.Fatalf("%q prints as %q, which reads as %+v, %v", body, p.String(), back, err)
		}
		for _, m := range p.MX {
			// Where the pattern is a host name, it matches it, in whatever case.
			name, wildcard := strings.CutPrefix(m.String(), "*.")
			h, err := rfc6125.ParseHost(name)
			if err != nil || h.String() != name {
				continue // the grammar of a policy is wider here: nothing can match
			}
			if m.Match(h) == wildcard {
				t.Fatalf("%s and %s: %v", m, h, !wildcard)
			}
			if below, err := rfc6125.ParseHost("a." + name); err == nil && m.Match(below) != wildcard {
				t.Fatalf("%s and %s: %v", m, below, !wildcard)
			}
			if _, ok := p.Match(h); !ok && !wildcard {
				t.Fatalf("the policy does not name its own %s", m)
			}
		}
	})
}

// FuzzReadEntry: what a store brings back is read or refused; what is read is written again
// as it was, and never lives longer than a policy may.
func FuzzReadEntry(f *testing.F) {
	f.Add([]byte("\x01\x00\x17\x79\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03one"+enforce), uint8(3))
	f.Add([]byte("\x01\x01\x17\x79\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03who"), uint8(2))
	f.Add([]byte("\x01\x17\x79\x00\x00\x00\x00\x00\x00\x01\xf4\x01a\x06status\x03500"), uint8(0))
	f.Fuzz(func(t *testing.T, value []byte, class uint8) {
		now := time.Unix(1_700_000_000, 0)
		e := store.Entry{Key: "sts/p/example.org", Value: value, Class: store.Class(class), Expires: now.Add(time.Hour)}
		if back, err := sts.ReadEntry(e, host("example.org")); err == nil {
			if back.Expires.After(e.Expires) {
				t.Fatalf("%q lives longer after it was read", value)
			}
			again, err := sts.ReadEntry(back, host("example.org"))
			if err != nil || string(again.Value) != string(back.Value) || again.Class != back.Class || !again.Expires.Equal(back.Expires) {
				t.Fatalf("%q: %+v, then %+v, %v", value, back, again, err)
			}
		} else if !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("%q: %v", value, err)
		}
		if _, err := sts.ReadFailures(e, now); err != nil && !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("%q: %v", value, err)
		}
	})
}
