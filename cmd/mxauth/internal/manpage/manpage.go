// Package manpage writes manual pages in the man(7) macros of troff:
//
//	.TH "MXAUTH\-CHECK" "1" "" "mxauth" "User Commands"
//	.SH NAME
//	mxauth\-check \- say whether a delivery would be authenticated
//
// The pages are made of the commands of cobra and of the table of settings, by a test of
// cmd/mxauth; no program links this package. A page holds no date and no version, so that
// it changes only with its subject.
package manpage

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

// A page is the troff text of a manual page as it grows.
type page struct {
	strings.Builder
	fresh bool // a section has just begun
}

// newPage begins a page; about is the sentence of its NAME section.
func newPage(name, section, title, about string) *page {
	p := &page{}
	p.line(`.\" Made by go generate from the help of mxauth. Changes belong there.`)
	p.line(fmt.Sprintf(".TH %q %q \"\" \"mxauth\" %q", escape(strings.ToUpper(name)), section, title))
	p.line(".nh\n.ad l")
	p.section("NAME")
	p.text(name + " \x00 " + lower(strings.TrimSuffix(about, ".")))
	return p
}

// Command returns the page of a command, for section 1.
func Command(cmd *cobra.Command) []byte {
	p := newPage(Name(cmd), "1", "User Commands", cmd.Short)
	p.section("SYNOPSIS")
	if cmd.HasAvailableSubCommands() {
		p.line(`.B ` + escape(cmd.CommandPath()))
		p.line(`.I VERB`)
		p.line(`[flags]`)
	} else {
		p.line(`.B ` + escape(cmd.CommandPath()))
		_, args, _ := strings.Cut(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath()), " ")
		p.text(args)
	}
	p.section("DESCRIPTION")
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	p.paragraphs(about)
	if cmd.HasAvailableSubCommands() {
		p.section("VERBS")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				p.item(c.Name(), "", c.Short+"; see "+Name(c)+"(1)")
			}
		}
	}
	p.flags("OPTIONS", cmd.LocalFlags())
	p.flags("OPTIONS OF EVERY VERB", cmd.InheritedFlags())
	if cmd.HasExample() {
		p.section("EXAMPLES")
		p.block(strings.Trim(cmd.Example, "\n"))
	}
	if !cmd.HasParent() || cmd.LocalFlags().Lookup("config") != nil {
		p.section("FILES")
		p.item(settings.SystemFile, "", "configuration of the machine, mxauth.toml(5)")
	}
	p.section("SEE ALSO")
	p.text(strings.Join(related(cmd), ", "))
	return []byte(p.String())
}

// Name is the name of the page of a command: that of the command, with dashes.
func Name(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// related lists the pages that a page refers to.
func related(cmd *cobra.Command) []string {
	var out []string
	if cmd.HasParent() {
		out = append(out, Name(cmd.Parent())+"(1)")
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			out = append(out, Name(c)+"(1)")
		}
	}
	return append(out, "mxauth.toml(5)")
}

// Settings returns the page of the configuration file, for section 5.
func Settings(table []settings.Setting, example string) []byte {
	p := newPage("mxauth.toml", "5", "File Formats", "configuration of mxauth")
	p.section("DESCRIPTION")
	p.paragraphs("The file is TOML. Every verb of mxauth reads " + settings.SystemFile + ", or where that is missing mxauth/mxauth.toml of the user's configuration folder (~/.config), or the file that --config names. A key that mxauth does not know is an error with its line.\n\n" +
		"A setting can also be given by a variable of the environment, and most by a flag. A flag outweighs a variable, a variable the file. Where a variable has a list, commas separate its values. Times have a unit: 30s, 10m, 36h.\n\n" +
		"mxauth config check says what is wrong with a file; mxauth config print shows what is in force, and where each value came from.")
	last := ""
	for i := range table {
		s := &table[i]
		name, key, _ := strings.Cut(s.Key, ".")
		if name != last {
			p.section("[" + name + "]")
			last = name
		}
		about := sentence(s.Help) + "."
		if len(s.Words) > 0 {
			about += " One of " + strings.Join(s.Words, ", ") + "."
		}
		if s.Most > 0 {
			about += fmt.Sprintf(" From %d to %d.", s.Least, s.Most)
		}
		if s.Default != "" {
			about += " Default: " + s.Default + "."
		}
		about += " Variable " + s.Env()
		if s.Flag != "" {
			about += ", flag --" + s.Flag
		}
		if s.Serve {
			about += "; for mxauth serve"
		}
		p.item(key, typeOf(s), about+".")
	}
	p.section("[[listen]]")
	p.paragraphs("Each table of this name is a listener of mxauth serve. These lines show all that a listener of a mail server may have:")
	p.block(example)
	p.section("SEE ALSO")
	p.text("mxauth(1), mxauth-serve(1), mxauth-config(1)")
	return []byte(p.String())
}

// typeOf is the type of a setting in words.
func typeOf(s *settings.Setting) string {
	switch s.Type {
	case settings.Strings:
		return "list of texts"
	case settings.Bool:
		return "true or false"
	case settings.Int:
		return "number"
	case settings.Duration:
		return "time"
	case settings.Word:
		return "word"
	}
	return "text"
}

func (p *page) line(s string) {
	p.WriteString(s + "\n")
	p.fresh = false
}

func (p *page) section(title string) {
	p.line(".SH " + escape(title))
	p.fresh = true
}

// text writes filled text, a word at a time so that no line begins with a control character.
func (p *page) text(s string) {
	const width = 78
	line := ""
	for word := range strings.FieldsSeq(s) {
		word = escape(word)
		if line != "" && len(line)+1+len(word) > width {
			p.line(guard(line))
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		p.line(guard(line))
	}
}

// paragraphs writes filled paragraphs; those with an indented line are shown as they are.
func (p *page) paragraphs(s string) {
	for i, part := range strings.Split(strings.Trim(s, "\n"), "\n\n") {
		if strings.HasPrefix(part, " ") || strings.Contains(part, "\n ") {
			p.block(part)
			continue
		}
		if i > 0 {
			p.line(".PP")
		}
		p.text(part)
	}
}

// block writes lines as they are, less the indentation that all of them have.
func (p *page) block(s string) {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	indent := len(s)
	for _, l := range lines {
		if t := strings.TrimLeft(l, " "); t != "" {
			indent = min(indent, len(l)-len(t))
		}
	}
	if !p.fresh {
		p.line(".PP")
	}
	p.line(".nf\n.RS 4")
	for _, l := range lines {
		p.line(guard(escape(l[min(indent, len(l)):])))
	}
	p.line(".RE\n.fi")
}

// item writes a term with what it means; value is the placeholder after it.
func (p *page) item(term, value, about string) {
	p.line(".TP")
	if value == "" {
		p.line(`.B ` + escape(term))
	} else {
		p.line(`.BI "` + escape(term) + `" " ` + escape(value) + `"`)
	}
	p.text(about)
}

// flags writes a section with the flags of a set.
func (p *page) flags(title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	p.section(title)
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		value, about := pflag.UnquoteUsage(f)
		about = sentence(about)
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" {
			about += "; default " + d
		}
		p.item(name, value, about+".")
	})
}

// lower puts the first letter of a text in lower case, unless a word in capitals begins there.
func lower(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if next, _ := utf8.DecodeRuneInString(s[n:]); unicode.IsUpper(next) {
		return s
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// sentence puts the first letter of a text in upper case, unless a flag begins there.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// escape makes plain text of what troff would read as a command, and keeps the characters
// that are typed as they are.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '\\':
			b.WriteString(`\e`)
		case 0: // the dash between a name and what it does
			b.WriteString(`\-`)
		case '-':
			b.WriteString(`\-`)
		case '"':
			b.WriteString(`\(dq`)
		case '\'':
			b.WriteString(`\(aq`)
		case '~':
			b.WriteString(`\(ti`)
		case '^':
			b.WriteString(`\(ha`)
		case '`':
			b.WriteString(`\(ga`)
		default:
			if r < unicode.MaxASCII {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, `\[u%04X]`, r)
			}
		}
	}
	return b.String()
}

// guard keeps a line from being read as a request of troff.
func guard(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}
