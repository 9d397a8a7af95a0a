package httpdoor_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/httpdoor"
	"github.com/mxauth/mxauth/internal/certtest"
)

const (
	token  = "0123456789abcdef0123456789abcdef"
	token2 = "fedcba9876543210fedcba9876543210"
)

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTokens: a request has one of the tokens of the file, and exactly that.
func TestTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	write(t, file, []byte("# monitoring\n"+token+"\n\n"+token2+"\r\n"))
	access, err := httpdoor.OpenAccess(file)
	if err != nil {
		t.Fatal(err)
	}
	c, b := config(t)
	c.Access = access
	s := httpdoor.New(c)
	for _, x := range []struct {
		header []string
		ok     bool
	}{
		{nil, false},
		{[]string{"Authorization", "Bearer " + token}, true},
		{[]string{"Authorization", "bearer " + token2}, true},
		{[]string{"Authorization", "Bearer  " + token}, true},
		{[]string{"Authorization", "Bearer"}, false},
		{[]string{"Authorization", "Bearer "}, false},
		{[]string{"Authorization", "Bearer " + token[:31]}, false},
		{[]string{"Authorization", "Bearer " + token + "0"}, false},
		{[]string{"Authorization", "Bearer " + token + "\n" + token2}, false},
		{[]string{"Authorization", "Bearer " + strings.ToUpper(token)}, false},
		{[]string{"Authorization", "Bearer # monitoring"}, false},
		{[]string{"Authorization", "Basic " + token}, false},
		{[]string{"Authorization", token}, false},
		{[]string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}, false},
		{[]string{"Authorization", "Bearer " + strings.Repeat("a", 5000)}, false},
	} {
		before := b.planned.Load()
		for _, target := range []string{"/v1/plan?domain=example.org", "/healthz", "/openapi.yaml", "/nothing"} {
			status, body, h := answer(s, get(target, x.header...))
			if (status == http.StatusUnauthorized) == x.ok {
				t.Errorf("%s %.60q: %d %s", target, x.header, status, body)
			}
			if !x.ok && h.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%v", h)
			}
			if strings.Contains(body, token) {
				t.Error("the answer has the token")
			}
		}
		if !x.ok && b.planned.Load() != before {
			t.Errorf("%.60q: a plan was made", x.header)
		}
	}
	write(t, file, []byte(token2))
	if err := access.Reload(); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := answer(s, get("/healthz", "Authorization", "Bearer "+token)); status != http.StatusUnauthorized {
		t.Error("a token that is no longer in the file counts")
	}
	write(t, file, []byte("short"))
	if err := access.Reload(); err == nil {
		t.Error("a bad file was read")
	}
	if status, _, _ := answer(s, get("/healthz", "Authorization", "Bearer "+token2)); status != http.StatusOK {
		t.Error("after a bad file the token of before does not count")
	}
}

func TestTokenFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	for text, want := range map[string]string{
		"":                                    "no token",
		"# nothing\n\n":                       "no token",
		token[:31]:                            "at least 32",
		strings.Repeat("a", 600):              "at most 512",
		token + " " + token2:                  "letters, digits",
		strings.Repeat("=", 40):               "letters, digits",
		"pass\x00word" + token:                "letters, digits",
		strings.Repeat(token+"\n", 17):        "more than 16",
		strings.Repeat("#"+token+"\n", 1<<12): "larger than",
	} {
		write(t, file, []byte(text))
		if _, err := httpdoor.OpenAccess(file); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
	if _, err := httpdoor.OpenAccess(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a file that is not there was read")
	}
}

// issue makes a certificate by an authority.
func issue(name string, by *certtest.Pair, usage x509.ExtKeyUsage) *certtest.Pair {
	tmpl := certtest.Server(name)
	tmpl.ExtKeyUsage, tmpl.IPAddresses = []x509.ExtKeyUsage{usage}, []net.IP{net.IPv4(127, 0, 0, 1)}
	return certtest.Issue(tmpl, by)
}

// TestClientCertificates: with authorities of clients, only who shows a certificate of them
// is answered; they, and the server's certificate, can be replaced without a restart.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, caFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem"), filepath.Join(dir, "ca.pem")
	serverCA, clientCA, otherCA := certtest.Issue(certtest.Authority("server CA"), nil), certtest.Issue(certtest.Authority("client CA"), nil), certtest.Issue(certtest.Authority("other CA"), nil)
	replace := func(p *certtest.Pair) {
		write(t, certFile, p.PEM())
		write(t, keyFile, p.KeyPEM())
	}
	replace(issue("first", serverCA, x509.ExtKeyUsageServerAuth))
	write(t, caFile, clientCA.PEM())
	files, err := httpdoor.OpenTLS(certFile, keyFile, caFile)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := config(t)
	c.Unix, c.TLS = false, files.Config()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httpdoor.New(c)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	defer func() { s.Close(); <-done }()

	ask := func(p *certtest.Pair, most uint16) (server string, err error) {
		pool := x509.NewCertPool()
		pool.AddCert(serverCA.Cert)
		cfg := &tls.Config{RootCAs: pool, MaxVersion: most, MinVersion: tls.VersionTLS10}
		if p != nil {
			cfg.Certificates = []tls.Certificate{p.TLS()}
		}
		tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr, Timeout: 30 * time.Second}).Get("https://" + l.Addr().String() + "/healthz")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 || resp.ProtoMajor != 1 {
			t.Errorf("%d %s", resp.StatusCode, resp.Proto)
		}
		return resp.TLS.PeerCertificates[0].Subject.CommonName, nil
	}
	good, bad := issue("good", clientCA, x509.ExtKeyUsageClientAuth), issue("bad", otherCA, x509.ExtKeyUsageClientAuth)
	for name, x := range map[string]struct {
		p    *certtest.Pair
		most uint16
		ok   bool
	}{
		"good": {good, 0, true}, "TLS 1.2": {good, tls.VersionTLS12, true}, "TLS 1.1": {good, tls.VersionTLS11, false},
		"none": {nil, 0, false}, "of another authority": {bad, 0, false}, "of a server": {issue("server", clientCA, x509.ExtKeyUsageServerAuth), 0, false},
	} {
		if _, err := ask(x.p, x.most); (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	} else {
		conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		b := make([]byte, 100)
		n, _ := conn.Read(b)
		if strings.Contains(string(b[:n]), " 200 ") {
			t.Errorf("without TLS: %s", b[:n])
		}
		conn.Close()
	}

	replace(issue("second", serverCA, x509.ExtKeyUsageServerAuth))
	write(t, caFile, otherCA.PEM())
	if err := files.Reload(); err != nil {
		t.Fatal(err)
	}
	if server, err := ask(bad, 0); err != nil || server != "second" {
		t.Errorf("after a reload: %s %v", server, err)
	}
	if _, err := ask(good, 0); err == nil {
		t.Error("the authority of before counts after a reload")
	}
	write(t, caFile, []byte("nothing"))
	if err := files.Reload(); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("a bad file: %v", err)
	}
	if _, err := ask(bad, 0); err != nil {
		t.Errorf("after a bad file: %v", err)
	}
	write(t, keyFile, []byte("nothing"))
	if _, err := httpdoor.OpenTLS(certFile, keyFile, ""); err == nil {
		t.Error("a bad key was read")
	}
}
