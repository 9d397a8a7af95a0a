package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/internal/porttest"
)

// fleetBlocks are the blocks of docs/fleet.md by language.
func fleetBlocks(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range fence.FindAllStringSubmatch(readFile(t, "../../docs/fleet.md"), -1) {
		if out[m[1]] != "" {
			t.Fatalf("docs/fleet.md has two blocks of %s", m[1])
		}
		out[m[1]] = m[2]
	}
	for _, kind := range []string{"conf", "acl", "toml"} {
		if out[kind] == "" {
			t.Fatalf("docs/fleet.md has no block of %s", kind)
		}
	}
	return out
}

// aclLine is the rule of docs/fleet.md for the user of mxauth.
func aclLine(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(fleetBlocks(t)["acl"]) {
		if strings.HasPrefix(line, "user mxauth ") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatal("docs/fleet.md has no user mxauth")
	return ""
}

// TestFleetDoc: a daemon with the configuration of docs/fleet.md uses a server with the
// configuration and the user of that page.
func TestFleetDoc(t *testing.T) {
	blocks := fleetBlocks(t)
	s := settings.Defaults()
	if err := s.Parse("docs/fleet.md", blocks["toml"]); err != nil {
		t.Fatal(err)
	}
	if w := storeWarnings(s, ""); len(w) != 0 {
		t.Errorf("serve --check would warn: %q", w)
	}
	peers.Require(t, "redis-server")
	dir := t.TempDir()
	address := porttest.Address(t).String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	ca := peers.NewCA(t, "redis root")
	chain := readFile(t, ca.Issue(t, time.Hour, "localhost").ChainFile(t, dir, "chain"))
	acl := strings.TrimPrefix(blocks["acl"], "# /etc/valkey/users.acl\n") // which takes no comments
	for name, text := range map[string]string{"server.pem": chain, "server.key": chain, "ca.pem": string(ca.PEM()), "users.acl": acl,
		"valkey.conf": strings.NewReplacer("/etc/valkey/", dir+"/", "tls-port 6379", "tls-port "+port).Replace(blocks["conf"]) + "dir " + dir + "\nbind 127.0.0.1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	peers.Start(t, "redis-server", filepath.Join(dir, "valkey.conf"))
	l := startLab(t, stsWorlds("doc", 1), nil)
	url := strings.Replace(s.Store, "valkey.example.org:6379", "localhost:"+port, 1)
	if url == s.Store {
		t.Fatalf("the store of the page is %s", s.Store)
	}
	both := filepath.Join(dir, "authorities.pem")
	if err := os.WriteFile(both, []byte(readFile(t, l.ca)+string(ca.PEM())), 0o600); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(dir, "valkey.password")
	if filepath.Base(s.StorePassword) != filepath.Base(password) {
		t.Errorf("the password of the page is in %s", s.StorePassword)
	}
	if err := os.WriteFile(password, []byte("CHANGE-THIS\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	newOne := func() *member {
		m := newMember(t, l, url, "")
		m.env["MXAUTH_STORE_PASSWORD_FILE"] = password
		m.env["MXAUTH_TRUST_CA_FILE"] = both
		return m
	}
	eventually(t, "serve --check", func() bool {
		code, stderr := newOne().run("serve", "--check")
		if strings.Contains(stderr, "refused:") {
			t.Fatal(stderr)
		}
		return code == 0
	})
	for i := range 2 {
		m := newOne()
		m.start()
		if got := m.ask("QUERY", "doc-0.test"); got != secureReply("doc-0.test") {
			t.Errorf("%q", got)
		}
		if n := m.fetches(); n != float64(1-i) {
			t.Errorf("daemon %d made %v fetches", i, n)
		}
		eventually(t, fmt.Sprintf("the count of daemon %d", i), func() bool {
			_, out, _ := m.mxauth("status")
			return strings.Contains(out, "policies      ") && !strings.Contains(out, "not counted yet")
		})
		if n := m.metric("mxauth_store_failures_total", ""); n != 0 {
			t.Errorf("%v calls of the store failed:\n%s", n, m.log)
		}
	}
}
