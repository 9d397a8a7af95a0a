package peers_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/servetest"
)

// judged is the zone of the hosts of [TestPostfixJudges].
const judged = "judged.test"

// A suspect is one mail host that Go's TLS library does not speak with, or might not.
type suspect struct {
	name string
	spki []byte
	// serve makes the server's side of TLS, after the reply to STARTTLS.
	serve func(net.Conn)
	// openssl are the arguments of openssl s_server in place of serve.
	openssl []string
}

// unreached are the kinds that Postfix verifies and mxauth does not, each with the reason.
var unreached = map[string]string{
	"ed448":       "the Go library has no Ed448, so the signature that proves the key is not checked",
	"dsa":         "the Go library has deprecated DSA, and crypto/tls has no DHE_DSS",
	"ecdsa-twice": "OpenSSL shows a certificate with a key for ECDSA and an extension that it cannot read with TLS 1.3 only, encrypted",
	"ec-explicit": "a curve that is written out is not compared with the named ones: CVE-2020-0601",
}

// atLeast is how many of 45 kinds have to have Postfix's verdict.
const atLeast, of = 38, 45

// TestPostfixJudges holds what mxauth says of hosts with odd certificates, keys, cipher
// suites and groups against what posttls-finger (Postfix, with OpenSSL) says of the same
// hosts with the same TLSA records.
func TestPostfixJudges(t *testing.T) {
	peers.Require(t, "posttls-finger", "openssl", "unshare", "mount")
	dir := peers.Dir(t)
	suspects := lineUp(t, dir)
	zone := lab.World{Name: "judged", Domain: judged, NoMX: true}
	for i, s := range suspects {
		address := fmt.Sprintf("127.0.60.%d", i+1)
		host := s.name + "." + judged
		zone.Records = append(zone.Records,
			fmt.Sprintf("%s. A %s", host, address),
			fmt.Sprintf("_25._tcp.%s. TLSA 3 1 1 %x", host, sha256.Sum256(s.spki)))
		front(t, address+":25", s)
	}
	l := labtest.Start(t, lab.Config{Worlds: []lab.World{zone}, RealPorts: true})
	ours := mxauthSays(t, dir, l, suspects)
	theirs := postfixSays(t, dir, l, suspects)
	verified, same := 0, 0
	for _, s := range suspects {
		o, verdict := ours[s.name], theirs[s.name]
		authenticated := o.Outcome == "authenticated" && o.Method == "dane-ee"
		t.Logf("%-28s Postfix %-9s mxauth %s %s %s", s.name, verdict, o.Outcome, o.Handshake, o.ReasonID)
		switch {
		case verdict != "Verified" && authenticated:
			t.Errorf("%s: Postfix says %s", s.name, verdict)
		case verdict != "Verified":
		case authenticated:
			verified++
			same++
			if unreached[s.name] != "" {
				t.Errorf("%s is reached", s.name)
			}
		default:
			verified++
			if unreached[s.name] == "" || o.ReasonID != "own-tls" {
				t.Errorf("%s: %s", s.name, o.Reason)
			}
		}
	}
	t.Logf("of %d kinds that Postfix verifies, %d have the same verdict", verified, same)
	if verified < of || same*of < verified*atLeast {
		t.Errorf("%d of %d", same, verified)
	}
}

// lineUp makes the keys, certificates and servers.
func lineUp(t *testing.T, dir string) []suspect {
	t.Helper()
	ca := certtest.NewCA()
	var out []suspect
	chainFile := filepath.Join(dir, "ca.pem")
	writePEM(t, chainFile, "CERTIFICATE", ca.DER)
	add := func(name string, spki []byte, chain [][]byte, key string, args ...string) {
		file := filepath.Join(dir, name+".pem")
		writePEM(t, file, "CERTIFICATE", chain[0])
		extra := filepath.Join(dir, name+".chain")
		writePEM(t, extra, "CERTIFICATE", chain[1:]...)
		if text, err := exec.CommandContext(t.Context(), "openssl", "x509", "-in", file, "-noout").CombinedOutput(); err != nil {
			t.Logf("%s: OpenSSL does not read it either: %s", name, text)
			return
		}
		out = append(out, suspect{name: name, spki: spki, openssl: append([]string{"-cert", file, "-key", key, "-cert_chain", extra}, args...)})
	}
	ec := genpkey(t, dir, "ec", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	rsaFile := genpkey(t, dir, "rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
	for _, k := range certtest.Kinds() {
		// OpenSSL shows a certificate with an extension that it cannot read and a key for ECDSA
		// with TLS 1.3 only, so RSA is the usual key here.
		key, spki := rsaFile, []byte(nil)
		switch k.Name {
		case "rsa-1023":
			key = genpkey(t, dir, k.Name, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1023")
		case "rsa-512":
			key = genpkey(t, dir, k.Name, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512")
		case "rsa-exponent":
			key = genpkey(t, dir, k.Name, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:4294967311")
		case "rsa-pss":
			key = genpkey(t, dir, k.Name, "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048")
		case "ed448":
			key = genpkey(t, dir, k.Name, "-algorithm", "ED448")
		case "secp256k1":
			key = genpkey(t, dir, k.Name, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1")
		case "ec-explicit":
			key = genpkey(t, dir, k.Name, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit")
		case "dsa":
			params := filepath.Join(dir, "dsa.params")
			peers.Run(t, dir, "openssl", "genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:1024", "-out", params)
			key = filepath.Join(dir, "dsa.key")
			peers.Run(t, dir, "openssl", "genpkey", "-paramfile", params, "-out", key)
		case "rsa-without-null":
			key = rsaFile
			spki = public(t, dir, key)
			null := []byte{0x05, 0x00}
			at := bytes.Index(spki, null)
			spki = certtest.TLV(certtest.Sequence, certtest.TLV(certtest.Sequence, certtest.ID(1, 2, 840, 113549, 1, 1, 1)), spki[at+len(null):])
		case "ec-compressed":
			key = ec
			spki = []byte(peers.Run(t, dir, "openssl", "ec", "-in", key, "-pubout", "-conv_form", "compressed", "-outform", "DER"))
		}
		if spki == nil {
			spki = public(t, dir, key)
		}
		c := certtest.New(k.Name+"."+judged, spki)
		c.Issuer = ca.Name
		k.Change(c)
		c.SPKI = spki
		args := []string{"-cipher", "ALL:@SECLEVEL=0"}
		if k.Name == "dsa" {
			args = append(args, "-tls1_2")
		}
		add(k.Name, spki, [][]byte{c.Sign(ca.Key), ca.DER}, key, args...)
	}
	twice := certtest.New("ecdsa-twice."+judged, public(t, dir, ec))
	twice.Extensions = append(twice.Extensions, twice.Extensions[0])
	add("ecdsa-twice", twice.SPKI, [][]byte{ca.Issue(twice), ca.DER}, ec)
	plain := func(name, key string, extra [][]byte, args ...string) {
		spki := public(t, dir, key)
		add(name, spki, append([][]byte{ca.Issue(certtest.New(name+"."+judged, spki)), ca.DER}, extra...), key, args...)
	}
	plain("extra-root", ec, [][]byte{secp256k1Root(t, dir)})
	plain("dhe", rsaFile, nil, "-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384")
	plain("cbc-sha384", rsaFile, nil, "-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384")
	plain("camellia", rsaFile, nil, "-tls1_2", "-cipher", "ECDHE-RSA-CAMELLIA256-SHA384")
	plain("aria", rsaFile, nil, "-tls1_2", "-cipher", "ECDHE-ARIA128-GCM-SHA256")
	plain("x448", rsaFile, nil, "-groups", "X448")
	for _, s := range []struct {
		name  string
		cfg   *tls.Config
		short bool
	}{
		{"ordinary", &tls.Config{}, false},
		{"rsa-key-exchange", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
		{"short-hello", &tls.Config{}, true},
	} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		s.cfg.Certificates = []tls.Certificate{{Certificate: [][]byte{ca.Issue(certtest.New(s.name+"."+judged, spki))}, PrivateKey: key}}
		out = append(out, suspect{name: s.name, spki: spki, serve: func(c net.Conn) { speak(c, s.cfg, s.short) }})
	}
	return out
}

// genpkey makes a key with OpenSSL and returns its file.
func genpkey(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	file := filepath.Join(dir, name+".key")
	peers.Run(t, dir, "openssl", append([]string{"genpkey", "-out", file}, args...)...)
	return file
}

// public is the SubjectPublicKeyInfo of a key file.
func public(t *testing.T, dir, key string) []byte {
	t.Helper()
	return []byte(peers.Run(t, dir, "openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"))
}

// secp256k1Root is a self-signed root on that curve, by OpenSSL.
func secp256k1Root(t *testing.T, dir string) []byte {
	t.Helper()
	key := genpkey(t, dir, "root", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1")
	return []byte(peers.Run(t, dir, "openssl", "req", "-x509", "-new", "-key", key, "-subj", "/CN=root.example", "-outform", "DER"))
}

func writePEM(t *testing.T, file, kind string, ders ...[]byte) {
	t.Helper()
	var b bytes.Buffer
	for _, der := range ders {
		if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// speak is a mail server inside TLS. A short one takes a ClientHello of at most 1,400
// bytes.
func speak(c net.Conn, cfg *tls.Config, short bool) {
	const most = 1400
	r := bufio.NewReaderSize(c, 1<<14)
	head, err := r.Peek(5)
	if err != nil || short && 5+int(head[3])<<8+int(head[4]) > most {
		return
	}
	s := tls.Server(&buffered{c, r}, cfg)
	if s.Handshake() != nil {
		return
	}
	for in := bufio.NewScanner(s); in.Scan(); {
		io.WriteString(s, "250 ok\r\n")
	}
}

type buffered struct {
	net.Conn
	r io.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// front is the SMTP side of a host: greeting, EHLO, STARTTLS. Then it passes the bytes to
// openssl s_server.
func front(t *testing.T, address string, s suspect) {
	t.Helper()
	serve := s.serve
	if serve == nil {
		backend := "127.0.61." + strings.TrimPrefix(strings.TrimSuffix(address, ":25"), "127.0.60.") + ":4433"
		d := peers.Start(t, "openssl", append([]string{"s_server", "-accept", backend, "-quiet", "-rev"}, s.openssl...)...)
		d.WaitFor(t, s.name, func(ctx context.Context) error {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", backend)
			if err == nil {
				c.Close()
			}
			return err
		})
		serve = func(c net.Conn) {
			b, err := net.Dial("tcp", backend)
			if err != nil {
				return
			}
			defer b.Close()
			b.SetDeadline(time.Now().Add(time.Minute))
			go func() {
				io.Copy(b, c)
				b.Close()
			}()
			io.Copy(c, b)
		}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	servetest.Connections(t, l, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(c, "220 judged ESMTP\r\n")
		for {
			line, err := readLine(c)
			switch {
			case err != nil:
				return
			case strings.HasPrefix(line, "EHLO"):
				io.WriteString(c, "250-judged\r\n250 STARTTLS\r\n")
			case line == "STARTTLS":
				io.WriteString(c, "220 go\r\n")
				serve(c)
				return
			default:
				io.WriteString(c, "221 bye\r\n")
				return
			}
		}
	})
}

// readLine reads no byte beyond the line.
func readLine(c net.Conn) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for len(line) < 512 {
		if _, err := c.Read(b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return strings.TrimRight(string(line), "\r"), nil
		}
		line = append(line, b[0])
	}
	return "", errors.New("a long line")
}

// A saying is the row of one host of mxauth check --json.
type saying struct {
	Host, Outcome, Method, Handshake, Reason string
	ReasonID                                 string `json:"reason_id"`
}

// mxauthSays asks mxauth about all hosts.
func mxauthSays(t *testing.T, dir string, l *lab.Lab, suspects []suspect) map[string]saying {
	t.Helper()
	mxauth := build(t)
	anchor := filepath.Join(dir, "root.ds")
	if err := os.WriteFile(anchor, []byte(l.TrustAnchor()), 0o600); err != nil {
		t.Fatal(err)
	}
	var in strings.Builder
	for _, s := range suspects {
		fmt.Fprintf(&in, "[%s.%s]\n", s.name, judged)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, mxauth, "check", "--json", "--resolver", l.Plain().String(), "--trust-anchor", anchor, "--timeout", "20s", "--helo", "sender.example", "-")
	cmd.Stdin = strings.NewReader(in.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	all := map[string]saying{}
	for line := range bytes.Lines(out) {
		var row struct{ Hosts []saying }
		if err := json.Unmarshal(line, &row); err != nil || len(row.Hosts) != 1 {
			t.Fatalf("%v: %s", err, line)
		}
		all[strings.TrimSuffix(row.Hosts[0].Host, "."+judged)] = row.Hosts[0]
	}
	return all
}

// postfixSays asks posttls-finger about all hosts: "Verified", or another of its words;
// "" if it gave none. It asks the resolver of /etc/resolv.conf, so it is run where that
// is another file.
func postfixSays(t *testing.T, dir string, l *lab.Lab, suspects []suspect) map[string]string {
	t.Helper()
	resolv := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver "+l.Resolver().Addr().String()+"\noptions edns0 trust-ad\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	var mu sync.Mutex // guards all
	var g errgroup.Group
	g.SetLimit(4)
	for _, s := range suspects {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "unshare", "--mount", "sh", "-c",
				`mount --bind "$1" /etc/resolv.conf && exec posttls-finger -c -T 10 -t 10 -l dane -L summary,verbose "[$2]"`, "sh", resolv, s.name+"."+judged)
			cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return fmt.Errorf("posttls-finger: %w", err)
			}
			word := ""
			for line := range strings.Lines(string(out)) {
				if before, _, ok := strings.Cut(line, " TLS connection established"); ok {
					fields := strings.Fields(before)
					word = fields[len(fields)-1]
				}
			}
			if word == "" {
				t.Logf("%s: %s", s.name, lastLines(string(out), 4))
			}
			mu.Lock()
			defer mu.Unlock()
			all[s.name] = word
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

func lastLines(s string, n int) string {
	lines := slices.Collect(strings.Lines(s))
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
