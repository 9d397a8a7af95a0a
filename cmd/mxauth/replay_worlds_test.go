package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/store"
)

// worldTimeout is that of one connection or question in TestReplayEveryWorld: what a
// world came to does not matter there, only that the replay comes to the same.
const worldTimeout = 3 * time.Second

// TestReplayEveryWorld checks every world of the lab with both kinds of resolver, writes
// the evidence, reads it, and decides again: the whole answer is the same, the reasons and
// the trace of the hosts included.
func TestReplayEveryWorld(t *testing.T) {
	for _, mode := range []string{modeValidate, modeTrustAD} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := newReplayer(t, mode, lab.Worlds())
			var mu sync.Mutex // guards outcomes
			outcomes := map[string]int{}
			var g errgroup.Group
			g.SetLimit(24) // most wait for a timeout
			for _, w := range r.lab.Worlds() {
				g.Go(func() error {
					v, err := r.world(t.Context(), w)
					if err != nil {
						t.Errorf("%s: %v", w.Name, err)
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					outcomes[v.Summary.Outcome.String()]++
					return nil
				})
			}
			_ = g.Wait()
			for _, o := range []string{"authenticated", "encrypted", "cleartext", "refused", "deferred", "bounced"} {
				if outcomes[o] == 0 {
					t.Errorf("no world is %s: %v", o, outcomes)
				}
			}
			t.Logf("%v", outcomes)
		})
	}
}

// A replayer checks worlds and replays the evidence.
type replayer struct {
	lab     *testLab
	mode    string
	anchors []anchor.Anchor
	roots   *pkix.Roots
}

func newReplayer(t *testing.T, mode string, worlds []lab.World) *replayer {
	t.Helper()
	r := &replayer{lab: startLab(t, worlds, time.Now), mode: mode}
	var err error
	if r.anchors, err = anchor.Parse(strings.NewReader(r.lab.TrustAnchor())); err != nil {
		t.Fatal(err)
	}
	r.roots = pkix.NewRoots(r.lab.CA())
	return r
}

// A course is how one check goes: by which clock, and what happens on the way.
type course struct {
	now        func() time.Time
	record     *evidence.Recorder // nil: none
	exceptions func() *exception.Set
	asked      func(dnssec.Type)    // called when a DNS question is sent; nil: nothing happens
	dialled    func(netip.AddrPort) // called for each connection; nil: nothing happens
}

// world checks one world and replays it.
func (r *replayer) world(ctx context.Context, w lab.World) (*verdict, error) {
	return r.worldBy(ctx, w, course{now: time.Now, record: &evidence.Recorder{}})
}

// worldBy is world by a course, which the look at the world as it was does not take.
func (r *replayer) worldBy(ctx context.Context, w lab.World, c course) (*verdict, error) {
	kept, err := store.NewMemory(store.MemoryConfig{Now: c.now})
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	if w.Was != nil {
		if _, _, err := r.check(ctx, w, kept, course{now: func() time.Time { return c.now().Add(-w.Age.Duration()) }}); err != nil {
			return nil, err
		}
		if err := r.lab.Forge(w.Name); err != nil {
			return nil, err
		}
	}
	v, f, err := r.check(ctx, w, kept, c)
	if err != nil {
		return nil, err
	}
	return v, r.same(ctx, v, f)
}

// A hearingUpstream calls a function for each question.
type hearingUpstream struct {
	dnssec.Upstream
	asked func(dnssec.Type)
}

// Exchange implements [dnssec.Upstream].
func (u hearingUpstream) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	if u.asked != nil && len(query) > 16 {
		name, rest, err := wire.NameAt(query[12:])
		if err == nil && name.IsValid() && len(rest) >= 2 {
			u.asked(dnssec.Type(binary.BigEndian.Uint16(rest)))
		}
	}
	return u.Upstream.Exchange(ctx, query)
}

// check checks a world as it is now. Without a recorder there is no file.
func (r *replayer) check(ctx context.Context, w lab.World, kept store.Store, c course) (*verdict, *evidence.File, error) {
	front := r.lab.Plain()
	if r.mode == modeTrustAD {
		front = r.lab.Resolver()
	}
	srv, err := upstream.PlainServer(front)
	if err != nil {
		return nil, nil, err
	}
	client, err := upstream.New(upstream.Config{Servers: []upstream.Server{srv}, Timeout: worldTimeout})
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	var up dnssec.Upstream = hearingUpstream{client, c.asked}
	if c.record != nil {
		c.record.Now = c.now
		up = c.record.Upstream(up)
	}
	var source dnssec.Resolver
	if r.mode == modeTrustAD {
		source, err = dnssec.NewStub(dnssec.StubConfig{Upstream: up, TrustPath: true, Now: c.now})
	} else {
		source, err = dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: up, Anchors: r.anchors, Now: c.now})
	}
	if err != nil {
		return nil, nil, err
	}
	cached := dnssec.NewCached(source, dnssec.CacheConfig{Now: c.now})
	defer cached.Close()
	dial := func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		if c.dialled != nil {
			c.dialled(a)
		}
		return r.lab.Dial(ctx, a)
	}
	config := mxauth.Config{
		Resolver: cached, TrustAD: r.mode == modeTrustAD, Roots: r.roots, Record: c.record, Store: kept, AwaitPolicies: true,
		AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		Dial:           dial, Timeout: worldTimeout, Now: c.now, Exceptions: c.exceptions,
	}
	if err := worldSettings(w, &config); err != nil {
		return nil, nil, err
	}
	k, err := mxauth.New(config)
	if err != nil {
		return nil, nil, err
	}
	defer k.Close()
	req := requestOf(w)
	v, err := k.CheckRequest(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	return &verdict{Verdict: v, asked: req.NextHop}, k.Evidence(ctx, v), nil
}

// same replays a file, and says what differs from the verdict.
func (r *replayer) same(ctx context.Context, v *verdict, f *evidence.File) error {
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		return err
	}
	read, err := evidence.Read(&b)
	if err != nil {
		return err
	}
	again, err := read.Replay(ctx, evidence.ReplayConfig{Anchors: r.anchors, Roots: r.roots, AllowTrustAD: true})
	if err != nil {
		return err
	}
	if len(again.Differences)+len(again.Unasked)+len(again.Ignored) > 0 {
		return fmt.Errorf("differs: %q, not in the file: %q, not judged: %q", again.Differences, again.Unasked, again.Ignored)
	}
	was, is := v.checkRow(), (&verdict{Verdict: mxauth.NewVerdict(again.Plan, again.Hosts), asked: v.asked}).checkRow()
	if a, b := rowLines(was), rowLines(is); a != b {
		return fmt.Errorf("differs:\n%s", firstDifference(a, b))
	}
	return nil
}

// rowLines prints a row with a line for each field.
func rowLines(row checkRow) string {
	b, err := json.MarshalIndent(row, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// firstDifference shows where two texts differ first.
func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return strings.Join(slices.Concat(x[max(i-3, 0):i+1], y[i:i+1]), "\n")
		}
	}
	return fmt.Sprintf("%d lines, %d lines", len(x), len(y))
}

// TestReplayOfWhatEnds replays checks while which something ended: the replay decides by
// what held when the check decided, not by what held when it ended.
func TestReplayOfWhatEnds(t *testing.T) {
	named := func(name string, edits ...func(*lab.World)) lab.World {
		w := lab.World{
			Name: name, Domain: name + ".test", About: "something ends during the check",
			Zones: []lab.Zone{{Apex: name + ".test", Sign: lab.Unsigned}},
			Hosts: []lab.Host{{Name: "mx." + name + ".test", Pref: 10}},
		}
		for _, e := range edits {
			e(&w)
		}
		return w
	}
	body := func(w *lab.World, age int) *lab.STS {
		return &lab.STS{Body: lab.Body(fmt.Sprintf("version: STSv1\r\nmode: enforce\r\nmx: mx.%s\r\nmax_age: %d\r\n", w.Domain, age))}
	}
	selfSigned := func(w *lab.World) { w.Hosts[0].Chain = lab.Chain{By: lab.SelfSigned} }
	policy := func(age int) func(*lab.World) { return func(w *lab.World) { w.STS = body(w, age) } }
	kept := func(age int, ago time.Duration) func(*lab.World) {
		return func(w *lab.World) {
			w.Was = &lab.World{Zones: w.Zones, Hosts: []lab.Host{{Name: w.Hosts[0].Name, Pref: 10}}, STS: body(w, age)}
			w.STS = &lab.STS{Mode: "enforce", TXT: []string{}, HTTP: lab.HTTPRefused}
			w.Age = lab.Seconds(ago / time.Second)
		}
	}
	signed := func(w *lab.World) { w.Zones = nil; w.Hosts[0].TLSA = []string{"3 1 1 leaf"} }
	lasts := func(d time.Duration) func(*lab.World) {
		return func(w *lab.World) { w.Hosts[0].Chain.Ends = lab.Seconds(d / time.Second) }
	}
	const day = 86400
	cases := []struct {
		world   lab.World
		start   time.Duration // the clock's start, from now
		smtp    time.Duration // passes at the first connection to a mail host
		tlsa    time.Duration // passes when the TLSA question is sent, which is alone then
		outcome string
		reason  string
		trustAD string // the outcome under trust-ad, if it is another one
		except  time.Duration
	}{
		{world: named("zero-bad", policy(0), selfSigned), outcome: "refused"},
		{world: named("zero-good", policy(0)), outcome: "authenticated"},
		{world: named("seconds-bad", policy(5), selfSigned), smtp: 20 * time.Second, outcome: "refused"},
		{world: named("kept-ends", kept(day, 24*time.Hour-30*time.Second), selfSigned), smtp: 40 * time.Second, outcome: "deferred", reason: "plan-expired"},
		{world: named("kept-ended", kept(day, 24*time.Hour+30*time.Second), selfSigned), smtp: 40 * time.Second, outcome: "encrypted"},
		{world: named("plan-ends", kept(day, 24*time.Hour-30*time.Second)), smtp: 3 * time.Minute, outcome: "deferred", reason: "plan-expired"},
		{world: named("leaf-ends", policy(day), lasts(30*time.Second)), smtp: 45 * time.Second, outcome: "refused"},
		{world: named("leaf-lasts", policy(day), lasts(90*time.Second)), smtp: 45 * time.Second, outcome: "authenticated"},
		{world: named("signature-ends", signed), start: signatureLife - 20*time.Second, tlsa: 40 * time.Second, outcome: "deferred", trustAD: "authenticated"},
		{world: named("signature-lasts", signed), start: signatureLife - 80*time.Second, tlsa: 40 * time.Second, outcome: "authenticated"},
		{world: named("exception-ends", policy(day), selfSigned), smtp: 20 * time.Second, except: 10 * time.Second, outcome: "refused"},
		{world: named("exception-lasts", policy(day), selfSigned), smtp: 20 * time.Second, except: 30 * time.Second, outcome: "encrypted"},
		{world: named("exception-ended", policy(day), selfSigned), except: -10 * time.Second, outcome: "refused"},
	}
	var worlds []lab.World
	for _, c := range cases {
		worlds = append(worlds, c.world)
	}
	for _, mode := range []string{modeValidate, modeTrustAD} {
		r := newReplayer(t, mode, worlds)
		for _, c := range cases {
			t.Run(mode+"/"+c.world.Name, func(t *testing.T) {
				begin := time.Now().Add(c.start)
				var passed atomic.Int64
				now := func() time.Time { return begin.Add(time.Duration(passed.Load())) }
				var smtp, tlsa sync.Once
				run := course{now: now, record: &evidence.Recorder{}, dialled: func(a netip.AddrPort) {
					if a.Port() == 25 {
						smtp.Do(func() { passed.Add(int64(c.smtp)) })
					}
				}, asked: func(typ dnssec.Type) {
					if typ == dnssec.TypeTLSA {
						tlsa.Do(func() { passed.Add(int64(c.tlsa)) })
					}
				}}
				if c.except != 0 {
					set, err := exception.NewSet([]exception.Exception{{ID: "x", Domain: c.world.Domain, Reason: "a test", Author: "a tester", Ends: begin.Add(c.except)}})
					if err != nil {
						t.Fatal(err)
					}
					run.exceptions = func() *exception.Set { return set }
				}
				v, err := r.worldBy(t.Context(), c.world, run)
				if err != nil {
					t.Fatal(err)
				}
				want := c.outcome
				if mode == modeTrustAD && c.trustAD != "" {
					want = c.trustAD
				}
				if o := v.Summary.Outcome.String(); o != want || c.reason != "" && string(v.Summary.Reason.ID) != c.reason {
					t.Errorf("the check says %s (%s), want %s %s", o, v.Summary.Reason.ID, want, c.reason)
				}
			})
		}
	}
}

// signatureLife is how long the signatures of the lab last.
const signatureLife = 10 * 24 * time.Hour

// maxReplayMemory is what a replay may take, whatever the file is. The race detector keeps
// more than as much of its own.
var maxReplayMemory = func() int64 {
	if certtest.Race {
		return 256 << 20
	}
	return 128 << 20
}()

// statusFile in the environment makes the test program mxauth, and names a file for what
// /proc says of the process at its end. (The rusage of a process that was started by a large
// one is that of the large one.)
const statusFile = "MXAUTH_TEST_STATUS"

// runMeasured is mxauth in a process of its own.
func runMeasured(name string) (code int) {
	code = run(context.Background(), os.Args[1:], newEnv(os.Stdin, os.Stdout, os.Stderr, os.Getenv))
	b, err := os.ReadFile("/proc/self/status")
	if err == nil {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFault
	}
	return code
}

// replayApart replays a file in a process of its own and returns the most memory that it
// took.
func replayApart(t *testing.T, file string, args ...string) (rss int64, code int, stderr string) {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("how much memory a process took is not known here")
	}
	var errOut strings.Builder
	status := filepath.Join(t.TempDir(), "status")
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"replay", file}, args...)...)
	cmd.Env = append(os.Environ(), statusFile+"="+status)
	cmd.Stderr = &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	b, err := os.ReadFile(status)
	if err != nil {
		t.Fatalf("%v: %s", err, errOut.String())
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10, cmd.ProcessState.ExitCode(), errOut.String()
}

// TestReplayMemory measures the program: a file made by hand to take as much memory as it
// can, and the evidence of a domain of 64 hosts with 55 KB of TLSA records each.
func TestReplayMemory(t *testing.T) {
	t.Run("a list of empty objects", func(t *testing.T) {
		const head = `{"v":1,"at":"2026-01-02T03:04:05Z","mode":"validate","dns":[{}`
		file := testFile(t, "e.json", []byte(head+strings.Repeat(",{}", (evidence.MaxFile-len(head)-2)/3)+"]}"))
		rss, code, said := replayApart(t, file)
		t.Logf("%d MiB", rss>>20)
		if rss > maxReplayMemory || code != exitConfig || !strings.Contains(said, "not a file of evidence") {
			t.Errorf("%d MiB, exit status %d: %s", rss>>20, code, said)
		}
	})
	t.Run("a hostile domain", func(t *testing.T) {
		w := lab.World{Name: "wide", Domain: "wide.test", About: "64 hosts with 55 KB of TLSA records each", Want: lab.Want{Outcome: "refused"}}
		for i := range engine.MaxHosts {
			name := fmt.Sprintf("mx%d.wide.test", i)
			w.Hosts = append(w.Hosts, lab.Host{Name: name, Pref: 10})
			for k := range 90 {
				w.Records = append(w.Records, fmt.Sprintf("_25._tcp.%s. 300 IN TLSA 3 0 0 %04x%04x%s", name, i, k, strings.Repeat("ab", 600)))
			}
		}
		l := startLab(t, []lab.World{w}, nil)
		file := filepath.Join(t.TempDir(), "e.json")
		_, said, code := inProcess(t, l.Dial, time.Now, append(append([]string{"check", "--short", "--evidence", file}, l.flags...), w.Domain)...)
		if code > exitDeferred {
			t.Fatalf("exit status %d: %s", code, said)
		}
		rss, replayed, said := replayApart(t, file, "--trust-anchor", l.anchor, "--ca-file", l.ca, "--short")
		t.Logf("%d MiB, exit status %d: %.300s", rss>>20, replayed, said)
		if rss > maxReplayMemory || replayed > exitDiffers {
			t.Errorf("%d MiB, exit status %d: %s", rss>>20, replayed, said)
		}
	})
}
