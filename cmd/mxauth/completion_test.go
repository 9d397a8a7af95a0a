package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
)

// completions are what a user types before the tab key, and the line that he then has.
var completions = []struct{ typed, want string }{
	{"mxauth che", "mxauth check "},
	{"mxauth tlsa ma", "mxauth tlsa make "},
	{"mxauth cache res", "mxauth cache rescue "},
	{"mxauth help forec", "mxauth help forecast "},
	{"mxauth check --evid", "mxauth check --evidence "},
	{"mxauth check --dnssec v", "mxauth check --dnssec validate "},
	{"mxauth check --dnssec t", "mxauth check --dnssec trust-ad "},
	{"mxauth check --memory al", "mxauth check --memory alert "},
	{"mxauth check --level dane-", "mxauth check --level dane-only "},
	{"mxauth plan --insecure-mx e", "mxauth plan --insecure-mx encrypt "},
	{"mxauth check --store bo", "mxauth check --store bolt:"},
	{"mxauth serve --listen ex", "mxauth serve --listen exim="},
	{"mxauth ask --map QUERYw", "mxauth ask --map QUERYwithTLSRPT "},
	{"mxauth demo classic-mism", "mxauth demo classic-mismatch "},
	{"mxauth reason dane-no-m", "mxauth reason dane-no-match "},
	{"mxauth completion f", "mxauth completion fish "},
	// Files where a file is wanted, and none where a domain is.
	{"mxauth replay evid", "mxauth replay evidence.json "},
	{"mxauth check --ca-file authori", "mxauth check --ca-file authorities.pem "},
	{"mxauth check evid", "mxauth check evid"},
	{"mxauth check --timeout evid", "mxauth check --timeout evid"},
}

// A completionShell is a folder with the program, the script of a shell and some files.
type completionShell struct{ dir, script string }

func newCompletionShell(t *testing.T, name string) completionShell {
	t.Helper()
	tool(t, name)
	s := completionShell{dir: t.TempDir()}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(s.dir, "mxauth")); err != nil {
		t.Fatal(err)
	}
	// A configuration with a fault does not keep a shell from completing.
	if err := os.MkdirAll(filepath.Join(s.dir, "config", "mxauth"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.dir, "config", "mxauth", "mxauth.toml"), "no such = key\n")
	for _, file := range []string{"evidence.json", "authorities.pem"} {
		write(t, filepath.Join(s.dir, file), "")
	}
	out, err := s.command(t, filepath.Join(s.dir, "mxauth"), "completion", name).Output()
	if err != nil || len(out) < 1000 {
		t.Fatalf("completion %s: %v, %d bytes", name, err, len(out))
	}
	s.script = filepath.Join(s.dir, "script")
	write(t, s.script, string(out))
	return s
}

// command is a program run in the folder, with mxauth first in its path.
func (s completionShell) command(t *testing.T, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + s.dir + ":" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_CONFIG_HOME=" + filepath.Join(s.dir, "config"), "TERM=dumb", "LC_ALL=C.UTF-8", asMxauth + "=1", raceOptions + "=" + os.Getenv(raceOptions)}
	return cmd
}

// drive types each line and a tab into a shell on a terminal, and asks the shell for its
// line by a key that prepared binds to it: it prints <line>.
func (s completionShell) drive(t *testing.T, prepared string, name string, args ...string) {
	t.Helper()
	tty, err := pty.StartWithSize(s.command(t, name, args...), &pty.Winsize{Rows: 50, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	// A shell that answers nothing closes the terminal, which ends the reading below.
	defer time.AfterFunc(time.Minute, func() { tty.Close() }).Stop()
	seen := bufio.NewReader(tty)
	until := func(pattern *regexp.Regexp) string {
		var all strings.Builder
		for {
			line, err := seen.ReadString('\n')
			all.WriteString(line)
			if m := pattern.FindStringSubmatch(line); m != nil {
				return m[1]
			}
			if err != nil {
				t.Fatalf("%v; the terminal shows\n%s", err, all.String())
			}
		}
	}
	fmt.Fprintf(tty, "%s\nprintf '<%%s>\\n' ready\n", prepared)
	until(regexp.MustCompile(`^<(ready)>`))
	for _, c := range completions {
		fmt.Fprintf(tty, "%s\t\a", c.typed)
		if got := until(regexp.MustCompile(`<([^<>]*)>\r`)); got != c.want {
			t.Errorf("%q and a tab: %q, want %q", c.typed, got, c.want)
		}
		fmt.Fprint(tty, "\x15") // clears the line
	}
}

func TestCompletionBash(t *testing.T) {
	const library = "/usr/share/bash-completion/bash_completion"
	s := newCompletionShell(t, "bash")
	tool(t, library)
	s.drive(t, "source "+library+"; source "+s.script+`; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; bind -x '"\C-g": printf "<%s>\n" "$READLINE_LINE"'`,
		"bash", "--norc", "--noprofile", "-i")
}

func TestCompletionZsh(t *testing.T) {
	s := newCompletionShell(t, "zsh")
	s.drive(t, `PS1='> '; unsetopt beep prompt_sp zle_bracketed_paste; unset zle_bracketed_paste; autoload -Uz compinit; compinit -u; source `+s.script+`; line() { print -r -- "<$BUFFER>" }; zle -N line; bindkey '^G' line; bindkey '^U' kill-whole-line`,
		"zsh", "-f", "-i")
}

// TestCompletionFish asks fish for its candidates, which needs no terminal.
func TestCompletionFish(t *testing.T) {
	s := newCompletionShell(t, "fish")
	for _, c := range completions {
		out, err := s.command(t, "fish", "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, s.script, c.typed).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		word := strings.TrimSpace(c.want[strings.LastIndexByte(strings.TrimSpace(c.want), ' ')+1:])
		var got []string
		for line := range strings.Lines(string(out)) {
			candidate, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			got = append(got, candidate)
		}
		switch {
		case c.typed == c.want && len(got) > 0:
			t.Errorf("%q: %q, want none", c.typed, got)
		case c.typed != c.want && !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, word) }):
			t.Errorf("%q: %q, want %q", c.typed, got, word)
		}
	}
}

// TestCompletionValues: each word that a setting may have is offered for its flag, on the
// verbs that have it.
func TestCompletionValues(t *testing.T) {
	for _, c := range []struct{ verb, flag string }{{"check", "dnssec"}, {"check", "level"}, {"plan", "memory"}, {"check", "mx-alias"}, {"lint", "dnssec"}} {
		var want []string
		for _, s := range settings.Table() {
			if s.Flag == c.flag {
				want = s.Words
			}
		}
		got := completed(t, c.verb, "--"+c.flag, "")
		if len(want) < 2 || !slices.Equal(got, want) {
			t.Errorf("%s --%s: %q, want %q", c.verb, c.flag, got, want)
		}
	}
	if got := completed(t, "demo", ""); len(got) < 400 || !slices.Contains(got, "dane-ee") {
		t.Errorf("%d worlds", len(got))
	}
	if got := completed(t, "reason", ""); !slices.Contains(got, "dane-no-match") {
		t.Errorf("reasons: %q", got)
	}
}

// completed are the candidates for the last of the arguments.
func completed(t *testing.T, args ...string) []string {
	t.Helper()
	var stdout, stderr strings.Builder
	if code := run(t.Context(), append([]string{"__completeNoDesc"}, args...), newEnv(strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })); code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	return lines[:len(lines)-1] // the last is the directive
}
