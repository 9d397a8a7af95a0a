package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/internal/porttest"
)

const (
	// storeWait is what store.Front promises: no call of a server waits for longer.
	storeWait = 500 * time.Millisecond
	// answerSlack is what a loaded machine may need for the rest of an answer. Without the limit
	// a question would wait until the server is back, which is after the answers.
	answerSlack = 8 * time.Second
)

// A fleetLoad asks daemons steadily until it is stopped, and notes what is wrong.
type fleetLoad struct {
	t       *testing.T
	wants   map[string]string
	stop    chan struct{}
	wg      sync.WaitGroup
	asked   atomic.Int64
	slowest atomic.Int64
}

// startLoad asks each daemon for each key of wants over two connections.
func startLoad(t *testing.T, fleet []*member, wants map[string]string) *fleetLoad {
	l := &fleetLoad{t: t, wants: wants, stop: make(chan struct{})}
	keys := slices.Sorted(maps.Keys(wants))
	for _, m := range fleet {
		for range 2 {
			l.wg.Go(func() { l.ask(m, keys) })
		}
	}
	t.Cleanup(l.end)
	return l
}

func (l *fleetLoad) ask(m *member, keys []string) {
	c, err := net.Dial("unix", m.socket)
	if err != nil {
		l.t.Error(err)
		return
	}
	defer c.Close()
	r := bufio.NewReader(c)
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		case <-pace.C:
		}
		key := keys[i%len(keys)]
		begin := time.Now()
		c.SetDeadline(begin.Add(time.Minute))
		got, err := askOn(c, r, "QUERY", key)
		if err != nil {
			l.t.Errorf("%s: %v", key, err)
			return
		}
		took := time.Since(begin)
		if got != l.wants[key] {
			l.t.Errorf("%s: %q, want %q", key, got, l.wants[key])
		}
		for {
			old := l.slowest.Load()
			if int64(took) <= old || l.slowest.CompareAndSwap(old, int64(took)) {
				break
			}
		}
		l.asked.Add(1)
	}
}

// progress waits for answers after what was done last.
func (l *fleetLoad) progress() {
	l.t.Helper()
	n := l.asked.Load()
	eventually(l.t, "answers", func() bool { return l.asked.Load() > n+300 })
}

func (l *fleetLoad) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}

// storeState is what mxauth status says of the store.
func (m *member) storeState() storeStatus {
	m.t.Helper()
	code, out, errOut := m.mxauth("status", "--json")
	var row statusRow
	if err := json.Unmarshal([]byte(out), &row); err != nil || code != 0 {
		m.t.Fatalf("%d %q %s %v", code, out, errOut, err)
	}
	return row.Store
}

// ready is the status of GET /readyz at an address.
func ready(t *testing.T, address string) int {
	t.Helper()
	resp, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestFleetServerKilled: the server of a fleet is frozen, killed, and started again while the
// daemons are asked. Each goes on answering as before from its own memory, also what it has to
// look up again; no question waits for the server for longer than the limit; what is learned
// meanwhile is written when the server is back.
func TestFleetServerKilled(t *testing.T) {
	r := startRedis(t)
	l := startLab(t, append(stsWorlds("out", 4), serveWorlds(t, "dane-ee", "dane-ta", "sts-testing", "stripped-nothing", "classic-mismatch")...), nil)
	http := porttest.Address(t).String()
	const listen = "[[listen]]\ndoor = \"http\"\naddress = \"inet:%s\"\n"
	var offset atomic.Int64 // of the daemons' clocks
	start := func(extra string) *member {
		m := newMember(t, l, r.url(""), extra)
		m.now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
		m.start()
		return m
	}
	a, b, c := start(fmt.Sprintf(listen, http)), start(""), start("")
	fleet := []*member{a, b, c}
	wants := map[string]string{"dane-ee.test": daneReply, "out-0.test": secureReply("out-0.test"), "out-1.test": secureReply("out-1.test"),
		"sts-testing.test": "NOTFOUND ", "stripped-nothing.test": "NOTFOUND "}
	for _, m := range fleet {
		for key, want := range wants {
			if got := m.ask("QUERY", key); got != want {
				t.Fatalf("%s: %q, want %q", key, got, want)
			}
		}
	}
	if got := b.ask("QUERY", "out-2.test"); got != secureReply("out-2.test") {
		t.Fatal(got)
	}
	eventually(t, "ready", func() bool { return ready(t, http) == 200 })
	// cold has every daemon look up again what it is asked, with copies of the store that are
	// so old that it asks the server first.
	cold := func() {
		offset.Add(int64(2 * time.Minute))
		for _, m := range fleet {
			m.reload()
		}
	}
	// timed asks for what the daemon has not been asked before.
	timed := func(m *member, key string) string {
		t.Helper()
		begin := time.Now()
		got := m.ask("QUERY", key)
		if took := time.Since(begin); took > storeWait+answerSlack {
			t.Errorf("%s took %s", key, took)
		}
		return got
	}
	load := startLoad(t, fleet, wants)
	load.progress()

	// A server that hangs.
	if err := r.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	cold()
	// This shows that the limit is what ends the wait.
	eventually(t, "a question that waits for the server", func() bool { return time.Duration(load.slowest.Load()) > storeWait/2 })
	load.progress()
	if got := timed(a, "dane-ta.test"); got != daneReply {
		t.Errorf("unknown until now, by DANE: %q", got)
	}
	if err := r.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is back", func() bool { return a.metric("mxauth_store_unavailable", "") == 0 })
	load.progress()

	// A server that is gone.
	r.Kill()
	if err := l.Forge("out-0", "out-2"); err != nil { // what only the policy still protects
		t.Fatal(err)
	}
	cold()
	load.progress()
	eventually(t, "the daemons notice", func() bool {
		return !slices.ContainsFunc(fleet, func(m *member) bool { return m.metric("mxauth_store_unavailable", "") != 1 })
	})
	cold()
	load.progress()
	for key, want := range map[string]string{
		"out-3.test":       secureReply("out-3.test"), // its policy is fetched now
		"classic.example":  "TEMP ",                   // whether it once had a policy is not known here
		"out-2.test":       "TEMP ",                   // nor what b knows of this one
		"sts-testing.test": "NOTFOUND ",
	} {
		if got := timed(a, key); !strings.HasPrefix(got, want) {
			t.Errorf("%s without the server: %q, want %q", key, got, want)
		}
	}
	if got := timed(b, "out-2.test"); got != secureReply("out-2.test") {
		t.Errorf("out-2.test at the daemon that knows it: %q", got)
	}
	if s := a.storeState(); s.Unavailable == "" || s.Unwritten == 0 || s.Failures == 0 || strings.Contains(s.Where+s.Unavailable, "secret") {
		t.Errorf("%+v", s)
	}
	if n := a.metric("mxauth_store_unwritten", ""); n == 0 {
		t.Error("nothing waits to be written")
	}
	eventually(t, "not ready", func() bool { return ready(t, http) == 503 })
	if _, out, _ := a.mxauth("status"); !strings.Contains(out, "cannot be used now") {
		t.Errorf("%s", out)
	}

	// It is back, with what it had.
	r.start()
	eventually(t, "all is written", func() bool {
		s := a.storeState()
		return s.Unavailable == "" && s.Unwritten == 0
	})
	eventually(t, "ready again", func() bool { return ready(t, http) == 200 })
	load.progress()
	load.end()
	if got := time.Duration(load.slowest.Load()); got > storeWait+answerSlack {
		t.Errorf("an answer took %s", got)
	}
	t.Logf("%d answers, the slowest took %s", load.asked.Load(), time.Duration(load.slowest.Load()))
	// What was learned before and meanwhile is there for a daemon that starts now, although
	// it is not published any more.
	if err := l.Forge("out-3"); err != nil {
		t.Fatal(err)
	}
	d := start("")
	for _, key := range []string{"out-0.test", "out-2.test", "out-3.test"} {
		if got := d.ask("QUERY", key); got != secureReply(key) {
			t.Errorf("%s at a new daemon: %q", key, got)
		}
	}
	if got := d.ask("QUERY", "classic.example"); got != "NOTFOUND " {
		t.Errorf("%q", got)
	}
	if n := d.fetches(); n != 0 {
		t.Errorf("%v fetches", n)
	}
	for _, m := range fleet {
		if code := m.stop(); code != 0 {
			t.Errorf("status %d", code)
		}
	}
}
