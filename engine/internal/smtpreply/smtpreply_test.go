package smtpreply_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/engine/internal/smtpreply"
)

func TestFeed(t *testing.T) {
	for _, c := range []struct{ in, want, rest string }{
		{"220 x\r\n", "220 x", ""},
		{"220 x\n", "220 x", ""},
		{"220\r\n", "220 ", ""},
		{"220\tx\r\n", "220 x", ""},
		{"250-a\r\n250-b\r\n250 c\r\n250 next\r\n", "250 a|b|c", "250 next\r\n"},
		{"220 go\r\n250 more\r\n", "220 go", "250 more\r\n"},
		{"hello\r\n", "!not an SMTP reply", ""},
		{"25\r\n", "!not an SMTP reply", ""},
		{"2x0 a\r\n", "!not an SMTP reply", ""},
		{"250+a\r\n", "!not an SMTP reply", ""},
		{"250-a\r\n550 b\r\n", "!different codes", ""},
		{strings.Repeat("250-x\r\n", 127) + "250 y\r\n", "250 x" + strings.Repeat("|x", 126) + "|y", ""},
		{strings.Repeat("250-x\r\n", 128) + "250 y\r\n", "!lines", ""},
		{"250 " + strings.Repeat("x", 2042) + "\r\n", "250 " + strings.Repeat("x", 2042), ""},
		{"250 " + strings.Repeat("x", 2043) + "\r\n", "!octets", ""},
		{strings.Repeat("x", 5000), "!octets", ""},
		{"250 ", "?", ""},
	} {
		// In pieces of each size, since a network cuts where it likes.
		for _, size := range []int{1, 3, len(c.in)} {
			var p smtpreply.Parser
			got, used := "?", 0
			for used < len(c.in) {
				n, done, err := p.Feed([]byte(c.in[used:min(used+size, len(c.in))]))
				used += n
				if err != nil {
					got = "!" + err.Error()
					if !errors.Is(err, smtpreply.ErrSyntax) {
						t.Errorf("%.20q: %v", c.in, err)
					}
					break
				}
				if done {
					r := p.Reply()
					got = fmt.Sprint(r.Code, " ", strings.Join(r.Lines, "|"))
					if p.Partial() {
						t.Errorf("%.20q: a part is left", c.in)
					}
					break
				}
			}
			if why, isErr := strings.CutPrefix(c.want, "!"); isErr && strings.HasPrefix(got, "!") && strings.Contains(got, why) {
				continue
			}
			if got != c.want || c.want != "?" && c.in[used:] != c.rest || (got == "?") != p.Partial() {
				t.Errorf("%.20q by %d: %.60q, rest %q, want %.60q, rest %q", c.in, size, got, c.in[used:], c.want, c.rest)
			}
		}
	}
}

func TestOffers(t *testing.T) {
	for line, want := range map[string]bool{
		"STARTTLS": true, "starttls": true, "StartTLS": true, "STARTTLS now": true, "STARTTLS\t": true, "STARTTLS\tREQUIRED": true,
		"STARTTLS ": true, "\tSTARTTLS": true, " STARTTLS": true, "STARTTLS\v": true,
		"": false, "XSTARTTLS": false, "STARTTLSX": false, "STARTTLS=1": false, "AUTH STARTTLS": false,
	} {
		if got := (smtpreply.Reply{Code: 250, Lines: []string{"name", line, "HELP"}}).Offers("STARTTLS"); got != want {
			t.Errorf("%q: %v", line, got)
		}
		if (smtpreply.Reply{Code: 250, Lines: []string{line}}).Offers("STARTTLS") {
			t.Errorf("%q as the name of the server counts", line)
		}
	}
	if s := (smtpreply.Reply{Code: 250}).String(); s != "250" {
		t.Error(s)
	}
}
