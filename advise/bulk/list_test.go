package bulk_test

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/mxauth/mxauth/advise/bulk"
)

// read reads a list: each entry as "line domain" or "line! error".
func read(t *testing.T, r io.Reader) (out []string) {
	t.Helper()
	for e, err := range bulk.Read(r) {
		switch {
		case err != nil:
			return append(out, "error: "+err.Error())
		case e.Err != nil:
			out = append(out, strconv.Itoa(e.Line)+"! "+e.Err.Error())
		default:
			out = append(out, strconv.Itoa(e.Line)+" "+e.Domain.String())
		}
	}
	return out
}

// utf16Of is a text in UTF-16.
func utf16Of(s string, big bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

func TestRead(t *testing.T) {
	const text = "a.example\r\nbücher.example\n"
	both := []string{"1 a.example", "2 xn--bcher-kva.example"}
	for name, c := range map[string]struct {
		list string
		want []string
	}{
		"plain":               {text, both},
		"no last line end":    {"a.example\nb.example", []string{"1 a.example", "2 b.example"}},
		"CR":                  {"a.example\rb.example\r", []string{"1 a.example", "2 b.example"}},
		"CR LF and blanks":    {"a.example\r\n\r\n \t\r\n\nb.example\r\n", []string{"1 a.example", "5 b.example"}},
		"CR CR LF":            {"a.example\r\r\nb.example", []string{"1 a.example", "3 b.example"}},
		"comments":            {"# a\n  # b\na.example # c\nb.example\t#d\nc.example#e\n", []string{"3 a.example", "4 b.example", `5! rfc6125: not a host name: "c.example#e": the octet "#"`}},
		"mark":                {"\ufeff" + text, both},
		"UTF-16LE mark":       {utf16Of("\ufeff"+text, false), both},
		"UTF-16BE mark":       {utf16Of("\ufeff"+text, true), both},
		"UTF-16LE":            {utf16Of(text, false), both},
		"UTF-16BE":            {utf16Of(text, true), both},
		"UTF-16 cut":          {utf16Of("a.example\n", false) + "b", []string{"1 a.example", "2! rfc6125: not a host name: \"\ufffd\": label \"\ufffd\": not a valid U-label"}},
		"address":             {"sales@a.example\n@a.example\n<sales@a.example>\nSales, a <b@A.Example>\n", []string{"1 a.example", "2 a.example", "3 a.example", "4 a.example"}},
		"address without":     {"sales@\n", []string{`1! "sales@" has no domain after the @`}},
		"address of a host":   {"sales@[192.0.2.1]\n[mx.example]\n", []string{`1! "[192.0.2.1]" is a host or an address, not a domain: mxauth check looks at it`, `2! "[mx.example]" is a host or an address, not a domain: mxauth check looks at it`}},
		"IP address":          {"192.0.2.1\n2001:db8::1\n", []string{`1! rfc6125: not a host name: an IP address: "192.0.2.1"`, `2! rfc6125: not a host name: an IP address: "2001:db8::1"`}},
		"URL":                 {"https://a.example/\n", []string{`1! "https://a.example/" is a URL, not a domain`}},
		"NUL":                 {"a.exa\x00mple\nb.example", []string{"1! the line holds a NUL byte: this is not a list of domains in UTF-8 or UTF-16", "2 b.example"}},
		"NUL first":           {"\x00\nb.example", []string{"1! the line holds a NUL byte: this is not a list of domains in UTF-8 or UTF-16", "2 b.example"}},
		"Latin-1":             {"b\xfccher.example\n", []string{`1! "b\xfccher.example" is not UTF-8: convert the list, for example by iconv -f latin1 -t utf-8`}},
		"empty":               {"", nil},
		"mark alone":          {"\ufeff", nil},
		"nothing but a blank": {" \n", nil},
		"long":                {strings.Repeat("a", 1<<20) + "\nb.example\n", []string{"1! the line is longer than 4096 bytes", "2 b.example"}},
		"long comment":        {"#" + strings.Repeat("a", 1<<20) + "\nb.example\n", []string{"2 b.example"}},
		"long, all blanks":    {strings.Repeat(" ", 1<<20) + "\nb.example\n", []string{"1! the line is longer than 4096 bytes", "2 b.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.list), iotest.OneByteReader(strings.NewReader(c.list)), iotest.DataErrReader(strings.NewReader(c.list))} {
				if got := read(t, r); strings.Join(got, "\n") != strings.Join(c.want, "\n") {
					t.Errorf("%q, want %q", got, c.want)
				}
			}
		})
	}
}

// TestReadError: what was read before an error counts, and the error ends the list.
func TestReadError(t *testing.T) {
	broken := errors.New("broken")
	got := read(t, io.MultiReader(strings.NewReader("a.example\nb.exam"), iotest.ErrReader(broken)))
	if want := "1 a.example|2 b.exam|error: broken"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
}

func TestReadLargeList(t *testing.T) {
	n := 0
	for e, err := range bulk.Read(strings.NewReader(strings.Repeat("a.example\n", 200_000))) {
		if n++; err != nil || e.Err != nil || e.Line != n {
			t.Fatal(n, e, err)
		}
	}
	if n != 200_000 {
		t.Error(n)
	}
}

func TestCountList(t *testing.T) {
	a, err := bulk.CountList(strings.NewReader("a.example\n\n# x\nb..example\n"))
	if err != nil || a.Entries != 2 {
		t.Fatal(a, err)
	}
	same, _ := bulk.CountList(strings.NewReader("\ufeffa.example\r\nb..example"))
	other, _ := bulk.CountList(strings.NewReader("a.example\nc..example"))
	if same != a || other.Hash == a.Hash {
		t.Error(a, same, other)
	}
}

// FuzzRead: every entry is a domain or is refused, in the order of its lines, and what is shown
// of it is short.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"a.example\n", "\ufeffa\r\rb", "\xff\xfea\x00", "a\x00b\x00", "\x00a\x00b", "x@y <z@a.example>", strings.Repeat("a", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		last := 0
		for e, err := range bulk.Read(strings.NewReader(s)) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Line <= last || (e.Err == nil) != e.Domain.IsValid() || e.Text == "" && !errors.Is(e.Err, bulk.ErrLongLine) {
				t.Fatalf("%+v after line %d", e, last)
			}
			if last = e.Line; e.Err != nil && len(e.Text) > 100 {
				t.Fatalf("%d bytes are shown", len(e.Text))
			}
		}
	})
}
