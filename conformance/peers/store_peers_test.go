package peers_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake"
	"github.com/mxauth/mxauth/internal/porttest"
	mxpkix "github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/storetest"
	"github.com/mxauth/mxauth/store/valkey"
	"github.com/mxauth/mxauth/sts"
)

// freePort returns a port of 127.0.0.1 that is the test's own.
func freePort(t *testing.T) string { return fmt.Sprint(porttest.Address(t).Port()) }

// suiteTimeout bounds a call of the suite for stores, which is not about time, on a loaded machine.
const suiteTimeout = 20 * time.Second

// openValkey opens a store whose keys are the test's own.
func openValkey(t *testing.T, c valkey.Config) *valkey.Store {
	t.Helper()
	c.Prefix = strings.NewReplacer(" ", "_").Replace(t.Name()) + "/"
	s, err := valkey.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// answers polls until a store can be used.
func answers(s store.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _, err := s.Get(ctx, "x")
		return err
	}
}

// TestRedis runs the store suite over Debian's redis-server, with copies in this process
// and without; one server has TLS and an ACL user with the rights that the store needs and
// no others; one is killed and started again in the middle.
func TestRedis(t *testing.T) {
	peers.Require(t, "redis-server")
	dir := t.TempDir()
	port := freePort(t)
	plain := peers.Start(t, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir)
	url := "redis://127.0.0.1:" + port
	plain.WaitFor(t, "answer", answers(openValkey(t, valkey.Config{URL: url})))
	for name, noCopies := range map[string]bool{"copies": false, "no copies": true} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Options{Open: func(t *testing.T) store.Store {
				return openValkey(t, valkey.Config{URL: url, NoCopies: noCopies, Timeout: suiteTimeout})
			}})
		})
	}
	t.Run("a copy follows another process's write", func(t *testing.T) {
		a := openValkey(t, valkey.Config{URL: url})
		b := openValkey(t, valkey.Config{URL: url})
		put := func(v string) {
			if err := a.Put(t.Context(), store.Entry{Key: "k", Value: []byte(v), Class: store.Enforce, Expires: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			put(fmt.Sprint(i))
			storetest.Eventually(t, func() bool {
				e, ok, err := b.Get(t.Context(), "k")
				return err == nil && ok && string(e.Value) == fmt.Sprint(i)
			})
			if e, ok, err := b.Fresh(t.Context(), "k"); err != nil || !ok || string(e.Value) != fmt.Sprint(i) {
				t.Errorf("Fresh: %q, %v, %v", e.Value, ok, err)
			}
		}
	})
	t.Run("TLS and an ACL user", func(t *testing.T) { redisTLS(t) })
	t.Run("killed and started again", func(t *testing.T) { redisKilled(t) })
}

func redisTLS(t *testing.T) {
	dir := t.TempDir()
	ca := peers.NewCA(t, "redis root")
	leaf := ca.Issue(t, time.Hour, "redis.test")
	file := leaf.ChainFile(t, dir, "redis")
	writeFile(t, filepath.Join(dir, "ca.pem"), string(ca.PEM()))
	acl := filepath.Join(dir, "users.acl")
	writeFile(t, acl, "user default off\nuser mxauth on >secret ~TestRedis* &* +get +set +del +mget +scan +eval +evalsha +pexpire +hello +select +ping +client|tracking +client|caching +client|setname +script|load\n")
	port := freePort(t)
	d := peers.Start(t, "redis-server", "--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir,
		"--tls-cert-file", file, "--tls-key-file", file, "--tls-ca-cert-file", filepath.Join(dir, "ca.pem"), "--tls-auth-clients", "no", "--aclfile", acl)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	good := valkey.Config{URL: "rediss://mxauth:secret@127.0.0.1:" + port, TLS: &tls.Config{RootCAs: pool, ServerName: "redis.test"}}
	d.WaitFor(t, "answer", answers(openValkey(t, good)))
	storetest.Run(t, storetest.Options{Open: func(t *testing.T) store.Store {
		patient := good
		patient.Timeout = suiteTimeout
		return openValkey(t, patient)
	}})
	for name, c := range map[string]valkey.Config{
		"another name":     {URL: good.URL, TLS: &tls.Config{RootCAs: pool}},
		"another root":     {URL: good.URL, TLS: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "redis.test"}},
		"a wrong password": {URL: "rediss://mxauth:wrong@127.0.0.1:" + port, TLS: good.TLS},
		"no user":          {URL: "rediss://127.0.0.1:" + port, TLS: good.TLS},
		"no TLS":           {URL: "redis://mxauth:secret@127.0.0.1:" + port},
	} {
		if _, ok, err := openValkey(t, c).Get(t.Context(), "x"); ok || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func redisKilled(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	begin := func() *peers.Daemon {
		return peers.Start(t, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir)
	}
	d := begin()
	behind := openValkey(t, valkey.Config{URL: "redis://127.0.0.1:" + port})
	d.WaitFor(t, "answer", answers(behind))
	now := time.Now()
	f, err := store.NewFront(store.FrontConfig{Behind: behind, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	entry := func(i int) store.Entry {
		return store.Entry{Key: fmt.Sprint("k", i), Value: fmt.Append(nil, i), Class: store.Enforce, Expires: time.Now().Add(1000 * time.Hour)}
	}
	for i := range 100 {
		if err := f.Put(t.Context(), entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	d.Kill()
	now = now.Add(10 * time.Minute) // every copy is to be looked at again
	for i := range 100 {
		e, ok, err := f.Get(t.Context(), fmt.Sprint("k", i))
		if err != nil || !ok || string(e.Value) != fmt.Sprint(i) {
			t.Fatalf("k%d while the server is dead: %v, %v", i, ok, err)
		}
	}
	if err := f.Put(t.Context(), entry(100)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Put while the server is dead: %v", err)
	}
	if _, _, err := f.Get(t.Context(), "unknown"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an unknown key while the server is dead: %v", err)
	}
	// It comes back without its data: what memory knows is written back.
	begin()
	storetest.Eventually(t, func() bool {
		now = now.Add(10 * time.Second)
		return f.Sync(t.Context()) == nil
	})
	// The first command on a connection that has died fails, so this may take a few looks.
	storetest.Eventually(t, func() bool {
		now = now.Add(10 * time.Minute)
		for i := range 101 {
			if e, ok, err := f.Get(t.Context(), fmt.Sprint("k", i)); err != nil || !ok || string(e.Value) != fmt.Sprint(i) {
				t.Fatalf("k%d after the server is back: %v, %v", i, ok, err)
			}
		}
		keys := map[string]bool{}
		err := behind.All(t.Context(), "k", func(e store.Entry) bool { keys[e.Key] = true; return true })
		return f.Sync(t.Context()) == nil && err == nil && len(keys) == 101
	})
}

// A webCA is a root, an intermediate and the leaves below it.
type webCA struct{ root, inter *certtest.Pair }

func newWebCA() webCA {
	root := certtest.Issue(certtest.Authority("web root"), nil)
	return webCA{root, certtest.Issue(certtest.Authority("web intermediate"), root)}
}

// files writes the chain and the key of a leaf for name.
func (ca webCA) files(t *testing.T, dir, name string, withIntermediate bool) (chain, key string) {
	t.Helper()
	leaf := certtest.Issue(certtest.Server(name), ca.inter)
	der, err := x509.MarshalPKCS8PrivateKey(leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	text := leaf.PEM()
	if withIntermediate {
		text = append(text, ca.inter.PEM()...)
	}
	chain, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	writeFile(t, chain, string(text))
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return chain, key
}

// TestNginx fetches policies from Debian's nginx, behind a chain of root, intermediate and
// leaf, as web hosts serve them, and as they get it wrong.
func TestNginx(t *testing.T) {
	peers.Require(t, "nginx")
	dir := t.TempDir()
	port := freePort(t)
	ca := newWebCA()
	const policy = "version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 604800\r\n"
	writeFile(t, filepath.Join(dir, "policy.txt"), policy)
	writeFile(t, filepath.Join(dir, "large.txt"), policy+strings.Repeat("x: "+strings.Repeat("y", 97)+"\n", 1000))
	hosts := []struct {
		domain string
		inter  bool   // the intermediate is sent
		config string // of the server
		kind   error
	}{
		{"good.test", true, "default_type text/plain; location /.well-known/ { alias " + dir + "/; } location = /.well-known/mta-sts.txt { alias " + dir + "/policy.txt; }", nil},
		{"gzip.test", true, "default_type text/plain; gzip on; gzip_min_length 1; gzip_types text/plain; location = /.well-known/mta-sts.txt { alias " + dir + "/policy.txt; }", nil},
		{"old-tls.test", true, "ssl_protocols TLSv1.2; default_type text/plain; location = /.well-known/mta-sts.txt { alias " + dir + "/policy.txt; }", nil},
		{"incomplete.test", false, "default_type text/plain; location = /.well-known/mta-sts.txt { alias " + dir + "/policy.txt; }", sts.ErrFetchWebPKI},
		{"binary.test", true, "default_type application/octet-stream; types { } location = /.well-known/mta-sts.txt { alias " + dir + "/policy.txt; }", sts.ErrFetchMediaType},
		{"moved.test", true, "return 301 https://mta-sts.good.test$request_uri;", sts.ErrFetchRedirect},
		{"missing.test", true, "location / { return 404; }", sts.ErrFetchStatus},
		{"large.test", true, "default_type text/plain; location = /.well-known/mta-sts.txt { alias " + dir + "/large.txt; }", sts.ErrFetchSize},
		{"html.test", true, "location / { default_type text/plain; return 200 \"<html>\"; }", sts.ErrFetchSyntax},
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "daemon off; master_process off; user root; pid %[1]s/nginx.pid; error_log stderr; events { worker_connections 64; }\nhttp { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n", dir)
	dns := dnsfake.New()
	dns.SetClock(time.Now)
	for _, h := range hosts {
		name := "mta-sts." + h.domain
		chain, key := ca.files(t, dir, name, h.inter)
		fmt.Fprintf(&conf, "server { listen 127.0.0.1:%s ssl; server_name %s; ssl_certificate %s; ssl_certificate_key %s; %s }\n", port, name, chain, key, h.config)
		dns.Add("_mta-sts."+h.domain+`. 60 IN TXT "v=STSv1; id=1;"`, name+". 60 IN A 127.0.0.1")
	}
	// No server block has this name: nginx answers with the certificate of the first.
	dns.Add(`_mta-sts.stranger.test. 60 IN TXT "v=STSv1; id=1;"`, "mta-sts.stranger.test. 60 IN A 127.0.0.1")
	conf.WriteString("}\n")
	writeFile(t, filepath.Join(dir, "nginx.conf"), conf.String())
	d := peers.Start(t, "nginx", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	d.WaitFor(t, "answer", func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err
	})
	at, err := netip.ParseAddrPort("127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	client, err := sts.NewClient(sts.Config{Resolver: dns, Roots: mxpkix.NewRoots(ca.root.Cert), Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Port: at.Port(), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, h := range hosts {
		t.Run(h.domain, func(t *testing.T) {
			domain, err := rfc6125.ParseHost(h.domain)
			if err != nil {
				t.Fatal(err)
			}
			r := client.Lookup(t.Context(), domain)
			if h.kind == nil {
				if r.Row != sts.S3 || r.Policy == nil || r.Policy.Text != policy || len(r.Chain) != 2 {
					t.Errorf("row %s, %v", r.Row, r.FetchErr)
				}
				return
			}
			if r.Row != sts.S4 || !errors.Is(r.FetchErr, h.kind) {
				t.Errorf("row %s, %v; want %v", r.Row, r.FetchErr, h.kind)
			}
		})
	}
	t.Run("stranger.test", func(t *testing.T) {
		domain, err := rfc6125.ParseHost("stranger.test")
		if err != nil {
			t.Fatal(err)
		}
		if r := client.Lookup(t.Context(), domain); r.Row != sts.S4 || !errors.Is(r.FetchErr, mxpkix.ErrName) {
			t.Errorf("row %s, %v", r.Row, r.FetchErr)
		}
	})
}
