package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"

	"github.com/mxauth/mxauth/cmd/internal/near"
)

// SystemFile is the configuration of the machine.
const SystemFile = "/etc/mxauth/mxauth.toml"

// maxFile bounds a configuration file in bytes.
const maxFile = 1 << 20

// ErrConfig is wrapped by every error of [Load]; each says file and line, variable or flag.
var ErrConfig = errors.New("bad configuration")

// A Problem is one fault of a configuration. It wraps [ErrConfig].
type Problem struct {
	Where string // "/etc/mxauth/mxauth.toml:12", "MXAUTH_STORE_PATH", "--store"
	Key   string // "" if the file as a whole cannot be read
	Why   string
}

// OfFlag reports whether the fault is on the command line.
func (p *Problem) OfFlag() bool { return strings.HasPrefix(p.Where, "--") }

// Error says where, which key and why.
func (p *Problem) Error() string {
	if p.Key == "" || p.OfFlag() {
		return p.Where + ": " + p.Why
	}
	return p.Where + ": " + p.Key + ": " + p.Why
}

// Problems are the faults that an error of [Load] joins.
func Problems(err error) []*Problem {
	var p *Problem
	switch x := err.(type) {
	case *Problem:
		return []*Problem{x}
	case interface{ Unwrap() []error }:
		var out []*Problem
		for _, e := range x.Unwrap() {
			out = append(out, Problems(e)...)
		}
		return out
	}
	if errors.As(err, &p) {
		return []*Problem{p}
	}
	return nil
}

// Unwrap returns [ErrConfig].
func (p *Problem) Unwrap() error { return ErrConfig }

// Source says where settings come from.
type Source struct {
	// File is the file that --config names; "" is [SystemFile], or where that is missing
	// the user's own. Only a file that was named must exist.
	File string
	// FlagsOnly reads neither file nor variables.
	FlagsOnly bool
	// Getenv and Environ are those of package os, or a test's.
	Getenv  func(string) string
	Environ func() []string
	// Flags holds the flags that [Bind] defined, parsed; nil: there are none.
	Flags *pflag.FlagSet
}

// Load reads the settings. All faults are reported together; each is a [*Problem].
func Load(src Source) (*Settings, error) {
	s := Defaults()
	var errs []error
	if !src.FlagsOnly {
		if err := s.loadFile(src); err != nil {
			errs = append(errs, err)
		}
		errs = append(errs, s.loadEnv(src)...)
	}
	errs = append(errs, s.loadFlags(src.Flags)...)
	errs = append(errs, s.check()...)
	return s, errors.Join(errs...)
}

// Path is the file that is read if it exists; "" if there is none to look for.
func (src Source) Path() string {
	if src.File != "" {
		return src.File
	}
	if _, err := os.Stat(SystemFile); !errors.Is(err, fs.ErrNotExist) {
		return SystemFile
	}
	return userFile(src.Getenv)
}

// loadFile reads the file of the source, if there is one.
func (s *Settings) loadFile(src Source) error {
	name, named := src.Path(), src.File != ""
	if name == "" {
		return nil
	}
	b, err := os.ReadFile(name)
	if !named && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &Problem{Where: name, Why: errors.Unwrap(err).Error()}
	}
	if len(b) > maxFile {
		return &Problem{Where: name, Why: fmt.Sprintf("larger than %d bytes", maxFile)}
	}
	return s.Parse(name, string(b))
}

// userFile is the configuration of a user; "" if there is no home.
func userFile(getenv func(string) string) string {
	dir := getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home := getenv("HOME")
		if home == "" {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "mxauth", "mxauth.toml")
}

// Parse reads the text of a file over the present values; name is for errors.
func (s *Settings) Parse(name, text string) error {
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return &Problem{Where: at(name, pe.Position.Line), Why: pe.Message}
		}
		return &Problem{Where: name, Why: err.Error()}
	}
	lines := scan(text)
	var errs []error
	bad := func(key, why string) {
		errs = append(errs, &Problem{Where: at(name, lines.of(key)), Key: key, Why: why})
	}
	for _, table := range slices.Sorted(maps.Keys(tree)) {
		if table == "listen" {
			errs = append(errs, s.parseListen(name, tree[table], lines)...)
			continue
		}
		sub, ok := tree[table].(map[string]any)
		if !ok {
			bad(table, unknown(table, s.tables()))
			continue
		}
		if !slices.Contains(s.tables(), table) {
			bad(table, unknown(table, s.tables()))
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(sub)) {
			key := table + "." + k
			r := find(strings.ReplaceAll(key, "_", "-"))
			if r == nil {
				bad(key, unknown(key, keys()))
				continue
			}
			if _, twice := sub[strings.ReplaceAll(k, "_", "-")]; twice && strings.Contains(k, "_") {
				bad(key, "is "+r.Key+", which is given, too")
				continue
			}
			if err := r.setTOML(s, sub[k]); err != nil {
				bad(key, err.Error())
				continue
			}
			s.origins[r.Key] = at(name, lines.of(key))
		}
	}
	return errors.Join(errs...)
}

// tables are the names of the tables of a file.
func (s *Settings) tables() []string {
	out := []string{"listen"}
	for i := range table {
		name, _, _ := strings.Cut(table[i].Key, ".")
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func keys() []string {
	var out []string
	for i := range table {
		out = append(out, table[i].Key)
	}
	return out
}

func unknown(name string, candidates []string) string {
	if n := near.Name(name, candidates); n != "" {
		return "unknown; did you mean " + n + "?"
	}
	return "unknown"
}

func at(name string, line int) string { return name + ":" + strconv.Itoa(line) }

// loadEnv reads the variables. One with the prefix that is nearly the name of a setting is
// a fault: a misspelt setting has no effect that anybody would notice.
func (s *Settings) loadEnv(src Source) (errs []error) {
	known := map[string]bool{}
	var names []string
	for i := range table {
		r := &table[i]
		known[r.Env()] = true
		names = append(names, strings.ToLower(r.Env()))
		v := src.Getenv(r.Env())
		if v == "" {
			continue
		}
		if err := r.set(s, v); err != nil {
			errs = append(errs, &Problem{Where: r.Env(), Key: r.Key, Why: err.Error()})
			continue
		}
		s.origins[r.Key] = r.Env()
	}
	if src.Environ == nil {
		return errs
	}
	for _, kv := range src.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "MXAUTH_") && !known[name] {
			if n := near.Name(name, names); n != "" {
				errs = append(errs, &Problem{Where: name, Why: "unknown; did you mean " + strings.ToUpper(n) + "?"})
			}
		}
	}
	return errs
}

// A flagValue keeps what was typed until [Load] applies it.
type flagValue struct {
	row   *Setting
	typed []string
}

func (f *flagValue) String() string { return f.row.Default }
func (f *flagValue) Type() string {
	if f.row.Type == Bool {
		return "bool"
	}
	return f.row.Hint
}

// Words are the values that the flag may have; nil: it is not a choice of words.
func (f *flagValue) Words() []string { return slices.Clone(f.row.Words) }

// Set keeps what was typed. Whether it is good is said by [Load], together with all else.
func (f *flagValue) Set(v string) error {
	if f.row.Type == Strings {
		f.typed = append(f.typed, v)
	} else {
		f.typed = []string{v}
	}
	return nil
}

// Bind defines the flags of the settings whose flag is among names; all of them if names is
// nil.
func Bind(f *pflag.FlagSet, names []string) {
	for i := range table {
		r := &table[i]
		if r.Flag == "" || names != nil && !slices.Contains(names, r.Flag) {
			continue
		}
		help := r.Help
		if r.Type == Strings {
			help += " (repeatable)"
		}
		fl := f.VarPF(&flagValue{row: r}, r.Flag, "", help)
		if r.Default == "0s" {
			fl.DefValue = "" // the help says what it means
		}
		if r.Type == Bool {
			fl.NoOptDefVal = "true"
		}
	}
}

// loadFlags applies what was typed.
func (s *Settings) loadFlags(f *pflag.FlagSet) (errs []error) {
	if f == nil {
		return nil
	}
	f.Visit(func(fl *pflag.Flag) {
		v, ok := fl.Value.(*flagValue)
		if !ok || !fl.Changed {
			return
		}
		if v.row.Type == Strings {
			*v.row.to(s).(*[]string) = slices.Clone(v.typed)
		} else if err := v.row.set(s, v.typed[0]); err != nil {
			errs = append(errs, &Problem{Where: "--" + fl.Name, Key: v.row.Key, Why: err.Error()})
			return
		}
		s.origins[v.row.Key] = "--" + fl.Name
	})
	return errs
}

// check looks for values and pairs of values that cannot hold.
func (s *Settings) check() (errs []error) {
	bad := func(key, format string, args ...any) {
		errs = append(errs, &Problem{Where: s.Origin(key), Key: key, Why: fmt.Sprintf(format, args...)})
	}
	for _, p := range []struct {
		key  string
		list []string
	}{{"trust.allow-address", s.Allow}, {"trust.deny-address", s.Deny}} {
		for _, a := range p.list {
			if _, err := netip.ParsePrefix(a); err != nil {
				if _, err := netip.ParseAddr(a); err != nil {
					bad(p.key, "%.60q is no address prefix such as 127.0.0.0/8", a)
				}
			}
		}
	}
	if s.Memory != "accept" && s.Store == "memory" {
		bad("memory.action", "%s: a store in memory is lost at exit; name a persistent one, such as bolt:FILE (store.path is that of: %s)", s.Memory, s.Origin("store.path"))
	}
	if u, err := url.Parse(s.Store); err == nil && s.StorePassword != "" {
		if _, has := u.User.Password(); has {
			bad("store.password-file", "the URL of store.path has a password, too (%s)", s.Origin("store.path"))
		}
	}
	if len(s.Names) > 0 && s.Level != "secure" && s.Origin("policy.names") != "--name" {
		bad("policy.names", "only means something at policy.level secure, which is %s (%s)", s.Level, s.Origin("policy.level"))
	}
	seen := map[string]string{}
	use := func(where, key string, l *Listen) {
		network, addr, err := l.Network()
		if err != nil {
			return
		}
		if o := seen[network+addr]; o != "" {
			errs = append(errs, &Problem{Where: where, Key: key, Why: fmt.Sprintf("%s is used already (%s)", l.Address, o)})
		}
		seen[network+addr] = where
	}
	for i := range s.Listen {
		l := &s.Listen[i]
		errs = append(errs, l.faults()...)
		use(l.where, "listen.address", l)
	}
	if l := s.MetricsListen(); s.Metrics != "" {
		if _, _, err := l.Network(); err != nil {
			bad("serve.metrics", "%v", err)
		}
		use(s.Origin("serve.metrics"), "serve.metrics", &l)
	}
	if l := s.ControlListen(); s.Control != "" {
		if _, _, err := l.Network(); err != nil {
			bad("serve.control", "%v", err)
		}
		use(s.Origin("serve.control"), "serve.control", &l)
	}
	return errs
}

// MetricsListen is the listener of the metrics.
func (s *Settings) MetricsListen() Listen { return Listen{Door: "http", Address: s.Metrics} }

// ControlListen is the control socket, which is for the user of the daemon alone.
func (s *Settings) ControlListen() Listen {
	return Listen{Door: "http", Address: "unix:" + s.Control, Mode: "0600"}
}

// A lineIndex knows the lines of keys.
type lineIndex map[string][]int

// scan finds the lines of tables and keys in a text that parses as TOML.
func scan(text string) lineIndex {
	x := lineIndex{}
	table, n := "", 0
	for line := range strings.Lines(text) {
		n++
		l := strings.TrimSpace(line)
		if strings.HasPrefix(l, "[") && (table == "" || !strings.Contains(l, "=")) {
			if name := strings.Trim(strings.TrimRight(l, "\r\n"), "[] \t"); !strings.ContainsAny(name, `",`) {
				name, _, _ = strings.Cut(name, "]")
				table = strings.TrimSpace(name)
				x[table] = append(x[table], n)
				continue
			}
		}
		k, _, ok := strings.Cut(l, "=")
		if !ok || strings.HasPrefix(l, "#") {
			continue
		}
		key := strings.Trim(strings.TrimSpace(k), `"'`)
		if table != "" {
			key = table + "." + key
		}
		x[key] = append(x[key], n)
	}
	return x
}

// of is the first line of a key; 1 if it was not found.
func (x lineIndex) of(key string) int { return x.nth(key, 0) }

// nth is the line of the key's n-th appearance, or its last.
func (x lineIndex) nth(key string, n int) int {
	l := x[key]
	if len(l) == 0 {
		return 1
	}
	return l[min(n, len(l)-1)]
}
