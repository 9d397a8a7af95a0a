package bulk

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// barWidth is the width of a bar of a text summary, in characters.
const barWidth = 20

// WriteText writes the summary for people, in lines of up to width characters; a name that is
// longer than that is not broken. The error is that of w.
func (s *Summary) WriteText(w io.Writer, width int) error {
	t := textWriter{width: width}
	t.line("%s", s.headline())
	if !s.Complete {
		t.line("The survey was ended before the end of the list.")
	}
	if s.Refused > 0 {
		t.line("%s no domain.", counted(s.Refused, "line names", "lines name"))
	}
	t.line("")
	t.line("By what mail can be authenticated:")
	for _, m := range s.Mechanisms {
		if m.Domains > 0 {
			t.bar(m.Domains, s.Domains, mechanismText[m.Mechanism])
		}
	}
	if s.Outcomes != nil {
		t.line("")
		t.line("What connections showed:")
		for _, o := range s.Outcomes {
			if o.Domains > 0 {
				t.bar(o.Domains, s.Domains, o.Outcome.String())
			}
		}
	}
	if len(s.Faults) > 0 {
		t.line("")
		t.line("What is wrong (mxauth reason ID has the cure):")
		for _, f := range s.Faults {
			t.wrapped(fmt.Sprintf("%7d  ", f.Domains), string(f.ReasonID)+": "+f.About)
			t.wrapped("         ", "for example "+strings.Join(f.Examples, ", "))
		}
	}
	if len(s.Providers) > 0 {
		t.line("")
		t.line("By provider (domains; of these authenticated; with a fault):")
		for _, p := range s.Providers {
			t.line("%7d %7d %7d  %s", p.Domains, p.Authenticated, p.Faulty, p.Provider)
		}
		if o := s.Others; o.Providers > 0 {
			t.line("%7d %7d %7d  %s", o.Domains, o.Authenticated, o.Faulty, counted(o.Providers, "other", "others"))
		}
	}
	if s.TookS > 0 {
		t.line("")
		t.line("%s", s.timeLine())
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// headline is the answer in one sentence.
func (s *Summary) headline() string {
	return fmt.Sprintf("%s, %d of them (%s) publish what authenticates every mail host.",
		counted(s.Domains, "domain", "domains"), s.Authenticated, percent(s.Authenticated, s.Domains))
}

// timeLine says when the survey was made, and how fast.
func (s *Summary) timeLine() string {
	took := time.Duration(s.TookS * float64(time.Second))
	line := fmt.Sprintf("Took %s, %.0f domains a second", took.Round(time.Second/10), float64(s.Domains)/s.TookS)
	if s.Started != nil {
		line += ", from " + s.Started.UTC().Format(time.RFC3339)
	}
	return line + "."
}

// counted is a number with the noun that fits.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// percent is a share; 0 and 100 are said of nothing less than none and all.
func percent(n, all int) string {
	switch {
	case all == 0 || n == 0:
		return "0%"
	case n == all:
		return "100%"
	}
	return fmt.Sprintf("%.1f%%", min(max(100*float64(n)/float64(all), 0.1), 99.9))
}

// A textWriter collects lines.
type textWriter struct {
	b     strings.Builder
	width int
}

func (t *textWriter) line(format string, args ...any) {
	t.wrapped("", fmt.Sprintf(format, args...))
}

// bar writes a count with its share.
func (t *textWriter) bar(n, all int, label string) {
	full := 0
	if all > 0 {
		full = (n*barWidth + all/2) / all
	}
	head := fmt.Sprintf("%7d %6s  ", n, percent(n, all))
	if t.width >= 70 {
		head += strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "  "
	}
	t.wrapped(head, label)
}

// wrapped writes a text after a label, broken into lines between words; later lines are
// indented as far as the first.
func (t *textWriter) wrapped(label, text string) {
	indent := utf8.RuneCountInString(label)
	t.b.WriteString(label)
	at := indent
	if strings.HasPrefix(text, " ") { // a table
		t.b.WriteString(text + "\n")
		return
	}
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > t.width:
			t.b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			t.b.WriteByte(' ')
			at++
		}
		t.b.WriteString(word)
		at += n
	}
	t.b.WriteByte('\n')
}
