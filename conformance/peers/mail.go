package peers

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An SMTPD is one Postfix smtpd on port 25 of a 127.x address.
type SMTPD struct {
	Address string
	Name    string // in its greeting; also of its certificate's file
	Leaf    Leaf
	// NoSTARTTLS: STARTTLS is not offered. Leaf is not looked at then.
	NoSTARTTLS bool
	// Options are further -o options, such as "smtpd_tls_protocols=TLSv1.2".
	Options []string
}

// postfixServices are the lines of master.cf that every Postfix here has.
const postfixServices = `postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
`

// StartPostfix starts one Postfix with the given servers. It takes mail for every
// domain and discards it; received lines are in its log ([Daemon.Output]).
func StartPostfix(tb testing.TB, dir string, servers []SMTPD) *Daemon {
	tb.Helper()
	dir = filepath.Join(dir, "postfix")
	for _, sub := range []string{"", "queue", "data", "cert"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	Run(tb, dir, "chown", "postfix", filepath.Join(dir, "data"))
	// Without a config folder of its own postconf reads the system's; it is only asked
	// for where Postfix's programs lie.
	daemons := strings.TrimSpace(Run(tb, dir, "postconf", "-d", "-h", "daemon_directory"))
	write(tb, filepath.Join(dir, "main.cf"), `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
daemon_directory = %[2]s
maillog_file = /dev/stdout
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
relay_domains = static:all
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
alias_maps =
alias_database =
transport_maps =
default_transport = discard
relay_transport = discard
local_transport = discard
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
smtpd_tls_session_cache_database =
disable_dns_lookups = yes
smtpd_client_connection_count_limit = 0
`, dir, daemons)
	var b strings.Builder
	for i, s := range servers {
		fmt.Fprintf(&b, "%s:25 inet n - n - - smtpd\n  -o myhostname=%s\n", s.Address, s.Name)
		if s.NoSTARTTLS {
			b.WriteString("  -o smtpd_tls_security_level=none\n")
		} else {
			file := s.Leaf.ChainFile(tb, filepath.Join(dir, "cert"), fmt.Sprintf("%d-%s", i, s.Name))
			fmt.Fprintf(&b, "  -o smtpd_tls_chain_files=%s\n", file)
		}
		for _, o := range s.Options {
			fmt.Fprintf(&b, "  -o %s\n", o)
		}
	}
	b.WriteString(postfixServices)
	write(tb, filepath.Join(dir, "master.cf"), "%s", b.String())
	d := Start(tb, "postfix", "-c", dir, "start-fg")
	d.pidFile = filepath.Join(dir, "queue", "pid", "master.pid") // start-fg is a shell that waits for it
	for _, s := range servers {
		d.WaitFor(tb, "greeting of "+s.Name, listening(s.Address+":25", true))
	}
	return d
}

// A PolicyHost is an HTTPS server on port 443 of a 127.x address that answers for
// several MTA-STS policy hosts.
type PolicyHost struct {
	Policies map[string]string // by host name "mta-sts.example.test": the body
	Leaves   map[string]Leaf   // by host name
}

// Start serves until the test ends.
func (p PolicyHost) Start(tb testing.TB, address string) {
	tb.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "443"))
	if err != nil {
		tb.Fatal(err)
	}
	srv := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0), // handshakes that clients give up are no news
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, ok := p.Policies[r.Host]
			if !ok || r.URL.Path != "/.well-known/mta-sts.txt" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, body)
		}),
		TLSConfig: &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			leaf, ok := p.Leaves[h.ServerName]
			if !ok {
				return nil, fmt.Errorf("no certificate for %q", h.ServerName)
			}
			c := leaf.TLS()
			return &c, nil
		}},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.ServeTLS(l, "", "")
	}()
	tb.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
}
