package peers_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/conformance/peers"
)

// mxauthUser is the number of the user mxauth in the root of the page.
const mxauthUser = 2103

// pageTimeout bounds one command of the page.
const pageTimeout = 2 * time.Minute

// shellBlock is a block of the page with commands.
var shellBlock = regexp.MustCompile("(?ms)^(## [^\n]*|### [^\n]*)$|^```sh\n(.*?)^```$")

// A machine is a root with Postfix and mxauth on which the commands of docs/operations.md run.
// What Debian's init system and package manager do, it does itself; packaging/test shows
// that the package does the same.
type machine struct {
	t      *testing.T
	root   *peers.DebianRoot
	mta    *peers.Sender
	binary string
	daemon *peers.Daemon // nil: mxauth does not run
	env    []string
}

// TestOperations runs docs/operations.md, command by command.
func TestOperations(t *testing.T) {
	peers.Require(t, "systemd-socket-activate")
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	root := peers.NewDebianRoot(t, "trixie", append([]string{"postfix", "tar", "gzip"}, shellTools...)...)
	l := labtest.Start(t, lab.Config{Worlds: labtest.Worlds(t, "dane-ee", "sts-enforce", "tlsa-mismatch", "sts-no-match", "ds-wrong"), RealPorts: true})
	m := &machine{t: t, root: root, binary: build(t)}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.CA().Raw})
	m.mta = peers.StartSender(t, peers.SenderConfig{Root: root, Address: "127.0.40.1:25", Resolver: labResolver, CA: ca, Messages: pageMessages,
		Options: []string{"queue_run_delay = 1s", "minimal_backoff_time = 1s", "maximal_backoff_time = 2s", "transport_retry_time = 1s"}})
	m.furnish(ca, l.TrustAnchor())

	heading, done := "", map[string]int{}
	for _, b := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		if b[1] != "" {
			m.after(heading)
			heading = strings.TrimLeft(b[1], "# ")
			continue
		}
		for line := range strings.Lines(b[2]) {
			m.run(strings.TrimSpace(line))
			done[heading]++
		}
	}
	m.after(heading)
	for _, h := range []string{"1. Install", "5. Let Postfix ask", "6. See it", "Backup and restore", "Upgrade", "Monitoring", "The way back"} {
		if done[h] == 0 {
			t.Errorf("the page has no command under %q", h)
		}
	}
}

// pageMessages are all that are sent: before mxauth, with it, and after the way back.
var pageMessages = []peers.Message{
	{ID: "before", Domain: "sts-no-match.test", Route: "smtp"},
	{ID: "dane", Domain: "dane-ee.test", Route: "smtp"},
	{ID: "sts", Domain: "sts-enforce.test", Route: "smtp"},
	{ID: "mismatch", Domain: "tlsa-mismatch.test", Route: "smtp"},
	{ID: "held", Domain: "sts-no-match.test", Route: "smtp"},
	{ID: "back", Domain: "sts-no-match.test", Route: "smtp"},
	{ID: "after", Domain: "sts-no-match.test", Route: "smtp"},
}

// messages are those with the given IDs.
func messages(ids ...string) (out []peers.Message) {
	for _, id := range ids {
		for _, m := range pageMessages {
			if m.ID == id {
				out = append(out, m)
			}
		}
	}
	return out
}

// furnish makes what the machine of the page has before mxauth: its own resolver and
// authorities, which are those of the lab, the list of domains, and folders.
func (m *machine) furnish(ca []byte, anchor string) {
	m.t.Helper()
	in := func(name string) string { return filepath.Join(m.root.Dir, name) }
	for _, d := range []string{"etc/ssl/certs", "root", "var/backups", "usr/bin"} {
		if err := os.MkdirAll(in(d), 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	// The configuration of the sender is that of the machine, with the other files of Debian.
	conf := filepath.Join(m.mta.Dir, "conf")
	files, err := filepath.Glob(in("etc/postfix/*"))
	for _, f := range files {
		if b, e := os.ReadFile(f); e == nil {
			if name := filepath.Base(f); name != "main.cf" && name != "master.cf" {
				writeFile(m.t, filepath.Join(conf, name), string(b))
			}
		}
	}
	err = errors.Join(err, os.RemoveAll(in("etc/postfix")), os.Symlink(strings.TrimPrefix(conf, m.root.Dir), in("etc/postfix")))
	if err != nil {
		m.t.Fatal(err)
	}
	writeFile(m.t, in("etc/ssl/certs/ca-certificates.crt"), string(ca))
	writeFile(m.t, in("etc/lab.ds"), anchor)
	writeFile(m.t, in("root/domains.txt"), "dane-ee.test\nsts-enforce.test\ntlsa-mismatch.test\n")
	m.env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		// The root of the lab's DNS, and its servers on loopback.
		"MXAUTH_RESOLVER_ANCHOR_STATE=", "MXAUTH_RESOLVER_TRUST_ANCHOR=/etc/lab.ds", "MXAUTH_TRUST_ALLOW_ADDRESS=127.0.0.0/8"}
}

// in is the command line of a program in the root.
func (m *machine) in(user int, args ...string) []string {
	return append([]string{"chroot", fmt.Sprintf("--userspec=%d:%[1]d", user), m.root.Dir, "/usr/bin/env", "-i"}, append(m.env, args...)...)
}

// run runs one command of the page; it fails the test if the command does.
func (m *machine) run(line string) {
	m.t.Helper()
	if strings.HasPrefix(line, "tar -C / -xzf") {
		m.lose()
	}
	if strings.HasPrefix(line, "cp -p /var/backups/mxauth-policies.db ") {
		if err := os.Remove(filepath.Join(m.root.Dir, "var/lib/mxauth/policies.db")); err != nil {
			m.t.Fatal(err)
		}
	}
	if line == "mxauth resolver" {
		// The zones of the Internet that it tries are not in the lab.
		line += " --signed dane-ee.test --unsigned sts-enforce.test --broken ds-wrong.test"
	}
	begun := time.Now()
	switch f := strings.Fields(line); f[0] {
	case "apt":
		m.install(line)
	case "systemctl":
		for _, unit := range f[2:] {
			if unit != "--now" && unit != "mxauth.socket" {
				m.systemctl(f[1], strings.TrimSuffix(unit, ".service"))
			}
		}
	case "curl":
		m.curl(f[len(f)-1])
	default:
		out := m.output(line)
		m.t.Logf("$ %s (%v)\n%s", line, time.Since(begun).Round(time.Millisecond), out)
		m.said(line, out)
	}
}

// output runs a command in the root and returns all that it prints.
func (m *machine) output(command string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), pageTimeout)
	defer cancel()
	line := m.in(0, "/bin/sh", "-ec", command)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		log := ""
		if m.daemon != nil {
			log = m.daemon.Output()
		}
		m.t.Fatalf("%s: %v\n%s\nthe daemon said:\n%s", command, err, out, log)
	}
	return string(out)
}

// said holds what commands of the page print, where the page says what that is.
func (m *machine) said(line, out string) {
	m.t.Helper()
	for command, want := range map[string]string{
		"mxauth ask dane-ee.test":     "OK dane-only",
		"mxauth ask sts-enforce.test": "OK secure",
		"mxauth cache list":           "sts-enforce.test",
		"mxauth exceptions list":      "until-repaired",
		"postmap -q dane-ee.test":     "dane-only",
		"postmap -q sts-enforce.test": "secure match=mx.sts-enforce.test",
	} {
		if strings.HasPrefix(line, command) && !strings.Contains(out, want) {
			m.t.Errorf("%s: no %q in\n%s", line, want, out)
		}
	}
	if line == "postqueue -f" {
		// The table is out: what MTA-STS held goes, and so does the next message.
		m.becomes("held", "sent")
		m.sends("back", "sent", "")
	}
	if line == "mxauth status -q" && out != "" {
		m.t.Errorf("mxauth status -q prints\n%s", out)
	}
}

// install puts the program and its files where the package has them, with user and folders.
func (m *machine) install(line string) {
	m.t.Helper()
	if !strings.HasPrefix(line, "apt install ./mxauth_") {
		m.t.Fatalf("%s: what is that?", line)
	}
	program, err := os.ReadFile(m.binary)
	if err != nil {
		m.t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(m.root.Dir, name) }
	first := m.daemon == nil
	if !first {
		m.systemctl("stop", "mxauth")
	}
	err = errors.Join(os.WriteFile(in("usr/bin/mxauth.new"), program, 0o755), os.Rename(in("usr/bin/mxauth.new"), in("usr/bin/mxauth")))
	if first {
		config, e := os.ReadFile("../../packaging/mxauth.toml")
		err = errors.Join(err, e, m.root.AddUser("mxauth", mxauthUser))
		for _, d := range []string{"etc/mxauth", "run/mxauth", "var/lib/mxauth"} {
			err = errors.Join(err, os.MkdirAll(in(d), 0o755))
		}
		err = errors.Join(err, os.WriteFile(in("etc/mxauth/mxauth.toml"), config, 0o644),
			os.Chown(in("run/mxauth"), mxauthUser, mxauthUser), os.Chown(in("var/lib/mxauth"), mxauthUser, mxauthUser), os.Chmod(in("var/lib/mxauth"), 0o700))
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.systemctl("start", "mxauth")
}

// systemctl does to a service what the program of that name does.
func (m *machine) systemctl(verb, unit string) {
	m.t.Helper()
	switch unit + " " + verb {
	case "postfix reload":
		m.mta.Run(m.t, "postfix", "reload")
	case "mxauth start":
		m.start()
	case "mxauth restart":
		m.systemctl("stop", unit)
		m.start()
	case "mxauth stop", "mxauth disable":
		m.daemon.Stop()
		m.daemon = nil
	case "mxauth reload":
		if err := m.daemon.Signal(syscall.SIGHUP); err != nil {
			m.t.Fatal(err)
		}
	default:
		m.t.Fatalf("systemctl %s %s: what is that?", verb, unit)
	}
}

// start starts the daemon as mxauth.service does, with the socket of mxauth.socket.
func (m *machine) start() {
	m.t.Helper()
	socket := filepath.Join(m.root.Dir, "run/mxauth/postfix.sock")
	if err := os.RemoveAll(socket); err != nil {
		m.t.Fatal(err)
	}
	line := append([]string{"-l", socket, "--fdname=socketmap"}, m.in(mxauthUser, "/bin/sh", "-c", `LISTEN_FDS=1 LISTEN_FDNAMES=socketmap LISTEN_PID=$$ exec /usr/bin/mxauth serve`)...)
	m.daemon = peers.Start(m.t, "systemd-socket-activate", line...)
	// The program is started with the first connection.
	m.daemon.WaitFor(m.t, "an answer", func(context.Context) error {
		if err := os.Chmod(socket, 0o666); err != nil {
			return err
		}
		c, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(labPatience)); err != nil {
			return err
		}
		if _, err := io.WriteString(c, "11:QUERY .test,"); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 1))
		return err
	})
}

// curl fetches a page of the machine.
func (m *machine) curl(url string) {
	m.t.Helper()
	r, err := http.Get(url)
	if err != nil {
		m.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(b), "\nmxauth_sts_policies 3\n") {
		m.t.Errorf("%s: %v\n%s", url, err, b)
	}
}

// after holds what the commands of a section have done, and prepares the next.
func (m *machine) after(heading string) {
	m.t.Helper()
	in := func(name string) string { return filepath.Join(m.root.Dir, name) }
	switch heading {
	case "4. Fill it":
		// As without mxauth: nothing is demanded of this domain.
		m.sends("before", "sent", "")
	case "6. See it":
		m.sends("dane", "sent", "Verified")
		m.sends("sts", "sent", "Verified")
		m.sends("mismatch", "deferred", "")
		m.sends("held", "deferred", "")
		m.logHas("socketmap server temporary error: The MTA-STS policy of sts-no-match.test does not list the MX host mx.sts-no-match.test")
		m.logHas("status=deferred (client TLS configuration problem)")
		// What an administrator has written by the time of the backup.
		b, err := os.ReadFile(in("etc/mxauth/mxauth.toml"))
		if err != nil {
			m.t.Fatal(err)
		}
		writeFile(m.t, in("etc/mxauth/mxauth.toml"), string(b)+"\n[exceptions]\nfile = \"/etc/mxauth/exceptions.toml\"\n")
		writeFile(m.t, in("etc/mxauth/exceptions.toml"), fmt.Sprintf("[[exception]]\nid = \"until-repaired\"\ndomain = \"broken.example\"\neffect = \"encrypt\"\nreason = \"test\"\nauthor = \"test\"\nends = %s\n",
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	case "Backup and restore":
		// The policies are those of the backup, with the time at which they were fetched.
		saved, err := os.ReadFile(in("var/backups/mxauth-policies.jsonl"))
		if err != nil {
			m.t.Fatal(err)
		}
		if got := m.output("mxauth cache export 2> /dev/null"); got != string(saved) || !strings.Contains(got, "sts-enforce.test") {
			m.t.Errorf("the policies are\n%s\nand were\n%s", got, saved)
		}
	case "The way back":
		// The whole main.cf of before: no level, no DANE.
		m.becomes("mismatch", "sent")
		m.sends("after", "sent", "")
		all := peers.ReadDeliveries(m.mta.Log(m.t))
		if before, after := all["before"][0], all["after"][0]; before.TLS != after.TLS || before.Host != after.Host {
			m.t.Errorf("before mxauth %+v, after it %+v", before, after)
		}
	}
}

// lose takes from the machine all that the backup has.
func (m *machine) lose() {
	m.t.Helper()
	m.systemctl("stop", "mxauth")
	for _, d := range []string{"etc/mxauth", "var/lib/mxauth"} {
		files, err := filepath.Glob(filepath.Join(m.root.Dir, d, "*"))
		if err != nil || len(files) == 0 {
			m.t.Fatalf("%s: %v, %v", d, files, err)
		}
		for _, f := range files {
			if err := os.RemoveAll(f); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	config, err := os.ReadFile("../../packaging/mxauth.toml") // as on a new machine
	if err != nil {
		m.t.Fatal(err)
	}
	writeFile(m.t, filepath.Join(m.root.Dir, "etc/mxauth/mxauth.toml"), string(config))
	m.start()
}

// becomes waits until a message that was sent before has come to something else.
func (m *machine) becomes(id, status string) {
	m.t.Helper()
	m.mta.WaitFor(m.t, "delivery of "+id, func(context.Context) error {
		attempts := peers.ReadDeliveries(m.mta.Log(m.t))[id]
		if len(attempts) == 0 || attempts[len(attempts)-1].Status != status {
			return fmt.Errorf("%+v", attempts)
		}
		return nil
	})
}

// sends sends a message and holds what becomes of it.
func (m *machine) sends(id, status, tls string) {
	m.t.Helper()
	batch := messages(id)
	m.mta.Send(m.t, batch)
	d := m.mta.Deliveries(m.t, batch, sendPatience)[id]
	if d.Status != status || tls != "" && d.TLS != tls {
		m.t.Errorf("the message %q: %+v, want %s %s", id, d, status, tls)
	}
}

// logHas fails the test if Postfix has not logged a text.
func (m *machine) logHas(text string) {
	m.t.Helper()
	if log := m.mta.Log(m.t); !strings.Contains(log, text) {
		m.t.Errorf("Postfix does not say %q:\n%s", text, log)
	}
}
