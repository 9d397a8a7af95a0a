package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Route is one way in which a [Sender] delivers: a transport of Postfix with its own
// level and table.
type Route struct {
	Name    string   // "table-dane"
	Options []string // -o options, such as "smtp_tls_security_level=dane"
}

// A Message is one message to one recipient.
type Message struct {
	ID      string // local part of the recipient, unique
	Domain  string // of the recipient, in A-labels
	Route   string
	NextHop string // as Postfix writes it, with port; "": Domain
	Header  string // further header lines, each ending in CRLF
}

// Recipient is the address of the message.
func (m Message) Recipient() string { return m.ID + "@" + m.Domain }

// A SenderConfig describes a Postfix that delivers.
type SenderConfig struct {
	// Root has the Postfix to run; nil: that of this machine.
	Root *DebianRoot
	// Address is where it takes mail, a 127.x address with a port.
	Address string
	// Resolver is the address of a validating resolver at port 53.
	Resolver string
	CA       []byte // PEM
	Routes   []Route
	Messages []Message // all that will ever be sent: their routes are written first
	Options  []string  // further lines of main.cf
}

// A Sender is a Postfix that delivers mail and writes the result to a log.
type Sender struct {
	*Daemon
	Version string // mail_version
	address string
	log     string // file
	// Dir is the folder of its files; Queue its queue directory, into which the delivering
	// processes are chrooted.
	Dir, Queue string
	root       *DebianRoot
	conf       string // folder of main.cf as Postfix sees it
}

// command is the command line of a program where the sender runs.
func (s *Sender) command(program string, args ...string) []string {
	if s.root == nil {
		return append([]string{program}, args...)
	}
	return append([]string{"chroot", s.root.Dir, program}, args...)
}

// Run runs a program where the sender runs, to its end.
func (s *Sender) Run(tb testing.TB, program string, args ...string) string {
	tb.Helper()
	line := s.command(program, args...)
	return Run(tb, "/", line[0], line[1:]...)
}

// preparePostfix makes what the scripts of Debian's package postfix would have made.
func preparePostfix(tb testing.TB, root *DebianRoot, resolver string) {
	tb.Helper()
	script := filepath.Join(root.Dir, "usr/lib/postfix/syncfiles.pl")
	if _, err := os.Stat(filepath.Join(root.Dir, "etc/resolv.conf")); err != nil {
		if err := errors.Join(root.AddUser("postfix", postfixUser), root.AddUser("postdrop", postdropGroup), os.MkdirAll(filepath.Dir(script), 0o755)); err != nil {
			tb.Fatal(err)
		}
	}
	write(tb, filepath.Join(root.Dir, "etc/resolv.conf"), "nameserver %s\n", resolver)
	write(tb, filepath.Join(root.Dir, "etc/hosts"), "127.0.0.1 localhost\n")
	// The start script copies files of the system into the queue directory by this.
	write(tb, script, "#!/bin/sh\nexit 0\n")
	if err := os.Chmod(script, 0o755); err != nil {
		tb.Fatal(err)
	}
}

// Numbers of the users of Postfix in a root.
const (
	postfixUser   = 2101
	postdropGroup = 2102
)

// senderConf is what every sender has. Each attempt is to end soon, and what is deferred is
// not tried again unless the options say so.
const senderConf = `compatibility_level = 3.6
maillog_file_prefixes = /tmp, /var, /srv
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = out.sender.invalid
mynetworks = 127.0.0.0/8
mydestination =
relay_domains = static:all
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
alias_maps =
alias_database =
local_transport = discard
smtp_dns_support_level = dnssec
smtp_host_lookup = dns
smtp_tls_loglevel = 1
smtp_connect_timeout = 8s
smtp_helo_timeout = 8s
smtp_starttls_timeout = 8s
smtp_mail_timeout = 8s
smtp_rcpt_timeout = 8s
smtp_data_init_timeout = 8s
smtp_data_xfer_timeout = 8s
smtp_data_done_timeout = 8s
smtp_quit_timeout = 2s
smtp_connection_cache_on_demand = no
smtp_cname_overrides_servername = no
smtp_randomize_addresses = no
smtputf8_enable = yes
notify_classes =
default_process_limit = 100
in_flow_delay = 0
queue_run_delay = 3600s
minimal_backoff_time = 3600s
maximal_backoff_time = 7200s
`

// StartSender starts a Postfix for delivering. Its smtp processes are chrooted into the
// queue directory, as in Debian's default, and find their resolver there.
func StartSender(tb testing.TB, c SenderConfig) *Sender {
	tb.Helper()
	base := Dir(tb)
	s := &Sender{address: c.Address, Dir: base, root: c.Root}
	inside := base // the folder as Postfix sees it
	if c.Root != nil {
		inside = "/srv/" + filepath.Base(base)
		s.Dir = filepath.Join(c.Root.Dir, inside)
		preparePostfix(tb, c.Root, c.Resolver)
	}
	s.Queue, s.log = filepath.Join(s.Dir, "queue"), filepath.Join(s.Dir, "mail.log")
	for _, sub := range []string{"queue/etc", "queue/dev", "data", "conf"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, sub), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	s.Run(tb, "chown", "postfix", inside+"/data")
	write(tb, filepath.Join(s.Queue, "etc/resolv.conf"), "nameserver %s\noptions timeout:5 attempts:1\n", c.Resolver)
	write(tb, filepath.Join(s.Queue, "etc/hosts"), "127.0.0.1 localhost\n")
	write(tb, filepath.Join(s.Dir, "ca.pem"), "%s", c.CA)
	conf := filepath.Join(s.Dir, "conf")
	// postconf wants a configuration, and is asked for what is compiled in.
	write(tb, filepath.Join(conf, "main.cf"), "")
	compiled := func(name string) string {
		return strings.TrimSpace(s.Run(tb, "postconf", "-c", inside+"/conf", "-d", "-h", name))
	}
	s.Version = compiled("mail_version")
	main := senderConf + fmt.Sprintf("queue_directory = %[1]s/queue\ndata_directory = %[1]s/data\ndaemon_directory = %[2]s\nmaillog_file = %[1]s/mail.log\nsmtp_tls_CAfile = %[1]s/ca.pem\ntransport_maps = texthash:%[1]s/conf/transport\n",
		inside, compiled("daemon_directory"))
	write(tb, filepath.Join(conf, "main.cf"), "%s%s\n", without(main, c.Options), strings.Join(c.Options, "\n"))
	var b strings.Builder
	fmt.Fprintf(&b, "%s inet n - n - - smtpd\n", c.Address)
	for _, r := range c.Routes {
		fmt.Fprintf(&b, "%s unix - - y - - smtp\n", r.Name)
		for _, o := range r.Options {
			fmt.Fprintf(&b, "  -o {%s}\n", strings.Replace(o, "=", " = ", 1))
		}
	}
	b.WriteString(postfixServices + `pickup unix n - n 60 1 pickup
showq unix n - n - - showq
smtp unix - - y - - smtp
`)
	write(tb, filepath.Join(conf, "master.cf"), "%s", b.String())
	b.Reset()
	b.WriteString("sender.invalid discard:\n")
	for _, m := range c.Messages {
		fmt.Fprintf(&b, "%s %s:%s\n", m.Recipient(), m.Route, m.NextHop)
	}
	write(tb, filepath.Join(conf, "transport"), "%s", b.String())
	s.conf = inside + "/conf"
	start := s.command("postfix", "-c", s.conf, "start-fg")
	s.Daemon = Start(tb, start[0], start[1:]...)
	s.pidFile = filepath.Join(s.Queue, "pid", "master.pid")
	s.WaitFor(tb, "greeting of Postfix", func(ctx context.Context) error {
		err := listening(c.Address, true)(ctx)
		if err != nil {
			log, _ := os.ReadFile(s.log)
			err = fmt.Errorf("%w\n%s", err, log)
		}
		return err
	})
	return s
}

// without leaves out the lines of main.cf that options replace. Of a name that it has twice
// Postfix 3.10 warns, and its postlogd, started again by a reload, writes such warnings to
// its own socket until that is full, and waits for itself.
func without(main string, options []string) string {
	var b strings.Builder
	for line := range strings.Lines(main) {
		name, _, _ := strings.Cut(line, " ")
		if !slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, name+" =") }) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// injectors is how many sessions hand messages to a sender at once.
const injectors = 4

// Send hands messages to the sender.
func (s *Sender) Send(tb testing.TB, messages []Message) {
	tb.Helper()
	var g errgroup.Group
	for i := range injectors {
		g.Go(func() error {
			c, err := smtp.Dial(s.address)
			if err != nil {
				return err
			}
			defer c.Close()
			for k := i; k < len(messages); k += injectors {
				m := messages[k]
				if err := inject(c, m); err != nil {
					return fmt.Errorf("%s: %w", m.Recipient(), err)
				}
			}
			return c.Quit()
		})
	}
	if err := g.Wait(); err != nil {
		log, _ := os.ReadFile(s.log)
		tb.Fatalf("%v\n%.5000s", err, log)
	}
}

// inject hands one message over.
func inject(c *smtp.Client, m Message) error {
	if err := c.Mail("from@sender.invalid"); err != nil {
		return err
	}
	if err := c.Rcpt(m.Recipient()); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "From: <from@sender.invalid>\r\nTo: <%s>\r\nSubject: %s\r\n%s\r\nA real message.\r\n", m.Recipient(), m.ID, m.Header); err != nil {
		return err
	}
	return w.Close()
}

// Log returns the whole log so far.
func (s *Sender) Log(tb testing.TB) string {
	tb.Helper()
	b, err := os.ReadFile(s.log)
	if err != nil {
		tb.Fatal(err)
	}
	return string(bytes.ToValidUTF8(b, []byte("?")))
}

// Deliveries waits until each message has come to something, and returns the first attempt
// of each by its ID. It fails the test if that takes longer than patience.
func (s *Sender) Deliveries(tb testing.TB, messages []Message, patience time.Duration) map[string]Delivery {
	tb.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(4 * pollEvery)
	defer tick.Stop()
	for {
		all := ReadDeliveries(s.Log(tb))
		out, missing := map[string]Delivery{}, ""
		for _, m := range messages {
			if d := all[m.ID]; len(d) > 0 {
				out[m.ID] = d[0]
			} else {
				missing = m.Recipient()
			}
		}
		if missing == "" {
			return out
		}
		select {
		case <-deadline:
			tb.Fatalf("Postfix %s has not reported the end of %d messages, among them the one to %s", s.Version, len(messages)-len(out), missing)
		case <-s.gone:
			tb.Fatalf("Postfix %s has ended\n%s", s.Version, s.Output())
		case <-tick.C:
		}
	}
}
