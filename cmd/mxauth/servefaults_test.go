package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/mxauth/mxauth/conformance/lab"
)

// A resolverLine is what lies between the daemon and its resolver.
type resolverLine struct {
	t   testing.TB
	to  netip.AddrPort
	udp *net.UDPConn
	tcp net.Listener
	wg  sync.WaitGroup

	down  atomic.Bool  // nothing comes through
	delay atomic.Int64 // of each answer, nanoseconds
}

// newResolverLine leads to a resolver.
func newResolverLine(t testing.TB, to netip.AddrPort) *resolverLine {
	t.Helper()
	w := &resolverLine{t: t, to: to}
	for try := 0; ; try++ {
		var err error
		if w.udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		if w.tcp, err = net.Listen("tcp4", w.udp.LocalAddr().String()); err == nil {
			break
		}
		w.udp.Close()
		if try > 20 {
			t.Fatal(err)
		}
	}
	w.wg.Go(w.serveUDP)
	w.wg.Go(w.serveTCP)
	t.Cleanup(func() {
		w.udp.Close()
		w.tcp.Close()
		w.wg.Wait()
	})
	return w
}

func (w *resolverLine) addr() string { return w.udp.LocalAddr().String() }

func (w *resolverLine) serveUDP() {
	buf := make([]byte, 4096)
	for {
		n, from, err := w.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if w.down.Load() {
			continue
		}
		msg := append([]byte(nil), buf[:n]...)
		w.wg.Go(func() {
			c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(w.to))
			if err != nil {
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := c.Write(msg); err != nil {
				return
			}
			out := make([]byte, 65536)
			n, err := c.Read(out)
			if err != nil {
				return
			}
			if d := time.Duration(w.delay.Load()); d > 0 {
				<-time.After(d)
			}
			if !w.down.Load() {
				w.udp.WriteToUDPAddrPort(out[:n], from)
			}
		})
	}
}

func (w *resolverLine) serveTCP() {
	for {
		c, err := w.tcp.Accept()
		if err != nil {
			return
		}
		if w.down.Load() {
			c.Close()
			continue
		}
		w.wg.Go(func() {
			defer c.Close()
			u, err := net.Dial("tcp4", w.to.String())
			if err != nil {
				return
			}
			defer u.Close()
			deadline := time.Now().Add(5 * time.Second)
			c.SetDeadline(deadline)
			u.SetDeadline(deadline)
			done := make(chan struct{})
			go func() {
				defer close(done)
				io.Copy(u, c)
				u.(*net.TCPConn).CloseWrite()
			}()
			io.Copy(c, u)
			c.Close()
			<-done
		})
	}
}

// through makes a daemon of the tests ask its resolver through the line.
func (w *resolverLine) through(t *testing.T, l *testLab) *served {
	t.Helper()
	d := newServed(t, l, "")
	d.env["MXAUTH_RESOLVER_SERVERS"], d.env["MXAUTH_RESOLVER_TIMEOUT"] = w.addr(), "1s"
	return d
}

// within asks, and fails if the answer takes longer.
func (d *served) within(limit time.Duration, m, key string) string {
	d.t.Helper()
	begun := time.Now()
	reply := d.ask(m, key)
	if took := time.Since(begun); took > limit {
		d.t.Errorf("%s: answered after %v, want at most %v", key, took, limit)
	}
	return reply
}

const (
	daneReply = "OK dane-only protocols=>=TLSv1.2"
	stsReply  = "OK secure match=mx.sts-enforce.test servername=hostname protocols=>=TLSv1.2"
)

// TestResolverFaults: with a resolver that is down or slow answers are TEMP, in time, and
// never weaker; what was answered before goes on being answered; and when the resolver is
// back, so are the answers.
func TestResolverFaults(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "dane-ta", "sts-enforce", "stripped-nothing", "tlsa-mismatch"), nil)
	w := newResolverLine(t, l.Plain())
	d := w.through(t, l)
	d.start()
	const patience = 15*time.Second + 10*time.Second // and what a loaded machine takes
	// A kept answer waits for no lookup, each of which would take the whole patience.
	const kept = 10 * time.Second
	if got := d.ask("QUERY", "stripped-nothing.test"); got != "NOTFOUND " {
		t.Fatal(got)
	}
	if got := d.ask("QUERY", "sts-enforce.test"); got != stsReply {
		t.Fatal(got)
	}
	w.down.Store(true)
	if got := d.within(kept, "QUERY", "stripped-nothing.test"); got != "NOTFOUND " {
		t.Errorf("a kept answer: %q", got)
	}
	if got := d.within(patience, "QUERY", "dane-ee.test"); !strings.HasPrefix(got, "TEMP ") {
		t.Errorf("%q", got)
	}
	if got := d.within(kept, "QUERY", "dane-ee.test"); !strings.HasPrefix(got, "TEMP ") {
		t.Errorf("the second question: %q", got)
	}
	code, out, _ := d.mxauth("status")
	if !strings.Contains(out, "dane-ee.test") {
		t.Errorf("%d %s", code, out)
	}
	// The kept replies are dropped. What DNS said may still be known, and the policy is; of
	// the other domain nothing is known, so nothing is let go.
	d.reload()
	if got := d.within(patience, "QUERY", "sts-enforce.test"); got != stsReply && !strings.HasPrefix(got, "TEMP ") {
		t.Errorf("%q", got)
	}
	if got := d.within(patience, "QUERY", "dane-ta.test"); !strings.HasPrefix(got, "TEMP ") {
		t.Errorf("%q", got)
	}
	w.down.Store(false)
	for key, want := range map[string]string{"dane-ee.test": daneReply, "sts-enforce.test": stsReply, "dane-ta.test": daneReply} {
		eventually(t, key+" after the resolver is back", func() bool {
			d.reload() // drops the TEMP answers, which hold for 10 s
			return d.ask("QUERY", key) == want
		})
	}
	if code, out, errOut := d.mxauth("status"); code != 0 {
		t.Errorf("%d %s %s", code, out, errOut)
	}
	boundedHeap(t)
}

// eventually repeats f until it is true, as long as a resolver that failed is left alone.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestSlowResolver: an answer that is not there within the patience is TEMP; the lookup goes
// on, and the next question gets its answer.
func TestSlowResolver(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce"), nil)
	w := newResolverLine(t, l.Plain())
	d := w.through(t, l)
	d.env["MXAUTH_SERVE_PATIENCE"] = "300ms"
	w.delay.Store(int64(250 * time.Millisecond))
	d.start()
	for key, want := range map[string]string{"dane-ee.test": daneReply, "sts-enforce.test": stsReply} {
		first := d.within(10*time.Second, "QUERY", key)
		if !strings.HasPrefix(first, "TEMP ") || !strings.Contains(first, "take longer than 300ms and go on") {
			t.Errorf("%s: %q", key, first)
		}
		eventually(t, key, func() bool {
			got := d.within(10*time.Second, "QUERY", key)
			if got != want && !strings.HasPrefix(got, "TEMP ") {
				t.Fatalf("%s: %q", key, got)
			}
			return got == want
		})
	}
	boundedHeap(t)
}

// TestPolicyHostHangs: a policy host that does not answer holds no other domain, its own
// domain for the patience at most, and no domain that DANE decides.
func TestPolicyHostHangs(t *testing.T) {
	hanging := []string{"sts-hang", "sts-hang-in-body", "sts-hang-in-handshake"}
	l := startLab(t, serveWorlds(t, append(hanging, "sts-hang-dane", "dane-ee", "sts-enforce")...), nil)
	d := newServed(t, l, "")
	d.env["MXAUTH_SERVE_PATIENCE"] = "6s"
	d.start()
	var wg sync.WaitGroup
	for _, name := range hanging {
		for range 20 {
			wg.Go(func() {
				if got := d.within(16*time.Second, "QUERY", name+".test"); strings.HasPrefix(got, "OK") {
					t.Errorf("%s: %q", name, got)
				}
			})
		}
	}
	for key, want := range map[string]string{"dane-ee.test": daneReply, "sts-enforce.test": stsReply, "sts-hang-dane.test": daneReply} {
		if got := d.within(16*time.Second, "QUERY", key); got != want {
			t.Errorf("%s beside hanging policy hosts: %q", key, got)
		}
	}
	wg.Wait()
	boundedHeap(t)
}

// boundedHeap: a fault takes a bounded amount of memory, of this process with the lab and with the
// tests before it.
func boundedHeap(t *testing.T) {
	t.Helper()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapInuse > 512<<20 {
		t.Errorf("%d MiB of heap are in use", m.HeapInuse>>20)
	}
}

// TestStoreDown: a store on a server that goes away takes no policy with it that the daemon
// knows, and no answer.
func TestStoreDown(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce", "sts-testing"), nil)
	m := miniredis.RunT(t)
	d := startServe(t, l, fmt.Sprintf("[store]\npath = \"redis://%s\"\n", m.Addr()))
	if got := d.ask("QUERY", "sts-enforce.test"); got != stsReply {
		t.Fatal(got)
	}
	if n := len(m.Keys()); n == 0 {
		t.Fatal("nothing was stored")
	}
	m.Close()
	d.reload()
	for _, c := range []struct{ key, want string }{{"sts-enforce.test", stsReply}, {"dane-ee.test", daneReply}, {"sts-enforce.test", stsReply}} {
		if got := d.within(20*time.Second, "QUERY", c.key); got != c.want {
			t.Errorf("%s without the store: %q", c.key, got)
		}
	}
	_, out, _ := d.mxauth("status")
	if !strings.Contains(out, "calls failed") {
		t.Error(out)
	}
	if code := d.stop(); code != 0 {
		t.Errorf("status %d", code)
	}
	boundedHeap(t)
}

// TestDiskFull: a policy that finds no room on the disk is kept in memory, and answered.
func TestDiskFull(t *testing.T) {
	dir := shortDir(t)
	if err := syscall.Mount("mxauth-test", dir, "tmpfs", 0, "size=160k"); err != nil {
		t.Skipf("no file system can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	l := startLab(t, serveWorlds(t, "sts-enforce", "sts-testing", "dane-ee"), nil)
	d := startServe(t, l, fmt.Sprintf("[store]\npath = \"bolt:%s/p.db\"\n", dir))
	full, err := os.Create(filepath.Join(dir, "full"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = full.Write(make([]byte, 4096))
	}
	full.Close()
	for range 2 {
		for key, want := range map[string]string{"sts-enforce.test": stsReply, "dane-ee.test": daneReply} {
			if got := d.within(20*time.Second, "QUERY", key); got != want {
				t.Errorf("%s on a full disk: %q", key, got)
			}
		}
		d.reload()
	}
	d.stop()
	boundedHeap(t)
}

// TestClockJumps: a clock that is set a day forward or back makes no answer weaker.
func TestClockJumps(t *testing.T) {
	l := startLab(t, serveWorlds(t, "dane-ee", "sts-enforce"), nil)
	for _, jump := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		var off atomic.Int64
		d := newServed(t, l, "")
		d.now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
		d.start()
		for key, want := range map[string]string{"dane-ee.test": daneReply, "sts-enforce.test": stsReply} {
			if got := d.ask("QUERY", key); got != want {
				t.Errorf("%s: %q", key, got)
			}
		}
		off.Store(int64(jump))
		for range 2 {
			for key, want := range map[string]string{"dane-ee.test": daneReply, "sts-enforce.test": stsReply} {
				if got := d.within(20*time.Second, "QUERY", key); got != want && !strings.HasPrefix(got, "TEMP ") {
					t.Errorf("%s, the clock jumped %v: %q", key, jump, got)
				}
			}
			d.reload()
		}
		if got := d.ask("QUERY", "sts-enforce.test"); got != stsReply {
			t.Errorf("the kept policy, the clock jumped %v: %q", jump, got)
		}
		d.stop()
	}
	boundedHeap(t)
}

// costly are worlds that cost as much as they can.
var costly = []string{"zone-keytrap", "zone-colliding", "sts-hang", "sts-hang-in-body"}

// TestHostileBeside: hostile domains, asked about without end, keep no honest one from being
// answered in about the time that it takes without them, and take a bounded amount of memory. Each
// honest domain is asked about once, over a resolver that is 20 ms away, so that the time is one of
// waiting more than one of computing.
func TestHostileBeside(t *testing.T) {
	const honest = 100 // in each of two parts
	worlds := serveWorlds(t, append(costly, "dane-ee")...)
	for i := range 2 * honest {
		domain := fmt.Sprintf("honest-%d.test", i)
		worlds = append(worlds, lab.World{Name: fmt.Sprint("honest-", i), Domain: domain, About: "an honest domain", Zones: []lab.Zone{{Apex: domain}},
			Hosts: []lab.Host{{Name: "mx." + domain, Pref: 10, TLSA: []string{"3 1 1 leaf"}}}, Want: lab.Want{Outcome: "authenticated"}})
	}
	l := startLab(t, worlds, nil)
	w := newResolverLine(t, l.Plain())
	w.delay.Store(int64(roundTrip))
	alone, beside := besideHostile(t, l, w.addr(), honest)
	// Twice, and what a loaded machine adds to either.
	if beside > 2*alone+time.Second {
		t.Errorf("p99 of honest answers %v alone, %v beside hostile ones", alone, beside)
	}
}

// besideHostile returns the p99 of the answers for the first part of the honest domains, which are
// asked for alone, and for the second, which are asked for beside hostile ones. The daemon is new.
func besideHostile(t *testing.T, l *testLab, resolver string, honest int) (alone, beside time.Duration) {
	t.Helper()
	d := newServed(t, l, "[log]\nlevel = \"error\"\n")
	d.env["MXAUTH_SERVE_PATIENCE"], d.env["MXAUTH_RESOLVER_SERVERS"] = "5s", resolver
	d.start()
	// p99 is that of answers for a part of the honest domains, five side by side.
	p99 := func(from int) time.Duration {
		var mu sync.Mutex
		var all []time.Duration
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for i := next.Add(1); i <= int64(honest); i = next.Add(1) {
					key := fmt.Sprintf("honest-%d.test", from+int(i)-1)
					begun := time.Now()
					got := d.ask("QUERY", key)
					took := time.Since(begun)
					if got != daneReply {
						t.Errorf("%s: %q", key, got)
					}
					mu.Lock()
					all = append(all, took)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(all)
		return all[len(all)*99/100-1]
	}
	d.ask("QUERY", "dane-ee.test") // the zones above are known
	alone = p99(0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var asked atomic.Int64
	for i := range 32 {
		wg.Go(func() {
			c, err := net.Dial("unix", d.socket)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(2 * time.Minute))
			r := bufio.NewReader(c)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				// A port of its own makes each question a lookup of its own.
				key := fmt.Sprintf("%s.test:%d", costly[(i+n)%len(costly)], 1+(i*5000+n)%65000)
				if _, err := askOn(c, r, "QUERY", key); err != nil {
					return // the test has ended
				}
				asked.Add(1)
			}
		})
	}
	eventually(t, "answers for hostile domains", func() bool { return asked.Load() >= 32 })
	beside = p99(honest)
	t.Logf("p99 of honest answers %v alone, %v beside %d hostile ones", alone, beside, asked.Load())
	boundedHeap(t)
	close(stop)
	d.stop()
	wg.Wait()
	return alone, beside
}
