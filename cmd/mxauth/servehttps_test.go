package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/mxauth/mxauth/internal/certtest"
)

// issueFor makes a certificate for 127.0.0.0/8 by an authority.
func issueFor(name string, by *certtest.Pair, usage x509.ExtKeyUsage) *certtest.Pair {
	tmpl := certtest.Server(name)
	tmpl.ExtKeyUsage, tmpl.IPAddresses = []x509.ExtKeyUsage{usage}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)}
	return certtest.Issue(tmpl, by)
}

// An httpsFiles are the files of two listeners with TLS: one asks clients for a certificate,
// the other for a token.
type httpsFiles struct {
	t                                  *testing.T
	certificate, key, clientCA, tokens string
}

func newHTTPSFiles(t *testing.T) *httpsFiles {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	return &httpsFiles{t, at("cert.pem"), at("key.pem"), at("clients.pem"), at("tokens")}
}

// serverPair replaces certificate and key.
func (f *httpsFiles) serverPair(p *certtest.Pair) {
	f.t.Helper()
	write(f.t, f.certificate, string(p.PEM()))
	write(f.t, f.key, string(p.KeyPEM()))
}

// config are the two listeners.
func (f *httpsFiles) config() string {
	return fmt.Sprintf(`
[[listen]]
door = "http"
address = "inet:127.0.0.1:0"
certificate = %[1]q
key = %[2]q
client-ca = %[3]q
[[listen]]
door = "http"
address = "inet:127.0.0.2:0"
certificate = %[1]q
key = %[2]q
token-file = %[4]q
`, f.certificate, f.key, f.clientCA, f.tokens)
}

// An httpsReply is what a client was answered.
type httpsReply struct {
	status int
	body   string
	server string // Common Name of its certificate
}

// askHTTPS asks over a connection of its own; client is its certificate, "" no token.
func askHTTPS(address, path string, ca, client *certtest.Pair, token string) (httpsReply, error) {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	c := &tls.Config{RootCAs: pool}
	if client != nil {
		c.Certificates = []tls.Certificate{client.TLS()}
	}
	tr := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	req, err := http.NewRequest("GET", "https://"+address+path, nil)
	if err != nil {
		return httpsReply{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Transport: tr, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return httpsReply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return httpsReply{resp.StatusCode, string(b), resp.TLS.PeerCertificates[0].Subject.CommonName}, err
}

// TestServeHTTPS runs mxauth serve as a process with TLS listeners and a store on a server:
// who is answered, what SIGHUP reads again, and when the daemon says that it is ready.
func TestServeHTTPS(t *testing.T) {
	t.Parallel() // it waits for the daemon to look at its store
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce"), nil)
	anchor, err := os.ReadFile(l.anchor)
	if err != nil {
		t.Fatal(err)
	}
	write(t, l.anchor, ". IN DS 1 13 2 "+strings.Repeat("00", 32)+"\n") // of another root
	serverCA, clientCA := certtest.Issue(certtest.Authority("server CA"), nil), certtest.Issue(certtest.Authority("client CA"), nil)
	otherCA := certtest.Issue(certtest.Authority("other CA"), nil)
	client, stranger := issueFor("client", clientCA, x509.ExtKeyUsageClientAuth), issueFor("stranger", otherCA, x509.ExtKeyUsageClientAuth)
	tokens := []string{strings.Repeat("0a", 16), strings.Repeat("1b", 16), strings.Repeat("2c", 16)}
	f := newHTTPSFiles(t)
	f.serverPair(issueFor("first", serverCA, x509.ExtKeyUsageServerAuth))
	write(t, f.clientCA, string(clientCA.PEM()))
	write(t, f.tokens, tokens[0]+"\n")
	redis := miniredis.RunT(t)
	config, _, _ := writeConfig(t, l, shortDir(t), fmt.Sprintf("[store]\npath = \"redis://%s\"\n%s", redis.Addr(), f.config()))
	p := startProcess(t, serveDialer(t, l), config, nil)
	p.log.await(t, "msg=serving ", 1)
	m := regexp.MustCompile(`http=tcp:(127\.0\.0\.1:\d+) http=tcp:(127\.0\.0\.2:\d+)`).FindStringSubmatch(p.log.String())
	if m == nil {
		t.Fatalf("no listeners:\n%s", p.log)
	}
	byCertificate, byToken := m[1], m[2]
	reloads := 0
	reload := func() {
		t.Helper()
		reloads++
		p.signal(syscall.SIGHUP)
		eventually(t, "reload "+fmt.Sprint(reloads), func() bool {
			return strings.Count(p.log.String(), "the configuration was read again")+strings.Count(p.log.String(), "the configuration was not read again") == reloads
		})
	}
	// refused reloads once more, which says why a file is not read.
	refused := func(why ...string) {
		t.Helper()
		before := len(p.log.String())
		reload()
		said := p.log.String()[before:]
		for _, w := range append(why, "the old one stays in force") {
			if !strings.Contains(said, w) {
				t.Errorf("the log does not say %q: %s", w, said)
			}
		}
	}
	status := func(address, path string, c *certtest.Pair, token string, want int) string {
		t.Helper()
		r, err := askHTTPS(address, path, serverCA, c, token)
		if err != nil || r.status != want {
			t.Errorf("%s%s: %d %v, want %d: %s", address, path, r.status, err, want, r.body)
		}
		return r.body
	}
	const plan = "/v1/plan?domain=dane-ee.test"

	t.Run("not ready before a chain is proved", func(t *testing.T) {
		for _, body := range []string{status(byCertificate, "/readyz", client, "", 503), status(byToken, "/readyz", nil, tokens[0], 503)} {
			if !strings.Contains(body, `"reason_id":"not-ready"`) || !strings.Contains(body, errUnproved.Error()) {
				t.Error(body)
			}
		}
		status(byToken, "/healthz", nil, tokens[0], 200)
		if body := status(byToken, plan, nil, tokens[0], 200); !strings.Contains(body, `"outcome":"deferred"`) {
			t.Errorf("a plan without a chain: %s", body)
		}
		write(t, l.anchor, string(anchor))
		reload()
		eventually(t, "ready", func() bool {
			r, err := askHTTPS(byToken, "/readyz", serverCA, nil, tokens[0])
			return err == nil && r.status == 200
		})
		status(byCertificate, "/readyz", client, "", 200)
	})
	t.Run("who is answered", func(t *testing.T) {
		for _, body := range []string{status(byCertificate, plan, client, "", 200), status(byToken, plan, nil, tokens[0], 200)} {
			var row planRow
			if err := json.Unmarshal([]byte(body), &row); err != nil || len(row.Hosts) != 1 || row.Hosts[0].Requirement != "dane" {
				t.Errorf("%v %s", err, body)
			}
		}
		for name, c := range map[string]*certtest.Pair{"no certificate": nil, "a certificate of another authority": stranger} {
			if r, err := askHTTPS(byCertificate, "/healthz", serverCA, c, tokens[0]); err == nil {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
		for _, token := range []string{"", tokens[1], tokens[0][:31], tokens[0] + "0"} {
			if body := status(byToken, "/healthz", client, token, 401); strings.Contains(body, tokens[0]) || !strings.Contains(body, `"unauthorized"`) {
				t.Error(body)
			}
		}
		for _, address := range []string{byCertificate, byToken} {
			resp, err := http.Get("http://" + address + "/healthz")
			if err != nil {
				continue
			}
			resp.Body.Close()
			if resp.StatusCode == 200 {
				t.Errorf("%s answers without TLS", address)
			}
		}
	})
	t.Run("tokens are read again", func(t *testing.T) {
		write(t, f.tokens, tokens[1]+"\n")
		status(byToken, "/healthz", nil, tokens[0], 200) // not before the signal
		reload()
		status(byToken, "/healthz", nil, tokens[0], 401)
		status(byToken, "/healthz", nil, tokens[1], 200)
		write(t, f.tokens, "short\n")
		refused(f.tokens, "at least 32 characters")
		write(t, f.tokens, tokens[2]+"\n")
		for mode, why := range map[os.FileMode]error{0o644: errReadable, 0o604: errReadable, 0o620: errWritable, 0o602: errWritable} {
			if err := os.Chmod(f.tokens, mode); err != nil {
				t.Fatal(err)
			}
			refused(f.tokens, why.Error())
			status(byToken, "/healthz", nil, tokens[2], 401)
			status(byToken, "/healthz", nil, tokens[1], 200)
		}
		if err := os.Remove(f.tokens); err != nil {
			t.Fatal(err)
		}
		refused(f.tokens)
		status(byToken, "/healthz", nil, tokens[1], 200)
		status(byToken, "/healthz", nil, "", 401)
		write(t, f.tokens, tokens[2]+"\n")
		reload()
		status(byToken, "/healthz", nil, tokens[2], 200)
		if strings.Contains(p.log.String(), tokens[2]) || strings.Contains(p.log.String(), "short") {
			t.Error("the log has a token")
		}
	})
	t.Run("certificates are read again", func(t *testing.T) {
		shown := func(want string) {
			t.Helper()
			for _, x := range []struct {
				address string
				c       *certtest.Pair
				token   string
			}{{byCertificate, client, ""}, {byToken, nil, tokens[2]}} {
				if r, err := askHTTPS(x.address, "/healthz", serverCA, x.c, x.token); err != nil || r.server != want || r.status != 200 {
					t.Errorf("%s shows %q, want %q: %d %v", x.address, r.server, want, r.status, err)
				}
			}
		}
		shown("first")
		f.serverPair(issueFor("second", serverCA, x509.ExtKeyUsageServerAuth))
		shown("first")
		reload()
		shown("second")
		write(t, f.key, string(issueFor("third", serverCA, x509.ExtKeyUsageServerAuth).KeyPEM()))
		refused(f.certificate, "private key")
		shown("second")
		third := issueFor("third", serverCA, x509.ExtKeyUsageServerAuth)
		f.serverPair(third)
		if err := os.Chmod(f.key, 0o644); err != nil {
			t.Fatal(err)
		}
		refused(f.key, errReadable.Error())
		shown("second")
		if err := os.Chmod(f.key, 0o640); err != nil {
			t.Fatal(err)
		}
		// Another authority of clients that everybody may have put there does not count.
		write(t, f.clientCA, string(otherCA.PEM()))
		if err := os.Chmod(f.clientCA, 0o666); err != nil {
			t.Fatal(err)
		}
		refused(f.clientCA, errWritable.Error())
		if _, err := askHTTPS(byCertificate, "/healthz", serverCA, stranger, ""); err == nil {
			t.Error("the new authority counts")
		}
		if err := os.Chmod(f.clientCA, 0o644); err != nil {
			t.Fatal(err)
		}
		reload()
		if r, err := askHTTPS(byCertificate, "/healthz", serverCA, stranger, ""); err != nil || r.server != "third" {
			t.Errorf("%+v %v", r, err)
		}
		if _, err := askHTTPS(byCertificate, "/healthz", serverCA, client, ""); err == nil {
			t.Error("the old authority counts")
		}
	})
	t.Run("not ready while the store is lost", func(t *testing.T) {
		status(byToken, "/readyz", nil, tokens[2], 200)
		redis.Close()
		lost := func() bool {
			r, err := askHTTPS(byToken, "/readyz", serverCA, nil, tokens[2])
			return err == nil && r.status == 503 && strings.Contains(r.body, "the store is lost")
		}
		eventually(t, "not ready", lost)
		status(byToken, plan, nil, tokens[2], 200) // questions are answered all the same
		if err := redis.Restart(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "ready again", func() bool { return !lost() })
		status(byToken, "/readyz", nil, tokens[2], 200)
	})
	if err := p.signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v\n%s", err, p.log)
	}
}

// TestServeSecrets: serve does not start with a secret that other users may read or write, or
// with authorities that they may write.
func TestServeSecrets(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee"), nil)
	f := newHTTPSFiles(t)
	f.serverPair(issueFor("server", certtest.Issue(certtest.Authority("server CA"), nil), x509.ExtKeyUsageServerAuth))
	write(t, f.clientCA, string(certtest.Issue(certtest.Authority("client CA"), nil).PEM()))
	write(t, f.tokens, strings.Repeat("0a", 16)+"\n")
	for _, x := range []struct {
		file    string
		mode    os.FileMode
		setting string
		why     error // nil: it is good
	}{
		{f.tokens, 0o640, "", nil},
		{f.tokens, 0o644, "listen.token-file", errReadable},
		{f.tokens, 0o660, "listen.token-file", errWritable},
		{f.tokens, 0o602, "listen.token-file", errWritable},
		{f.key, 0o440, "", nil},
		{f.key, 0o604, "listen.key", errReadable},
		{f.key, 0o620, "listen.key", errWritable},
		{f.certificate, 0o644, "", nil},
		{f.certificate, 0o664, "listen.certificate", errWritable},
		{f.clientCA, 0o644, "", nil},
		{f.clientCA, 0o646, "listen.client-ca", errWritable},
	} {
		if err := os.Chmod(x.file, x.mode); err != nil {
			t.Fatal(err)
		}
		config, _, _ := writeConfig(t, l, shortDir(t), f.config())
		out, said, code := inProcess(t, l.Dial, time.Now, "serve", "--config", config, "--check")
		switch {
		case x.why == nil && code != 0:
			t.Errorf("%s %o: exit status %d: %s", x.file, x.mode, code, said)
		case x.why != nil && (code != exitConfig || !strings.Contains(said, x.setting+": "+x.file+": "+x.why.Error()) || !strings.Contains(said, "chmod 0640 "+x.file)):
			t.Errorf("%s %o: exit status %d: %s%s", x.file, x.mode, code, out, said)
		}
		if err := os.Chmod(x.file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
