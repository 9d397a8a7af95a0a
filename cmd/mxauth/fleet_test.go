package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/internal/porttest"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/store/valkey"
)

// A redis is Debian's redis-server with what the test needs to speak to it.
type redis struct {
	*peers.Daemon
	t        testing.TB
	dir      string
	address  string
	password string
	args     []string
}

// startRedis starts a server that keeps what it has on disk; args come after its own.
func startRedis(t testing.TB, args ...string) *redis {
	t.Helper()
	peers.Require(t, "redis-server")
	r := &redis{t: t, dir: t.TempDir(), address: porttest.Address(t).String(), password: "secret", args: args}
	r.start()
	return r
}

// start starts it, or starts it again.
func (r *redis) start() {
	r.t.Helper()
	host, port, err := net.SplitHostPort(r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	args := []string{"--port", port, "--bind", host, "--dir", r.dir, "--save", "", "--appendonly", "yes", "--requirepass", r.password, "--masterauth", r.password}
	r.Daemon = peers.Start(r.t, "redis-server", append(args, r.args...)...)
	r.WaitFor(r.t, "answer", func(context.Context) error {
		text, err := r.try("PING")
		if err == nil && text != "+PONG" {
			err = fmt.Errorf("%s", text)
		}
		return err
	})
}

// url leads to the server; path comes after its address.
func (r *redis) url(path string) string { return "redis://:" + r.password + "@" + r.address + path }

// do sends a command of plain words and returns the answer: its line, or the text of a string.
func (r *redis) do(words ...string) string {
	r.t.Helper()
	text, err := r.try(words...)
	if err == nil && strings.HasPrefix(text, "-") {
		err = fmt.Errorf("%s", text)
	}
	if err != nil {
		r.t.Fatalf("%s: %v", strings.Join(words, " "), err)
	}
	return text
}

func (r *redis) try(words ...string) (string, error) {
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "AUTH %s\r\n%s\r\n", r.password, strings.Join(words, " ")); err != nil {
		return "", err
	}
	in := bufio.NewReader(c)
	if ok, err := in.ReadString('\n'); err != nil || ok != "+OK\r\n" {
		return "", fmt.Errorf("AUTH: %q, %v", ok, err)
	}
	line, err := in.ReadString('\n')
	line = strings.TrimSuffix(line, "\r\n")
	if n, err := strconv.Atoi(strings.TrimPrefix(line, "$")); err == nil && strings.HasPrefix(line, "$") && n >= 0 {
		b := make([]byte, n)
		_, err = io.ReadFull(in, b)
		return string(b), err
	}
	return line, err
}

// monitor returns what the server is asked from now on.
func (r *redis) monitor(t *testing.T) *syncBuffer {
	t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	b, done := newSyncBuffer(), make(chan struct{})
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	fmt.Fprintf(c, "AUTH %s\r\nMONITOR\r\n", r.password)
	go func() {
		defer close(done)
		io.Copy(b, c)
	}()
	b.await(t, "+OK", 2)
	return b
}

// store opens what the daemons have there.
func (r *redis) store(path string) *valkey.Store {
	r.t.Helper()
	s, err := valkey.Open(valkey.Config{URL: r.url(path), NoCopies: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	return s
}

// A member is a daemon of a fleet, in this process, with its metrics at hand.
type member struct {
	*served
	metrics string
}

// newMember makes a daemon that uses a store; extra is put after its configuration.
func newMember(t *testing.T, l *testLab, store, extra string) *member {
	t.Helper()
	m := &member{served: newServed(t, l, fmt.Sprintf("[store]\npath = %q\n%s", store, extra))}
	m.metrics = filepath.Join(m.dir, "m")
	m.env["MXAUTH_SERVE_METRICS"] = "unix:" + m.metrics
	return m
}

func startMember(t *testing.T, l *testLab, store, extra string) *member {
	t.Helper()
	m := newMember(t, l, store, extra)
	m.start()
	return m
}

// metric is the sum of a metric over those of its labels that match.
func (m *member) metric(name, labels string) (sum float64) {
	m.t.Helper()
	for _, x := range regexp.MustCompile(`(?m)^`+name+`(?:\{([^}]*)\})? (\S+)$`).FindAllStringSubmatch(scrape(m.t, m.metrics), -1) {
		n, err := strconv.ParseFloat(x[2], 64)
		if err != nil {
			m.t.Fatal(err)
		}
		if strings.Contains(x[1], labels) {
			sum += n
		}
	}
	return sum
}

// fetches is how many policies the daemon has fetched over HTTPS.
func (m *member) fetches() float64 { return m.metric("mxauth_sts_fetches_total", "") }

// later is the real clock and something more.
func later(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
}

// stsWorlds are n worlds with an enforced policy in unsigned zones, which Forge takes away:
// an attacker hides the record, and offers a server with a certificate of its own.
func stsWorlds(name string, n int) (list []lab.World) {
	for i := range n {
		name := fmt.Sprintf("%s-%d", name, i)
		domain := name + ".test"
		was := lab.World{Name: name, Domain: domain, Zones: []lab.Zone{{Apex: domain, Sign: lab.Unsigned}},
			Hosts: []lab.Host{{Name: "mx." + domain, Pref: 10}}, STS: &lab.STS{Mode: "enforce"}}
		now := was
		now.STS, now.Was = nil, &was
		now.About, now.Want = "the record of a policy that was published is hidden", lab.Want{Outcome: "authenticated"}
		list = append(list, now)
	}
	return list
}

// secureReply is the answer for one of stsWorlds.
func secureReply(domain string) string {
	return "OK secure match=mx." + domain + " servername=hostname protocols=>=TLSv1.2"
}

// TestFleetShares: what one daemon has fetched the others know without HTTPS, and what one
// has seen proved the others hold mail for when it is gone.
func TestFleetShares(t *testing.T) {
	r := startRedis(t)
	l := startLab(t, append(stsWorlds("fleet", 1), serveWorlds(t, "memory-dane-defer", "stripped-nothing")...), nil)
	const remember = "[memory]\naction = \"defer\"\n"
	a := startMember(t, l, r.url(""), remember)
	if got := a.ask("QUERY", "fleet-0.test"); got != secureReply("fleet-0.test") {
		t.Fatal(got)
	}
	if got := a.ask("QUERY", "memory-dane-defer.test"); got != daneReply {
		t.Fatal(got)
	}
	if n := a.fetches(); n != 1 {
		t.Errorf("the first daemon made %v fetches", n)
	}
	eventually(t, "a proof is stored", func() bool { return a.metric("mxauth_memory_written_total", "") >= 2 })

	t.Run("a policy", func(t *testing.T) {
		b := startMember(t, l, r.url(""), remember)
		if got := b.ask("QUERY", "fleet-0.test"); got != secureReply("fleet-0.test") {
			t.Errorf("while it is published: %q", got)
		}
		if n := b.fetches(); n != 0 {
			t.Errorf("the second daemon made %v fetches", n)
		}
	})
	if err := l.Forge("fleet-0", "memory-dane-defer"); err != nil {
		t.Fatal(err)
	}
	t.Run("a policy that is hidden, and a proof that is lost", func(t *testing.T) {
		b := startMember(t, l, r.url(""), remember)
		if got := b.ask("QUERY", "fleet-0.test"); got != secureReply("fleet-0.test") {
			t.Errorf("after it was hidden: %q", got)
		}
		if got := b.ask("QUERY", "memory-dane-defer.test"); !strings.HasPrefix(got, "TEMP ") {
			t.Errorf("after the loss: %q", got)
		}
		if got := b.ask("QUERY", "stripped-nothing.test"); got != "NOTFOUND " {
			t.Errorf("nothing was ever proved: %q", got)
		}
		if n := b.fetches(); n != 0 {
			t.Errorf("%v fetches", n)
		}
	})
	t.Run("a daemon of its own", func(t *testing.T) {
		alone := startMember(t, l, "bolt:"+filepath.Join(t.TempDir(), "p.db"), remember)
		for _, key := range []string{"fleet-0.test", "memory-dane-defer.test"} {
			if got := alone.ask("QUERY", key); got != "NOTFOUND " {
				t.Errorf("%s, without what the others know: %q", key, got)
			}
		}
	})
}

// TestFleetRefresh: when the time has come, one daemon of a fleet refreshes a policy; one that
// died with the lock keeps the others from it for as long as the lock lasts, and no longer.
func TestFleetRefresh(t *testing.T) {
	r := startRedis(t)
	const policies = 4
	l := startLab(t, stsWorlds("due", policies), nil)
	a := startMember(t, l, r.url(""), "")
	for i := range policies {
		domain := fmt.Sprintf("due-%d.test", i)
		if got := a.ask("QUERY", domain); got != secureReply(domain) {
			t.Fatal(got)
		}
	}
	a.stop()
	refreshed := func(list []*member) (n float64) {
		for _, m := range list {
			n += m.metric("mxauth_sts_fetches_total", `row="S10"`)
		}
		return n
	}
	const lockKey = "mxauth/l/sts/refresh"
	r.do("DEL", lockKey, "mxauth/l/serve/count")
	// The lock of a daemon that died, which lasts as any that is not renewed.
	dead, ok, err := r.store("").Lock(t.Context(), "sts/refresh", time.Hour)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	const lockCommand = `"SET" "` + lockKey + `"`
	commands := r.monitor(t)
	// three daemons, a day later.
	three := func() (list []*member) {
		for range 3 {
			m := newMember(t, l, r.url(""), "")
			m.now = later(25 * time.Hour)
			m.start()
			list = append(list, m)
		}
		return list
	}
	fleet := three()
	commands.await(t, lockCommand, 3)
	if n := refreshed(fleet); n != 0 {
		t.Errorf("%v refreshes while another has the lock", n)
	}
	for _, m := range fleet {
		m.stop()
	}
	if held, err := dead.Renew(t.Context(), 50*time.Millisecond); err != nil || !held {
		t.Fatal(held, err)
	}
	eventually(t, "the end of the lock", func() bool { return r.do("EXISTS", lockKey) == ":0" })
	fleet = three()
	commands.await(t, lockCommand, 6)
	// It is left in place after the sweep of the one that got it.
	eventually(t, "the end of the refreshes", func() bool {
		ms, err := strconv.Atoi(strings.TrimPrefix(r.do("PTTL", lockKey), ":"))
		return err == nil && ms > int((3*time.Minute).Milliseconds())
	})
	if n := refreshed(fleet); n != policies {
		t.Errorf("%v refreshes of %d policies", n, policies)
	}
	one := 0
	for _, m := range fleet {
		if m.fetches() > 0 {
			one++
		}
	}
	if one != 1 {
		t.Errorf("%d daemons have refreshed", one)
	}
	// One has counted for all.
	eventually(t, "the count of the others", func() bool {
		return !slices.ContainsFunc(fleet, func(m *member) bool { return m.metric("mxauth_sts_policies", "") != policies })
	})
	if n := strings.Count(commands.String(), `"SET" "mxauth/l/serve/count"`); n != 6 {
		t.Errorf("%d tries to count", n)
	}
	e, ok, err := r.store("").Get(t.Context(), "serve/policies")
	if err != nil || !ok || !strings.Contains(string(e.Value), fmt.Sprintf(`"kept":%d,"stale":0`, policies)) {
		t.Errorf("%q, %v, %v", e.Value, ok, err)
	}
}

// TestFleetRefused: a server that does not take the daemon is an error when it starts, with its
// cause; one that is down is not.
func TestFleetRefused(t *testing.T) {
	plain := startRedis(t)
	ca := peers.NewCA(t, "redis root")
	dir := t.TempDir()
	file := ca.Issue(t, time.Hour, "localhost").ChainFile(t, dir, "redis")
	address := porttest.Address(t).String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	tls := startRedis(t, "--tls-port", port, "--tls-cert-file", file, "--tls-key-file", file, "--tls-ca-cert-file", file, "--tls-auth-clients", "no")
	plain.do("ACL", "SETUSER", "reader", "on", ">secret", "~mxauth/*", "&*", "+@read", "+@connection", "+scan")
	l := startLab(t, serveWorlds(t, "dane-ee"), nil)
	good := string(ca.PEM())
	for _, c := range []struct{ name, url, ca, want string }{
		{"password", "redis://:wrong@" + plain.address, "", "does not accept the user or the password"},
		{"user", "redis://stranger:secret@" + plain.address, "", "does not accept the user or the password"},
		{"no password", "redis://" + plain.address, "", "the server requires a password, and the URL has none"},
		{"rights", "redis://reader:secret@" + plain.address, "", "has no permission for this at the server"},
		{"no such database", plain.url("/99"), "", "does not have the database"},
		{"another authority", "rediss://:secret@localhost:" + port, "", "the certificate of the server"},
		{"another name", "rediss://:secret@127.0.0.1:" + port, good, "the certificate of the server"},
		{"no cluster", plain.url("?addr=" + tls.address), "", "not part of a cluster"},
		{"verification off", "rediss://:secret@localhost:" + port + "?skip_verify=true", "", `the parameter "skip_verify"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newServed(t, l, fmt.Sprintf("[store]\npath = %q\n", c.url))
			if c.ca != "" {
				d.env["MXAUTH_TRUST_CA_FILE"] = testFile(t, "ca.pem", []byte(c.ca))
			}
			for _, args := range [][]string{{"serve", "--check"}, {"serve"}} {
				code, stderr := d.run(args...)
				if code != exitConfig && code != exitUsage || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "secret") || strings.Contains(stderr, ":wrong") {
					t.Errorf("%v: status %d, %s", args, code, stderr)
				}
			}
		})
	}
	t.Run("accepted", func(t *testing.T) {
		d := newServed(t, l, fmt.Sprintf("[store]\npath = %q\n", "rediss://:secret@localhost:"+port))
		d.env["MXAUTH_TRUST_CA_FILE"] = testFile(t, "ca.pem", []byte(good))
		if code, stderr := d.run("serve", "--check"); code != 0 || strings.Contains(stderr, "warning") {
			t.Errorf("status %d, %s", code, stderr)
		}
	})
	// The two sides do not understand each other, which looks as if one of them failed.
	for url, want := range map[string]string{
		"redis://:secret@127.0.0.1:" + port: "perhaps it speaks TLS",
		"rediss://:secret@" + plain.address: "perhaps the server does not speak it",
	} {
		d := newServed(t, l, fmt.Sprintf("[store]\npath = %q\n", url))
		if code, stderr := d.run("serve", "--check"); code != exitConfig || !strings.Contains(stderr, want) {
			t.Errorf("status %d, %s", code, stderr)
		}
	}
	t.Run("down", func(t *testing.T) {
		url := "redis://:secret@" + porttest.Address(t).String()
		d := newServed(t, l, fmt.Sprintf("[store]\npath = %q\n", url))
		if code, stderr := d.run("serve", "--check"); code != exitConfig || !strings.Contains(stderr, "cannot be used now") || !strings.Contains(stderr, "connection refused") {
			t.Errorf("status %d, %s", code, stderr)
		}
		m := startMember(t, l, url, "")
		if got := m.ask("QUERY", "dane-ee.test"); got != daneReply {
			t.Errorf("%q", got)
		}
		if !strings.Contains(m.log.String(), "the store cannot be used now") {
			t.Errorf("%s", m.log)
		}
	})
}

// run runs a verb with the daemon's configuration and environment to its end.
func (d *served) run(args ...string) (code int, stderr string) {
	d.t.Helper()
	log := newSyncBuffer()
	e := newEnv(strings.NewReader(""), io.Discard, log, func(name string) string { return d.env[name] })
	e.dial = d.l.Dial
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return run(ctx, append(args, "--config", d.config), e), log.String()
}

// TestFleetWarnings: serve --check warns of a store that others can write to, and starts all
// the same.
func TestFleetWarnings(t *testing.T) {
	const (
		noTLS      = "is reached without TLS"
		noPassword = "has no password"
	)
	for _, c := range []struct {
		url   string
		wants []string
	}{
		{"redis://valkey.example.org", []string{noTLS, noPassword}},
		{"redis://:secret@valkey.example.org:6379/0", []string{noTLS}},
		{"valkey://mxauth:secret@192.0.2.1", []string{noTLS}},
		{"redis://mxauth:secret@[2001:db8::1]:6379", []string{noTLS}},
		{"redis://mxauth:secret@127.0.0.1:6379?addr=192.0.2.1:6379", []string{noTLS}},
		{"redis://mxauth:secret@127.0.0.1:6379?addr=127.0.0.2:6379", nil},
		{"redis://mxauth:secret@localhost", nil},
		{"redis://mxauth:secret@[::1]:6379", nil},
		{"redis://127.0.0.1:6379", []string{noPassword}},
		{"redis://mxauth@127.0.0.1:6379", []string{noPassword}},
		{"rediss://valkey.example.org", []string{noPassword}},
		{"rediss://mxauth:secret@valkey.example.org", nil},
		{"valkeys://mxauth:secret@valkey.example.org", nil},
		{"unix:///run/valkey.sock", []string{noPassword}},
		{"unix://mxauth:secret@/run/valkey.sock", nil},
		{"bolt:/var/lib/mxauth/policies.db", nil},
		{"memory", nil},
	} {
		s := settings.Defaults()
		s.Store = c.url
		got := storeWarnings(s, "")
		ok := len(got) == len(c.wants)
		for i := range min(len(got), len(c.wants)) {
			ok = ok && strings.Contains(got[i], c.wants[i]) && !strings.Contains(got[i], "secret")
		}
		if !ok {
			t.Errorf("%s: %q, want %q", c.url, got, c.wants)
		}
	}
	r := startRedis(t)
	r.do("ACL", "SETUSER", "default", "nopass")
	l := startLab(t, serveWorlds(t, "dane-ee"), nil)
	d := newServed(t, l, fmt.Sprintf("[store]\npath = %q\n", "redis://"+r.address))
	code, stderr := d.run("serve", "--check")
	if code != 0 || !strings.Contains(stderr, "warning: the URL of the store redis://"+r.address+" has no password: anyone who reaches the server can write policies") {
		t.Errorf("status %d, %s", code, stderr)
	}
	m := startMember(t, l, "redis://"+r.address, "")
	if !strings.Contains(m.log.String(), "has no password") {
		t.Errorf("the daemon does not say so:\n%s", m.log)
	}
}

// storedPolicy reports whether the server has the policy of a domain.
func storedPolicy(t *testing.T, s store.Store, domain string) bool {
	t.Helper()
	_, ok, err := s.Get(t.Context(), "sts/p/"+domain)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}
