package peers

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// An Exim is an Exim of a Debian release in a folder of its own, with a user, a spool and a
// configuration of its own. Its files are those of Root.
type Exim struct {
	Root *DebianRoot
}

// The user that Debian's Exim is built for, with a number that the folder alone knows.
const (
	eximUser = "Debian-exim"
	eximID   = 105
)

// eximTime is how long one message may take. Exim waits as long as 20 s for an answer of
// mxauth, several times for each host.
const eximTime = 4 * time.Minute

// NewExim unpacks Exim of a release. It has neither a configuration nor a resolver yet.
func NewExim(tb testing.TB, release string) *Exim {
	tb.Helper()
	// GnuTLS reads the trust anchor of dns-root-data before it verifies by TLSA records.
	e := &Exim{NewDebianRoot(tb, release, "exim4-daemon-light", "dns-root-data")}
	if err := e.Root.AddUser(eximUser, eximID); err != nil {
		tb.Fatal(err)
	}
	for _, d := range []string{"/var/spool/exim4", "/var/log/exim4"} {
		err := os.MkdirAll(e.Root.Dir+d, 0o755)
		if err == nil {
			err = os.Chown(e.Root.Dir+d, eximID, eximID)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	e.Write(tb, "/etc/hosts", "127.0.0.1 localhost\n")
	return e
}

// Write writes a file; name is absolute within Exim's root.
func (e *Exim) Write(tb testing.TB, name, text string) {
	tb.Helper()
	file := filepath.Join(e.Root.Dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		tb.Fatal(err)
	}
	write(tb, file, "%s", text)
}

// Configure writes Exim's configuration, has Exim read it, and returns Exim's version:
// "4.98.2".
func (e *Exim) Configure(tb testing.TB, text string) string {
	tb.Helper()
	e.Write(tb, "/etc/exim4/exim4.conf", text)
	f := strings.Fields(Run(tb, "/", "chroot", e.Root.Dir, "/usr/sbin/exim4", "-bV"))
	if len(f) < 3 || f[1] != "version" {
		tb.Fatalf("exim4 -bV: %q", f)
	}
	return f[2]
}

// A DeliveryResult says how the delivery of one message to one recipient ended.
type DeliveryResult struct {
	Delivered, Deferred, Bounced bool
	Host                         string // that took it
	TLS                          string // "TLS1.3:...", "" for none
	Verified                     string // "dane", "yes", "no"; Exim's CV=
	Log                          string // all lines of the main log about the message
}

// String returns "delivered to mx.example.org, dane", "deferred" or "bounced".
func (f DeliveryResult) String() string {
	switch {
	case f.Bounced:
		return "bounced"
	case f.Deferred:
		return "deferred"
	case f.Delivered && f.TLS == "":
		return "delivered to " + f.Host + ", cleartext"
	case f.Delivered:
		return "delivered to " + f.Host + ", " + map[string]string{"dane": "dane", "yes": "webpki", "no": "unverified"}[f.Verified]
	}
	return "lost"
}

// Send gives Exim a message and waits for its first attempt of delivery. The sender's local
// part has to be of this message alone.
func (e *Exim) Send(tb testing.TB, from, to string) DeliveryResult {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), eximTime)
	defer cancel()
	// -odf: deliver before the program ends.
	cmd := exec.CommandContext(ctx, path("chroot"), e.Root.Dir, "/usr/sbin/exim4", "-odf", "-oi", "-f", from, to)
	cmd.Stdin = strings.NewReader("From: <" + from + ">\nTo: <" + to + ">\nSubject: a message\n\nA real message.\n")
	cmd.WaitDelay = stopTimeout
	out, err := cmd.CombinedOutput()
	f, err2 := e.Result(from)
	if err := errors.Join(err, err2); err != nil {
		tb.Errorf("%s to %s: %v\n%s", from, to, err, out)
	}
	return f
}

var (
	eximHostName = regexp.MustCompile(` H=(\S+) `)
	eximCipher   = regexp.MustCompile(` X=(\S+)`)
	eximVerified = regexp.MustCompile(` CV=(\S+)`)
)

// Result returns how the message of a sender has ended so far.
func (e *Exim) Result(from string) (f DeliveryResult, err error) {
	log, err := os.ReadFile(e.Root.Dir + "/var/log/exim4/mainlog")
	if err != nil {
		return f, err
	}
	id := ""
	for line := range strings.Lines(string(log)) {
		// "2026-11-29 22:30:01 1vPaBC-000000001AB-0abc <= from U=root P=local S=400"
		w := strings.Fields(line)
		switch {
		case len(w) < 5:
		case w[3] == "<=" && w[4] == from:
			id = w[2]
		case id == "" || w[2] != id:
			continue
		case w[3] == "=>":
			f.Delivered = true
			f.Host, f.TLS, f.Verified = submatch(eximHostName, line), submatch(eximCipher, line), submatch(eximVerified, line)
		case w[3] == "==":
			f.Deferred = true
		case w[3] == "**":
			f.Bounced = true
		}
		if id != "" && len(w) > 2 && w[2] == id {
			f.Log += line
		}
	}
	if id == "" {
		return f, errors.New("the message is not in Exim's log")
	}
	return f, nil
}

func submatch(re *regexp.Regexp, s string) string {
	if m := re.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}
