package settings

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Example writes the annotated example file: every setting with its help and its default,
// commented out, and a listener for Postfix.
func Example(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Configuration of mxauth. Every line that is commented out shows the default.\n" +
		"# A setting can also be given by the variable MXAUTH_TABLE_KEY, and most by a flag.\n" +
		"# Keys may have _ in place of -.\n")
	last := ""
	for i := range table {
		r := &table[i]
		name, key, _ := strings.Cut(r.Key, ".")
		if name != last {
			fmt.Fprintf(&b, "\n[%s]\n", name)
			last = name
		}
		for _, l := range wrap(r.Help, 86) {
			b.WriteString("# " + l + "\n")
		}
		fmt.Fprintf(&b, "# %s = %s\n", key, r.literal(Defaults()))
	}
	b.WriteString(`
# Listeners of mxauth serve. Doors: socketmap (Postfix, sendmail), exim, http.
# [[listen]]
# door = "socketmap"
# address = "unix:/run/mxauth/postfix.sock"
# mode = "0660"
# group = "postfix"
# maps = { postfix = "QUERY" }
#
# A listener of the door http may also have certificate, key, client-ca, token-file,
# names, check and page; docs/http.md says what they mean.
`)
	_, err := io.WriteString(w, b.String())
	return err
}

// literal is the value of the setting in TOML.
func (r *Setting) literal(s *Settings) string {
	switch p := r.to(s).(type) {
	case *string:
		return strconv.Quote(*p)
	case *[]string:
		q := make([]string, len(*p))
		for i, v := range *p {
			q[i] = strconv.Quote(v)
		}
		return "[" + strings.Join(q, ", ") + "]"
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *time.Duration:
		return strconv.Quote(p.String())
	}
	return `""`
}

// Print writes each value with where it came from. A URL is printed without its password.
func (s *Settings) Print(w io.Writer) error {
	var b strings.Builder
	last := ""
	for i := range table {
		r := &table[i]
		name, key, _ := strings.Cut(r.Key, ".")
		if name != last {
			if last != "" {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "[%s]\n", name)
			last = name
		}
		v := *s
		v.Store = withoutPassword(v.Store)
		v.Servers = slices.Clone(s.Servers)
		for i := range v.Servers {
			v.Servers[i] = withoutPassword(v.Servers[i])
		}
		fmt.Fprintf(&b, "%s = %s  # %s\n", key, r.literal(&v), s.Origin(r.Key))
	}
	for i := range s.Listen {
		l := &s.Listen[i]
		mode, _ := l.FileMode()
		fmt.Fprintf(&b, "\n[[listen]]  # %s\ndoor = %q\naddress = %q\n", l.where, l.Door, l.Address)
		if strings.HasPrefix(l.Address, "unix:") {
			fmt.Fprintf(&b, "mode = \"%04o\"\n", uint32(mode))
		}
		l.printRest(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printRest writes what a listener may have in addition to door, address and mode.
func (l *Listen) printRest(b *strings.Builder) {
	for _, f := range []struct{ key, value string }{
		{"owner", l.Owner}, {"group", l.Group},
		{"certificate", l.Certificate}, {"key", l.Key}, {"client-ca", l.ClientCA}, {"token-file", l.TokenFile},
	} {
		if f.value != "" {
			fmt.Fprintf(b, "%s = %q\n", f.key, f.value)
		}
	}
	if len(l.Maps) > 0 {
		var list []string
		for _, alias := range slices.Sorted(maps.Keys(l.Maps)) {
			list = append(list, fmt.Sprintf("%q = %q", alias, l.Maps[alias]))
		}
		fmt.Fprintf(b, "maps = { %s }\n", strings.Join(list, ", "))
	}
	if l.Door != "http" {
		return
	}
	if len(l.Names) > 0 {
		fmt.Fprintf(b, "names = [\"%s\"]\n", strings.Join(l.Names, `", "`))
	}
	fmt.Fprintf(b, "check = %t\npage = %t\n", l.Checks(), l.Page)
}

// withoutPassword replaces what is between user and host of a URL.
func withoutPassword(u string) string {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok {
		return u
	}
	i := strings.LastIndexByte(rest, '@')
	if i < 0 {
		return u
	}
	user, _, _ := strings.Cut(rest[:i], ":")
	return scheme + "://" + user + ":***@" + rest[i+1:]
}

// wrap breaks a text into lines of at most width bytes.
func wrap(s string, width int) (lines []string) {
	line := ""
	for w := range strings.FieldsSeq(s) {
		if line != "" && len(line)+1+len(w) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(lines, line)
}
