package sts_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/mxauth/mxauth/sts"
)

// TestLintNearRecord: a record that is there and that no sender reads is told by the
// character that is wrong, never as missing.
func TestLintNearRecord(t *testing.T) {
	for _, c := range []struct{ txt, why, cure string }{
		{`"v=STSv1; id=1;"`, "character 1 is a quotation mark", `"v=STSv1; id=1;"`},
		{"\u201cv=STSv1; id=1;\u201d", "character 1 is U+201C (curly quotation mark)", `"v=STSv1; id=1;"`},
		{"v=STSv1;\u00a0id=1;", "character 9 is U+00A0 (no-break space)", `"v=STSv1; id=1;"`},
		{"\ufeffv=STSv1; id=1", "character 1 is U+FEFF (byte order mark)", `"v=STSv1; id=1;"`},
		{" v=STSv1; id=1;", `a blank before "v=STSv1"`, `"v=STSv1; id=1;"`},
		{"v = STSv1; id=1;", `a blank before "="`, `"v=STSv1; id=1;"`},
		{"v= STSv1; id=1;", `a blank after "="`, `"v=STSv1; id=1;"`},
		{"id=20260101; v=STSv1;", `"id" before the version`, `"v=STSv1; id=20260101;"`},
		{"v=MTA-STSv1; id=1;", `"v=MTA-STSv1" is not "v=STSv1"`, `"v=STSv1; id=1;"`},
		{"v=stsv1; id=1;", `"v=stsv1" is not "v=STSv1": upper and lower case count`, `"v=STSv1; id=1;"`},
		{"V=STSv1; id=1;", `"V=STSv1" is not "v=STSv1"`, `"v=STSv1; id=1;"`},
		{"v:STSv1; id:1", `a colon in place of "="`, `"v=STSv1; id=1;"`},
		{"v=STSv1, id=1", `"," after "v=STSv1" in place of a semicolon`, `"v=STSv1; id=1;"`},
		{"v=STSv1 id=1", `"i" after "v=STSv1" in place of a semicolon`, `"v=STSv1; id=1;"`},
		{"v=STSv1", `no semicolon and no id after "v=STSv1"`, `"v=STSv1; id=`},
		{"id=2026-11-01", "no version", `"v=STSv1; id=20261101;"`},
		{"v=STSv1; id=2026-11-01;", `id holds "-" (its character 5)`, `"v=STSv1; id=20261101;"`},
		{"v=STSv1; id=", "id is empty", `"v=STSv1; id=`},
		{"v=STSv1; id=" + strings.Repeat("7", 33) + ";", "id has 33 characters, more than 32", `"v=STSv1; id=` + strings.Repeat("7", 32)},
		{"v=STSv1;", "no id", `"v=STSv1; id=`},
	} {
		fs := sts.LintRecord([]string{"unrelated", c.txt})
		if len(fs) != 1 || !fs[0].Fatal || !strings.Contains(fs[0].Why, c.why) || !strings.Contains(fs[0].Cure, c.cure) {
			t.Errorf("%q: %+v, want %q and the cure %q", c.txt, fs, c.why, c.cure)
		}
		if !sts.MeansRecord(c.txt) {
			t.Errorf("%q does not count as meant", c.txt)
		}
		cured, _, _ := strings.Cut(strings.TrimPrefix(fs[0].Cure, `publish "`), `"`)
		if _, err := sts.ParseRecord([]string{cured}); strings.HasPrefix(fs[0].Cure, "publish") && err != nil {
			t.Errorf("%q: the cure %q: %v", c.txt, cured, err)
		}
	}
	for _, txt := range []string{"", "v=spf1 -all", "v=DMARC1; p=none", "google-site-verification=abc", "v=TLSRPTv1; rua=mailto:a@b.example", "consists of words", "MS=ms1234"} {
		if sts.MeansRecord(txt) {
			t.Errorf("%q counts as meant", txt)
		}
	}
	if fs := sts.LintRecord([]string{"v=DMARC1; p=none"}); len(fs) != 1 || !strings.Contains(fs[0].Why, "DMARC") {
		t.Errorf("%+v", fs)
	}
}

// TestLintMXWord: only a number before the host is taken for the preference of an MX record.
// What another word means is not guessed: a host that its owner did not mean would be allowed.
func TestLintMXWord(t *testing.T) {
	for word, guessed := range map[string]bool{"10": true, "backup": false, "mx1.example.org": false} {
		fs := sts.Lint([]byte("version: STSv1\nmode: enforce\nmx: " + word + " mx.example.org\nmax_age: 1209600\n"))
		if len(fs) == 0 || !fs[0].Fatal || fs[0].Line != 3 || strings.Contains(fs[0].Cure, `"mx: mx.example.org"`) != guessed {
			t.Errorf("%s: %+v", word, fs)
		}
	}
}

// TestLintNearPolicy: a line that is there and that no sender reads is told by what is
// wrong in it, and its field is not told as missing.
func TestLintNearPolicy(t *testing.T) {
	const good = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 1209600\n"
	utf16le := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(good)) {
		utf16le = append(utf16le, byte(u), byte(u>>8))
	}
	change := func(old, now string) string { return strings.ReplaceAll(good, old, now) }
	for _, c := range []struct {
		name, body string
		finds      int
		line       int
		why, cure  string
	}{
		{"byte order mark", "\ufeff" + good, 1, 1, "U+FEFF (byte order mark)", "without byte order mark"},
		{"UTF-16", string(utf16le), 1, 1, "UTF-16", "UTF-8"},
		{"UTF-16 without mark", string(utf16le[2:]), 1, 1, "UTF-16", "UTF-8"},
		{"CR CR LF", change("\n", "\r\r\n"), 1, 1, "CR CR LF", "LF"},
		{"CR alone", change("\n", "\r"), 1, 1, "CR alone", "LF"},
		{"HTML", "<html><body>It works!</body></html>\n", 1, 1, "HTML", "path"},
		{"gzip", "\x1f\x8b\x08\x00abc", 1, 0, "gzip", "text"},
		{"no-break space", change("mode: ", "mode:\u00a0"), 1, 2, "character 6 of the line is U+00A0 (no-break space)", `"mode: enforce"`},
		{"zero width space", change("enforce", "enforce\u200b"), 1, 2, "character 14 of the line is U+200B (zero width space)", `"mode: enforce"`},
		{"curly quotes", change("enforce", "\u201cenforce\u201d"), 1, 2, "U+201C (curly quotation mark)", `"mode: enforce"`},
		{"blank before the colon", change(":", " :"), 4, 1, "a blank before the colon", `"version: STSv1"`},
		{"comment", "# our policy\n" + good, 1, 1, "a comment", "remove the line"},
		{"comment after a value", change("enforce", "enforce # now"), 1, 2, "a comment after the value", `"mode: enforce"`},
		{"semicolon", change("1209600", "1209600;"), 1, 4, `";" at the end of the value`, `"max_age: 1209600"`},
		{"preference", change("mx: ", "mx: 10 "), 1, 3, "the preference 10 of the MX record", `"mx: mx.example.org"`},
		{"star", change("mx.example.org", "*"), 1, 3, "exactly one label", "host name"},
		{"YAML list", change("mx: mx.example.org", "mx:\n  - mx.example.org"), 2, 4, "YAML list", `"mx: mx.example.org"`},
		{"YAML flow", change("mx.example.org", "[mx.example.org]"), 1, 3, "YAML list", `"mx: mx.example.org"`},
		{"indented", change("mode", "  mode"), 1, 2, "a blank before the name", `"mode: enforce"`},
		{"equals sign", change("mode: ", "mode="), 1, 2, `"=" in place of a colon`, `"mode: enforce"`},
		{"upper case", change("mode", "Mode"), 1, 2, `"Mode" is not "mode"`, `"mode: enforce"`},
		{"hyphen", change("max_age", "max-age"), 1, 4, `"max-age" is not "max_age"`, `"max_age: 1209600"`},
		{"value in upper case", change("enforce", "Enforce"), 1, 2, `mode is "Enforce", not "enforce"`, `"mode: enforce"`},
		{"quotes", change("enforce", `"enforce"`), 1, 2, "quotation marks around the value", `"mode: enforce"`},
		{"days", change("1209600", "14d"), 1, 4, "seconds", `"max_age: 1209600"`},
		{"weeks", change("1209600", "2 Weeks"), 1, 4, "seconds", `"max_age: 1209600"`},
		{"hours", change("1209600", "336h"), 1, 4, "seconds", `"max_age: 1209600"`},
		{"digits in groups", change("1209600", "1,209,600"), 1, 4, "seconds", `"max_age: 1209600"`},
		{"two years in days", change("1209600", "730 days"), 1, 4, "seconds", `"max_age: 31536000"`},
		{"one more than the longest", change("1209600", "31557601s"), 1, 4, "seconds", `"max_age: 31557600"`},
		{"more weeks than a duration holds", change("1209600", "30000 weeks"), 1, 4, "seconds", `"max_age: 31449600"`},
		{"an unknown mode", change("mode: enforce", "Mode: strong"), 1, 2, `"Mode" is not "mode"`, `write "mode: " and its value`},
		{"an unknown unit", change("max_age: 1209600", "Max_age: 2 moons"), 1, 4, `"Max_age" is not "max_age"`, `write "max_age: " and its value`},
		{"a unit alone", change("max_age: 1209600", "Max_age: days"), 1, 4, `"Max_age" is not "max_age"`, `write "max_age: " and its value`},
		{"version", change("STSv1", "stsv1"), 1, 1, `version is "stsv1", not "STSv1"`, `"version: STSv1"`},
		{"no colon", change("mode:", "mode"), 1, 2, "no colon", `"mode: enforce"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := sts.ParsePolicy([]byte(c.body)); err == nil {
				t.Fatal("the policy is valid")
			}
			fs := sts.Lint([]byte(c.body))
			found := false
			for _, f := range fs {
				found = found || f.Fatal && f.Line == c.line && strings.Contains(f.Why, c.why) && strings.Contains(f.Cure, c.cure)
				if strings.HasPrefix(f.Why, "no ") && f.Line == 0 {
					t.Errorf("told as missing: %+v", f)
				}
			}
			if !found || len(fs) != c.finds {
				t.Errorf("%+v, want %d, one in line %d with %q and %q", fs, c.finds, c.line, c.why, c.cure)
			}
		})
	}
}

// TestMeantPolicy: the fields are read for what they mean, however they are written; the
// first of each counts, and what cannot be guessed is left out.
func TestMeantPolicy(t *testing.T) {
	const enforce, day = sts.ModeEnforce, 24 * time.Hour
	for _, c := range []struct {
		name, body string
		mode       sts.Mode
		age        time.Duration
		mx         string
	}{
		{"as it should be", "version: STSv1\nmode: enforce\nmx: a.example.org\nmx: *.example.net\nmax_age: 86400\n", enforce, day, "a.example.org *.example.net"},
		{"nothing", "", 0, 0, ""},
		{"upper case and equals signs", "MODE = Enforced\r\nMX=A.example.org.\rMax-Age: 1 day\n", enforce, day, "a.example.org"},
		{"UTF-16", "m\x00o\x00d\x00e\x00:\x00n\x00o\x00n\x00e\x00\n\x00", sts.ModeNone, 0, ""},
		{"UTF-16 with a mark", "\xff\xfem\x00o\x00d\x00e\x00:\x00n\x00o\x00n\x00e\x00\n\x00", sts.ModeNone, 0, ""},
		{"a mark of big-endian UTF-16", "\xfe\xff\x00m\x00o\x00d\x00e\x00:\x00n\x00o\x00n\x00e\x00\n", sts.ModeNone, 0, ""},
		{"the first counts", "mode: testing\nmode: enforce\nmax_age: 86400\nmax_age: 9999\n", sts.ModeTesting, day, ""},
		{"the first that can be read", "mode: strong\nmode: enforce\nmax_age: long\nmax_age: 86400\nmx: -\nmx: a.example.org\n", enforce, day, "a.example.org"},
		{"comments", "# mode: none\n// max_age: 5\n; mx: b.example.org\nmode: enforce\n", enforce, 0, ""},
		{"a list", "mx:\n  - a.example.org\n  - b.example.org\n", 0, 0, "a.example.org b.example.org"},
		{"past the longest policy", strings.Repeat("x", sts.MaxPolicySize) + "\nmode: enforce\n", 0, 0, ""},
		{"at the end of the longest", strings.Repeat("x", sts.MaxPolicySize-len("\nmode: enforce")) + "\nmode: enforce", enforce, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := sts.MeantPolicy([]byte(c.body))
			var mx []string
			for _, m := range p.MX {
				mx = append(mx, m.String())
			}
			if got := strings.Join(mx, " "); p.Mode != c.mode || p.MaxAge != c.age || got != c.mx {
				t.Errorf("mode %v, max_age %v, mx %q, want %v, %v, %q", p.Mode, p.MaxAge, got, c.mode, c.age, c.mx)
			}
		})
	}
}

// TestParsePolicyNamesTheForm: the error of a policy that cannot be read names what is wrong
// with the whole file, or the slip in a line, and the grammar's fault where that says more.
func TestParsePolicyNamesTheForm(t *testing.T) {
	const good = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 1209600\n"
	for _, c := range []struct {
		name, body string
		line       int
		why        string
	}{
		{"byte order mark", "\ufeff" + good, 0, "byte order mark"},
		{"UTF-16", "\xff\xfev\x00e\x00r\x00s\x00", 0, "UTF-16"},
		{"CR CR LF", strings.ReplaceAll(good, "\n", "\r\r\n"), 0, "CR CR LF"},
		{"a comment", "# our policy\n" + good, 1, "a comment"},
		{"a field in upper case", strings.Replace(good, "mode", "Mode", 1), 2, `"Mode" is not "mode"`},
		{"a value", strings.Replace(good, "enforce", "Enforce", 1), 2, "mode is not"},
		{"a web page", "<html>\n", 1, `no ":"`},
		{"nothing", "", 0, "no version"},
	} {
		var e *sts.SyntaxError
		if _, err := sts.ParsePolicy([]byte(c.body)); !errors.As(err, &e) {
			t.Errorf("%s: %v", c.name, err)
		} else if e.Line != c.line || !strings.Contains(e.Why, c.why) {
			t.Errorf("%s: line %d, %q, want line %d, %q", c.name, e.Line, e.Why, c.line, c.why)
		}
	}
}
