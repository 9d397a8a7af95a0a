package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

// A served is a daemon in this process that answers about a lab.
type served struct {
	t               *testing.T
	l               *testLab
	dir             string
	socket, control string
	config          string
	hup             chan os.Signal
	log             *syncBuffer
	now             func() time.Time // nil: the real clock
	env             map[string]string
	stop            func() int // ends the daemon, and returns its exit status
}

// A syncBuffer can be read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	b    strings.Builder
	more chan struct{} // gets a token with each write
}

func newSyncBuffer() *syncBuffer { return &syncBuffer{more: make(chan struct{}, 1)} }

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// await waits until the text holds a word n times.
func (b *syncBuffer) await(t *testing.T, word string, n int) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for strings.Count(b.String(), word) < n {
		select {
		case <-b.more:
		case <-timeout:
			t.Fatalf("no %q in:\n%s", word, b.String())
		}
	}
}

// shortDir is a folder whose sockets have paths short enough for the kernel.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// writeConfig writes a configuration for the lab; extra comes after it.
func writeConfig(t *testing.T, l *testLab, dir, extra string) (file, socket, control string) {
	t.Helper()
	socket, control, file = filepath.Join(dir, "s"), filepath.Join(dir, "c"), filepath.Join(dir, "mxauth.toml")
	text := fmt.Sprintf(`
[resolver]
servers = [%q]
trust-anchor = %q
[trust]
ca-file = %q
allow-address = ["127.0.0.0/8"]
[serve]
control = %q
[[listen]]
door = "socketmap"
address = "unix:%s"
%s`, l.Plain().String(), l.anchor, l.ca, control, socket, extra)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, socket, control
}

// startServe starts a daemon; extra is put after its configuration, args after serve.
func startServe(t *testing.T, l *testLab, extra string, args ...string) *served {
	t.Helper()
	d := newServed(t, l, extra)
	d.start(args...)
	return d
}

// newServed is startServe without the start.
func newServed(t *testing.T, l *testLab, extra string) *served {
	t.Helper()
	d := &served{t: t, l: l, dir: shortDir(t), hup: make(chan os.Signal), log: newSyncBuffer(), env: map[string]string{}}
	d.config, d.socket, d.control = writeConfig(t, l, d.dir, extra)
	return d
}

// start starts the daemon and waits until all its listeners are open, of which the control
// socket is the last.
func (d *served) start(args ...string) {
	d.t.Helper()
	e := newEnv(strings.NewReader(""), io.Discard, d.log, func(name string) string { return d.env[name] })
	e.dial, e.hup = d.l.Dial, d.hup
	if d.now != nil {
		e.now = d.now
	}
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() { code <- run(ctx, append([]string{"serve", "--config", d.config}, args...), e) }()
	d.stop = sync.OnceValue(func() int { cancel(); return <-code })
	d.t.Cleanup(func() { d.stop() })
	timeout := time.After(30 * time.Second)
	for tick := time.Tick(10 * time.Millisecond); ; {
		if c, err := net.Dial("unix", d.control); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick:
		case c := <-code:
			code <- c
			d.t.Fatalf("serve ended with status %d:\n%s", c, d.log)
		case <-timeout:
			d.t.Fatalf("serve does not start:\n%s", d.log)
		}
	}
}

// reload sends SIGHUP and waits until it has been dealt with.
func (d *served) reload() {
	d.t.Helper()
	d.hup <- syscall.SIGHUP
	d.hup <- nil // taken when the reload has ended
}

// ask asks the daemon over its socket.
func (d *served) ask(m, key string) string {
	d.t.Helper()
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	reply, err := askOn(c, bufio.NewReader(c), m, key)
	if err != nil {
		d.t.Fatal(err)
	}
	return reply
}

// askOn asks one question on an open connection.
func askOn(c net.Conn, r *bufio.Reader, m, key string) (string, error) {
	if _, err := fmt.Fprintf(c, "%d:%s %s,", len(m)+1+len(key), m, key); err != nil {
		return "", err
	}
	n, err := r.ReadString(':')
	if err != nil {
		return "", err
	}
	size, err := strconv.Atoi(strings.TrimSuffix(n, ":"))
	if err != nil {
		return "", err
	}
	b := make([]byte, size+1)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	return string(b[:size]), nil
}

// mxauth runs another mxauth with the daemon's configuration.
func (d *served) mxauth(args ...string) (code int, stdout, stderr string) {
	d.t.Helper()
	var out, errOut strings.Builder
	e := newEnv(strings.NewReader(""), &out, &errOut, func(string) string { return "" })
	e.dial = d.l.Dial
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	code = run(ctx, append(args, "--config", d.config), e)
	if err := (&printed{lines: map[string]int{}, seen: map[string]bool{}}).validate(args, []byte(out.String())); err != nil {
		d.t.Error(err)
	}
	return code, out.String(), errOut.String()
}

// serveWorlds are those of the lab that the tests of serve ask about.
var serveWorlds = labtest.Worlds

func TestServe(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce", "sts-testing", "stripped-nothing", "tlsa-servfail", "null-mx"), nil)
	d := startServe(t, l, "")
	for _, x := range []struct{ m, key, want string }{
		{"QUERY", "dane-ee.test", "OK dane-only protocols=>=TLSv1.2"},
		{"query", "DANE-EE.test:25", "OK dane-only protocols=>=TLSv1.2"},
		{"QUERY", "sts-enforce.test", "OK secure match=mx.sts-enforce.test servername=hostname protocols=>=TLSv1.2"},
		{"QUERYwithTLSRPT", "sts-enforce.test", "OK secure match=mx.sts-enforce.test servername=hostname protocols=>=TLSv1.2 policy_type=sts policy_domain=sts-enforce.test { policy_string = version: STSv1 } { policy_string = mode: enforce }"},
		{"sts", "sts-enforce.test", "OK secure match=mx.sts-enforce.test servername=hostname"},
		{"QUERY", "sts-testing.test", "NOTFOUND "},
		{"QUERY", "stripped-nothing.test", "NOTFOUND "},
		{"QUERY", "null-mx.test", "NOTFOUND "},
		{"QUERY", ".test", "NOTFOUND "},
		{"QUERY", "tlsa-servfail.test", "TEMP "},
		{"other", "dane-ee.test", "PERM "},
	} {
		got := d.ask(x.m, x.key)
		if x.m == "QUERYwithTLSRPT" || strings.HasPrefix(x.want, "TEMP") || strings.HasPrefix(x.want, "PERM") {
			if !strings.HasPrefix(got, x.want) {
				t.Errorf("%s %s: %q, want %q...", x.m, x.key, got, x.want)
			}
		} else if got != x.want {
			t.Errorf("%s %s: %q, want %q", x.m, x.key, got, x.want)
		}
	}

	t.Run("status", func(t *testing.T) {
		code, out, errOut := d.mxauth("status", "--json")
		var row statusRow
		if err := json.Unmarshal([]byte(out), &row); err != nil || code != 0 {
			t.Fatalf("%d %q %s %v", code, out, errOut, err)
		}
		if !row.Resolver.OK || row.Replies.Entries < 5 || row.Policies.Kept != 2 || len(row.Temps) != 1 || row.Temps[0].Key != "tlsa-servfail.test" ||
			!strings.Contains(row.Temps[0].Cause, "tlsa-servfail.test") || len(row.Listeners) != 2 || row.Store.Where != "memory" {
			t.Errorf("%s", out)
		}
		if code, out, _ = d.mxauth("status"); code != 0 || !strings.Contains(out, "tlsa-servfail.test") || !strings.Contains(out, "listens at    socketmap=unix:") {
			t.Errorf("%d:\n%s", code, out)
		}
		if code, out, _ = d.mxauth("status", "-q"); code != 0 || out != "" {
			t.Errorf("%d %q", code, out)
		}
	})
	t.Run("ask", func(t *testing.T) {
		code, out, errOut := d.mxauth("ask", "--json", "--map", "querywithtlsrpt", "sts-enforce.test")
		var row askRow
		if err := json.Unmarshal([]byte(out), &row); err != nil || code != 0 {
			t.Fatalf("%d %q %s %v", code, out, errOut, err)
		}
		if row.Source != "kept" || row.Row != "P9" || row.Until == nil || row.Reply != d.ask("QUERYwithTLSRPT", "sts-enforce.test") ||
			row.Plan == nil || strings.Join(row.Plan.STS.MX, " ") != "mx.sts-enforce.test" || row.Plan.Hosts[0].STSMatch != "mx.sts-enforce.test" {
			t.Errorf("%s", out)
		}
		if code, out, _ = d.mxauth("ask", "dane-ee.test"); code != 0 || !strings.Contains(out, "dane-ee.test: OK dane-only") || !strings.Contains(out, "kept by the daemon") {
			t.Errorf("%d:\n%s", code, out)
		}
		if code, out, _ = d.mxauth("ask", "--map", "exim", "--host", "mx.dane-ee.test", "dane-ee.test"); code != 0 || !strings.Contains(out, "req=dane") {
			t.Errorf("%d:\n%s", code, out)
		}
		if code, out, _ = d.mxauth("ask", "tlsa-servfail.test"); code != exitDeferred || !strings.Contains(out, "TEMP") {
			t.Errorf("%d:\n%s", code, out)
		}
		if code, _, errOut = d.mxauth("ask", "--map", "other", "x.test"); code != exitUsage || !strings.Contains(errOut, "--map") {
			t.Errorf("%d:\n%s", code, errOut)
		}
	})
	t.Run("cache", func(t *testing.T) {
		code, out, errOut := d.mxauth("cache", "list")
		if code != 0 || !strings.Contains(out, "sts-enforce.test") || !strings.Contains(out, "sts-testing.test") {
			t.Fatalf("%d %s %s", code, out, errOut)
		}
		_, export, errOut := d.mxauth("cache", "export")
		if n := strings.Count(export, "\n"); n != 2 || !strings.Contains(errOut, "2 policies exported") {
			t.Errorf("%d lines, %s", n, errOut)
		}
		if code, _, errOut = d.mxauth("cache", "delete", "sts-enforce.test"); code != 0 {
			t.Errorf("%d %s", code, errOut)
		}
		if code, _, errOut = d.mxauth("cache", "show", "sts-enforce.test"); code != exitNoPolicy || !strings.Contains(errOut, "no policy of sts-enforce.test is kept") {
			t.Errorf("%d %s", code, errOut)
		}
		// The reply went with the policy: the next one is looked up.
		_, out, _ = d.mxauth("ask", "--json", "sts-enforce.test")
		if !strings.Contains(out, `"source":"looked-up"`) {
			t.Errorf("%s", out)
		}
	})
	t.Run("memory and exceptions", func(t *testing.T) {
		if code, out, errOut := d.mxauth("memory", "list"); code != 0 || out != "" {
			t.Errorf("%d %s %s", code, out, errOut)
		}
		if code, out, errOut := d.mxauth("exceptions", "list"); code != 0 || out != "" {
			t.Errorf("%d %s %s", code, out, errOut)
		}
	})
	if st, err := os.Stat(d.control); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v %v", st.Mode(), err)
	}
	if st, err := os.Stat(d.socket); err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v %v", st.Mode(), err)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("status %d after a stop", code)
	}
	if code, _, errOut := d.mxauth("status"); code != exitConfig || !strings.Contains(errOut, "no mxauth serve answers") {
		t.Errorf("%d %s", code, errOut)
	}
	// Without a daemon ask makes the plan itself.
	if code, out, errOut := d.mxauth("ask", "dane-ee.test"); code != 0 || !strings.Contains(out, "OK dane-only") || !strings.Contains(out, "no daemon was asked") {
		t.Errorf("%d %s %s", code, out, errOut)
	}
}

// TestNotRefreshed: a policy that is kept and can no longer be fetched goes on being enforced, and an
// administrator sees that it is: in the log, in the status and in the metrics.
func TestNotRefreshed(t *testing.T) {
	was := lab.World{Name: "gone", Domain: "gone.test", Zones: []lab.Zone{{Apex: "gone.test", Sign: lab.Unsigned}},
		Hosts: []lab.Host{{Name: "mx.gone.test", Pref: 10}}, STS: &lab.STS{Mode: "enforce"}}
	now := was
	now.STS, now.Was = nil, &was
	now.About, now.Want = "a policy that is published no more", lab.Want{Outcome: "authenticated"}
	l := startLab(t, []lab.World{now}, nil)
	const enforced = "OK secure match=mx.gone.test servername=hostname protocols=>=TLSv1.2"
	store := fmt.Sprintf("[store]\npath = \"bolt:%s/p.db\"\n", shortDir(t))
	d := startServe(t, l, store)
	if got := d.ask("QUERY", "gone.test"); got != enforced {
		t.Fatal(got)
	}
	d.stop()
	if err := l.Forge("gone"); err != nil {
		t.Fatal(err)
	}
	d = newServed(t, l, store)
	d.now = func() time.Time { return time.Now().Add(30 * time.Hour) } // a refresh is due every day
	metrics := filepath.Join(d.dir, "m")
	d.env["MXAUTH_SERVE_METRICS"] = "unix:" + metrics
	d.start()
	var row statusRow
	eventually(t, "a refresh that fails", func() bool {
		_, out, _ := d.mxauth("status", "--json")
		if err := json.Unmarshal([]byte(out), &row); err != nil {
			t.Fatal(err)
		}
		return row.Policies.Stale == 1
	})
	if row.Policies.Kept != 1 || len(row.Policies.List) != 1 || row.Policies.List[0].Domain.String() != "gone.test" || row.Policies.List[0].Failures != 1 {
		t.Errorf("%+v", row.Policies)
	}
	if _, out, _ := d.mxauth("status"); !strings.Contains(out, "policies      1 kept, 1 of them not refreshed") || !strings.Contains(out, "gone.test: 1 refreshes failed, fetched ") {
		t.Error(out)
	}
	if log := d.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "gone.test") {
		t.Error(log)
	}
	if got := d.ask("QUERY", "gone.test"); got != enforced {
		t.Errorf("the kept policy: %q", got)
	}
	if m := scrape(t, metrics); !strings.Contains(m, "\nmxauth_sts_refresh_failures_total 1\n") {
		t.Error(m)
	}
}

// scrape reads the metrics of a daemon at a unix socket.
func scrape(t *testing.T, socket string) string {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	resp, err := c.Get("http://mxauth/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
