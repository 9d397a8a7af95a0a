package postfixconf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds of what is read. A main.cf of a thousand lines has 50 kB.
const (
	maxFile   = 4 << 20
	maxLine   = 256 << 10
	maxLines  = 100_000
	maxExpand = 64 << 10 // bytes of an expanded value
	maxDepth  = 10       // of parameters that refer to parameters
)

// ErrSyntax is wrapped by every error about text that is no configuration of Postfix.
var ErrSyntax = errors.New("not a configuration of Postfix")

// Params are the parameters of main.cf by name, as written.
type Params map[string]string

// ParseParams reads main.cf, or what `postconf -n` prints. An error wraps [ErrSyntax] and has
// the number of the line, or is one of reading.
func ParseParams(r io.Reader) (Params, error) {
	p := Params{}
	err := logical(r, func(n int, line string) error {
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return fmt.Errorf("%w: line %d: %.60q is not NAME = VALUE", ErrSyntax, n, line)
		}
		p[name] = strings.TrimSpace(value)
		return nil
	})
	return p, err
}

// Repeated returns the names that main.cf has more than once, in the order of their second
// lines. The output of postconf -n does not show them: it has the last line of each. An error
// is one of [ParseParams].
func Repeated(r io.Reader) (names []string, err error) {
	seen := map[string]int{}
	err = logical(r, func(_ int, line string) error {
		name, _, _ := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if seen[name]++; seen[name] == 2 {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// logical calls f with each logical line and the number of its first physical line: a line
// that begins with a blank continues the one before it. Empty lines and comments are left out.
func logical(r io.Reader, f func(n int, line string) error) error {
	sc := bufio.NewScanner(io.LimitReader(r, maxFile+1))
	sc.Buffer(nil, maxLine)
	var b strings.Builder
	first, n, size := 0, 0, 0
	flush := func() error {
		if first == 0 {
			return nil
		}
		line, at := b.String(), first
		b.Reset()
		first = 0
		return f(at, line)
	}
	for sc.Scan() {
		n++
		line := sc.Text()
		if size += len(line) + 1; size > maxFile || n > maxLines {
			return fmt.Errorf("%w: more than %d bytes or %d lines", ErrSyntax, maxFile, maxLines)
		}
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if first == 0 {
				return fmt.Errorf("%w: line %d continues no line", ErrSyntax, n)
			}
			b.WriteByte(' ')
			b.WriteString(text)
		default:
			if err := flush(); err != nil {
				return err
			}
			first = n
			b.WriteString(text)
		}
	}
	if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%w: line %d is longer than %d bytes", ErrSyntax, n+1, maxLine)
	} else if err != nil {
		return err
	}
	return flush()
}

// defaults are the built-in values that the rules look at, of Postfix 3.4 to 3.10. What is not
// here is empty by default.
var defaults = Params{
	"smtp_tls_dane_insecure_mx_policy": "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}",
	"smtp_cname_overrides_servername":  "no",
	"smtp_connection_cache_on_demand":  "yes",
	"smtp_tls_enforce_sts_mx_patterns": "yes",
	"smtp_host_lookup":                 "dns",
	"smtp_tls_mandatory_protocols":     ">=TLSv1",
	"disable_dns_lookups":              "no",
	"queue_directory":                  "/var/spool/postfix",
	"smtp_fallback_relay":              "$fallback_relay",
	"proxy_read_maps":                  "$smtp_tls_policy_maps",
	"smtp_use_tls":                     "no",
	"smtp_enforce_tls":                 "no",
	"tls_append_default_CA":            "no",
}

// Get returns the value of a parameter with $name, ${name} and $(name) replaced; the built-in
// default where main.cf has none. What it cannot replace stays as it is.
func (p Params) Get(name string) string {
	v, ok := p[name]
	if !ok {
		v = defaults[name]
	}
	budget := maxExpand
	return p.expand(v, maxDepth, &budget)
}

// IsSet reports whether main.cf has the parameter.
func (p Params) IsSet(name string) bool {
	_, ok := p[name]
	return ok
}

func (p Params) expand(s string, depth int, budget *int) string {
	if depth == 0 || !strings.Contains(s, "$") {
		*budget -= len(s)
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && *budget > 0; {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			i, *budget = i+1, *budget-1
			continue
		}
		name, end := reference(s, i+1)
		v, ok := p[name]
		if !ok {
			v, ok = defaults[name]
		}
		if name == "" || !ok && strings.ContainsAny(s[i:end], "{(?:") && !isName(strings.Trim(s[i+1:end], "{}()")) {
			b.WriteString(s[i:end]) // a condition, which is not worked out
			*budget -= end - i
		} else {
			b.WriteString(p.expand(v, depth-1, budget))
		}
		i = end
	}
	return b.String()
}

// reference reads the name after a "$" at s[i:], and where it ends.
func reference(s string, i int) (name string, end int) {
	if s[i] == '{' || s[i] == '(' {
		open, closing, depth := s[i], byte('}'), 0
		if open == '(' {
			closing = ')'
		}
		for j := i; j < len(s); j++ {
			switch s[j] {
			case open:
				depth++
			case closing:
				if depth--; depth == 0 {
					if inner := s[i+1 : j]; isName(inner) {
						return inner, j + 1
					}
					return "", j + 1
				}
			}
		}
		return "", len(s)
	}
	j := i
	for j < len(s) && nameByte(s[j]) {
		j++
	}
	return s[i:j], j
}

func nameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isName(s string) bool {
	return s != "" && !slices.ContainsFunc([]byte(s), func(c byte) bool { return !nameByte(c) })
}

// isYes reports whether a value of a boolean parameter is "yes".
func isYes(v string) bool { return strings.EqualFold(v, "yes") }

// words splits a list of main.cf at commas and blanks, and leaves what is in braces together.
func words(s string) []string { return split(s, ", \t\r\n") }

func split(s, separators string) (out []string) {
	depth, from := 0, -1
	for i := 0; i <= len(s); i++ {
		end := i == len(s)
		switch {
		case !end && s[i] == '{':
			depth++
		case !end && s[i] == '}':
			depth--
		}
		if end || depth <= 0 && strings.IndexByte(separators, s[i]) >= 0 {
			if from >= 0 {
				out = append(out, s[from:i])
			}
			from = -1
		} else if from < 0 {
			from = i
		}
	}
	return out
}

// A Service is a line of master.cf whose program delivers mail by SMTP.
type Service struct {
	Name      string // "smtp", "relay"
	Type      string // "unix"
	Chroot    bool
	Overrides Params // parameters given by -o
}

// chrootColumn is the chroot column of master.cf.
const (
	masterColumns = 8
	chrootColumn  = 4
)

// ParseServices reads master.cf, or what `postconf -M` prints, and returns the services that
// run smtp. A "-" in the column chroot is "no", as since Postfix 3.0, and "yes" before.
// An error wraps [ErrSyntax], or is one of reading.
func ParseServices(r io.Reader, v Version) (list []Service, err error) {
	err = logical(r, func(n int, line string) error {
		f := split(line, " \t\r\n")
		if len(f) < masterColumns {
			return fmt.Errorf("%w: line %d: %.60q has fewer than %d columns", ErrSyntax, n, line, masterColumns)
		}
		if f[7] != "smtp" {
			return nil
		}
		s := Service{Name: f[0], Type: f[1], Overrides: Params{}}
		s.Chroot = f[chrootColumn] == "y" || f[chrootColumn] == "-" && v.Before(3, 0, 0)
		for i := 8; i < len(f); i++ {
			text := f[i]
			if text == "-o" && i+1 < len(f) {
				i++
				text = f[i]
			} else if text, _ = strings.CutPrefix(text, "-o"); text == f[i] {
				continue
			}
			text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
			if name, value, ok := strings.Cut(text, "="); ok {
				s.Overrides[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
		list = append(list, s)
		return nil
	})
	return list, err
}
