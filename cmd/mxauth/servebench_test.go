package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/daemon"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/settings"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// benchServer in the environment makes the test program a server to measure: "mxauth" or
// "echo", and the folder of its sockets.
const benchServer = "MXAUTH_BENCH_SERVER"

// benchDomains is the number of domains that are kept.
const benchDomains = 40_000

func benchKey(i int) string { return fmt.Sprintf("domain-%d.example.org", i) }

// benchResolver knows every domain: an unsigned MX with one host.
type benchResolver struct{}

func (benchResolver) Resolve(_ context.Context, q dnssec.Question) (dnssec.Answer, error) {
	a := dnssec.Answer{Question: q, Final: q.Name, Received: time.Now(), Status: dnssec.Insecure, Expires: time.Now().Add(time.Hour)}
	name := q.Name.String()
	switch {
	case q.Type == dnssec.TypeMX:
		host, _ := rfc6125.ParseName("mx." + name)
		a.Kind, a.Records = dnssec.Data, []dnssec.Record{{Type: q.Type, TTL: 3600, Data: append([]byte{0, 10}, host.Wire()...)}}
	case q.Type == dnssec.TypeA:
		a.Kind, a.Records = dnssec.Data, []dnssec.Record{{Type: q.Type, TTL: 3600, Data: []byte{192, 0, 2, 1}}}
	default:
		a.Kind = dnssec.NoData
	}
	return a, nil
}

// benchSTS has a policy for every domain.
type benchSTS struct{}

func (benchSTS) result(domain rfc6125.Host) sts.Result {
	p, _ := sts.ParsePolicy([]byte("version: STSv1\nmode: enforce\nmx: mx." + domain.String() + "\nmx: *.mail." + domain.String() + "\nmax_age: 604800\n"))
	now := time.Now()
	return sts.Result{Row: sts.S5, ID: "20260101", Policy: &p, Cached: true, Fetched: now, Expires: now.Add(7 * 24 * time.Hour), Until: now.Add(time.Hour)}
}
func (s benchSTS) Lookup(_ context.Context, d rfc6125.Host) sts.Result { return s.result(d) }
func (s benchSTS) Cached(_ context.Context, d rfc6125.Host) (sts.Result, bool) {
	return s.result(d), true
}

// mainBenchServer is a server to measure, until it gets SIGUSR1.
func mainBenchServer() {
	kind, dir, ok := strings.Cut(os.Getenv(benchServer), ":")
	if !ok {
		return
	}
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	unix, tcp := filepath.Join(dir, kind), ""
	ready := func(addr string) {
		fail(os.WriteFile(filepath.Join(dir, kind+".tmp"), []byte(addr), 0o600))
		fail(os.Rename(filepath.Join(dir, kind+".tmp"), filepath.Join(dir, kind+".addr")))
	}
	if kind == "echo" {
		reply := []byte(netstringOf("OK " + os.Getenv("MXAUTH_BENCH_REPLY")))
		for _, network := range []string{"unix", "tcp"} {
			addr := unix
			if network == "tcp" {
				addr = "127.0.0.1:0"
			}
			l, err := net.Listen(network, addr)
			fail(err)
			if network == "tcp" {
				tcp = l.Addr().String()
			}
			go func() {
				for {
					c, err := l.Accept()
					fail(err)
					go echo(c, reply)
				}
			}()
		}
		ready(tcp)
		untilSignalled(kind)
	}
	e, err := engine.New(engine.Config{Resolver: benchResolver{}, STS: benchSTS{}})
	fail(err)
	log := slog.New(slog.NewTextHandler(io.Discard, nil)) // default logging: info, of which a warm answer has none
	metrics := daemon.NewMetrics()
	a := answers.New(answers.Config{Plan: e.Plan, Logger: log, Observe: metrics.Observe, Warm: metrics.Warm})
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			r := a.Answer(context.Background(), mtapolicy.Extended, benchKey(i))
			if r.Row != mtapolicy.P9 {
				fail(fmt.Errorf("%+v", r))
			}
		}
	}
	if kind == "growth" { // prints the resident bytes of a further domain, and ends
		debug.SetGCPercent(garbage)
		var at []float64
		for i := range 5 {
			fill(i*20_000, (i+1)*20_000)
			mib, err := resident(os.Getpid())
			fail(err)
			at = append(at, mib)
		}
		fmt.Println((at[4] - at[0]) * (1 << 20) / 80_000)
		fmt.Fprintln(os.Stderr, "MiB:", at)
		os.Exit(0)
	}
	fill(0, benchDomains)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	tcp = l.Addr().String()
	l.Close()
	d, err := daemon.Open(daemon.Config{Answers: a, Metrics: metrics, Logger: log, Settings: &settings.Settings{Listen: []settings.Listen{
		{Door: "socketmap", Address: "unix:" + unix}, {Door: "socketmap", Address: "inet:" + tcp}}}})
	fail(err)
	go func() { fail(d.Run(context.Background(), nil)) }()
	ready(tcp)
	untilSignalled(kind)
}

// untilSignalled ends the process at SIGUSR1, and writes a CPU profile until then into the folder of
// MXAUTH_BENCH_PROFILE.
func untilSignalled(kind string) {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGUSR1)
	if folder := os.Getenv("MXAUTH_BENCH_PROFILE"); folder != "" {
		file, err := os.Create(filepath.Join(folder, kind+".pprof"))
		if err == nil {
			err = pprof.StartCPUProfile(file)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	<-end
	pprof.StopCPUProfile()
	os.Exit(0)
}

func netstringOf(s string) string { return strconv.Itoa(len(s)) + ":" + s + "," }

// echo is the bare server: it finds the ends of the netstrings that came, and answers each with
// the same text; replies of one read are written together.
func echo(c net.Conn, reply []byte) {
	buf := make([]byte, 0, 2048)
	var out []byte
	for {
		n, err := c.Read(buf[len(buf):cap(buf)])
		if err != nil {
			c.Close()
			return
		}
		buf = buf[:len(buf)+n]
		b := buf
		out = out[:0]
		for {
			colon := bytes.IndexByte(b, ':')
			if colon < 0 {
				break
			}
			size, _ := strconv.Atoi(string(b[:colon]))
			if len(b) < colon+size+2 {
				break
			}
			b = b[colon+size+2:]
			out = append(out, reply...)
		}
		if _, err := c.Write(out); err != nil {
			c.Close()
			return
		}
		buf = append(buf[:0], b...)
	}
}

// A benchRun is what one round came to.
type benchRun struct {
	rate float64       // requests a second
	p99  time.Duration // of a request, or of a batch of depth
	cpu  time.Duration // of the server, for one request
}

// cpuOf is the processor time of a process.
func cpuOf(b *testing.B, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// load asks over conns connections, depth requests at a time.
func load(b *testing.B, network, addr string, conns, depth int, pid int, replySize int) benchRun {
	const during = 1500 * time.Millisecond
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []time.Duration
	count := 0
	before, begun := cpuOf(b, pid), time.Now()
	for w := range conns {
		wg.Go(func() {
			c, err := net.Dial(network, addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			r := bufio.NewReaderSize(c, 1<<16)
			var took []time.Duration
			n := 0
			var req []byte
			for time.Since(begun) < during {
				req = req[:0]
				for range depth {
					s := "QUERYwithTLSRPT " + benchKey(rnd.IntN(benchDomains))
					req = strconv.AppendInt(req, int64(len(s)), 10)
					req = append(req, ':')
					req = append(req, s...)
					req = append(req, ',')
				}
				at := time.Now()
				if _, err := c.Write(req); err != nil {
					b.Error(err)
					return
				}
				for range depth {
					size, err := r.ReadSlice(':')
					if err != nil {
						b.Error(err)
						return
					}
					k, _ := strconv.Atoi(string(size[:len(size)-1]))
					if k < replySize-40 {
						b.Errorf("a reply of %d bytes", k)
						return
					}
					if _, err := r.Discard(k + 1); err != nil {
						b.Error(err)
						return
					}
				}
				took = append(took, time.Since(at))
				n += depth
			}
			mu.Lock()
			defer mu.Unlock()
			all, count = append(all, took...), count+n
		})
	}
	wg.Wait()
	elapsed := time.Since(begun)
	cpu := cpuOf(b, pid) - before
	slices.Sort(all)
	if len(all) == 0 || count == 0 {
		b.Fatal("no answers")
	}
	return benchRun{float64(count) / elapsed.Seconds(), all[len(all)*99/100], cpu / time.Duration(count)}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkServeWarm compares warm answers of the daemon with those of a bare netstring server,
// in interleaved rounds, each server pinned to one core and the load to another (as far as the
// machine has two):
//
//	go test ./cmd/mxauth -run '^$' -bench ServeWarm -benchtime 1x
//
// MXAUTH_BENCH_PROFILE=DIR writes a CPU profile of each server into a folder, most useful with one of
// the loads, such as -bench ServeWarm/unix64.
func BenchmarkServeWarm(b *testing.B) {
	dir, err := os.MkdirTemp("", "mxb")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	pin(b, os.Getpid(), 1)
	defer pin(b, os.Getpid(), 0, 1)
	k := benchKey(12345)
	sample := "secure match=mx." + k + " servername=hostname protocols=>=TLSv1.2 policy_type=sts policy_domain=" + k + " { policy_string = version: STSv1 } { policy_string = mode: enforce } { policy_string = mx: mx." + k +
		" } { policy_string = mx: *.mail." + k + " } { policy_string = max_age: 604800 } mx_host_pattern=mx." + k + " mx_host_pattern=*.mail." + k
	pids, tcp := map[string]int{}, map[string]string{}
	for _, kind := range []string{"mxauth", "echo"} {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), asMxauth+"=1", benchServer+"="+kind+":"+dir, "MXAUTH_BENCH_REPLY="+sample, "GOMAXPROCS=1")
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Signal(syscall.SIGUSR1)
			_ = cmd.Wait()
		}()
		pids[kind] = cmd.Process.Pid
		pin(b, cmd.Process.Pid, 0)
		for begun := time.Now(); ; {
			addr, err := os.ReadFile(filepath.Join(dir, kind+".addr"))
			if err == nil {
				tcp[kind] = string(addr)
				break
			}
			if time.Since(begun) > time.Minute {
				b.Fatal(err)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	const rounds = 7
	for _, c := range []struct {
		name, network string
		conns, depth  int
	}{{"tcp64", "tcp", 64, 1}, {"unix64", "unix", 64, 1}, {"deep64", "tcp", 1, 64}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				var rate, p99, cpu, own []float64
				for range rounds {
					got := map[string]benchRun{}
					for _, kind := range []string{"echo", "mxauth"} {
						addr := tcp[kind]
						if c.network == "unix" {
							addr = filepath.Join(dir, kind)
						}
						got[kind] = load(b, c.network, addr, c.conns, c.depth, pids[kind], len(sample))
					}
					m, e := got["mxauth"], got["echo"]
					rate = append(rate, m.rate/e.rate)
					p99 = append(p99, float64(m.p99)/float64(e.p99))
					cpu = append(cpu, float64(m.cpu)/float64(e.cpu))
					own = append(own, float64(m.cpu))
				}
				b.ReportMetric(median(rate), "rate")
				b.ReportMetric(median(p99), "p99")
				b.ReportMetric(median(cpu), "cpu")
				b.ReportMetric(median(own), "server-ns")
			}
		})
	}
	if mib, err := resident(pids["mxauth"]); err == nil {
		b.Logf("resident: %.1f MiB", mib)
	}
}

// pin binds a process to processors.
func pin(b *testing.B, pid int, cpus ...int) {
	var list []string
	for _, c := range cpus {
		list = append(list, strconv.Itoa(c))
	}
	if out, err := exec.Command("taskset", "-a", "-p", "-c", strings.Join(list, ","), strconv.Itoa(pid)).CombinedOutput(); err != nil {
		b.Logf("not pinned: %v %s", err, out)
	}
}

// noSTS has no policy for any domain.
type noSTS struct{}

func (noSTS) Lookup(context.Context, rfc6125.Host) sts.Result {
	return sts.Result{Row: sts.S1, Until: time.Now().Add(time.Hour)}
}
func (noSTS) Cached(context.Context, rfc6125.Host) (sts.Result, bool) { return sts.Result{}, false }

// BenchmarkKeptResident measures what a kept domain costs a daemon with the plans and all else that
// it keeps: the slope of its resident memory from 20,000 to 100,000 domains.
func BenchmarkKeptResident(b *testing.B) {
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), asMxauth+"=1", benchServer+"=growth:"+b.TempDir())
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		slope, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(slope, "bytes/domain")
	}
}

// BenchmarkKeptBytes measures what a kept domain costs: the slope of the heap from 20,000 to
// 100,000 domains.
func BenchmarkKeptBytes(b *testing.B) {
	for name, client := range map[string]engine.STSClient{"mta-sts": benchSTS{}, "not-found": noSTS{}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				e, err := engine.New(engine.Config{Resolver: benchResolver{}, STS: client, CachedPlans: -1})
				if err != nil {
					b.Fatal(err)
				}
				a := answers.New(answers.Config{Plan: e.Plan})
				heap := func() uint64 {
					var m runtime.MemStats
					runtime.GC()
					runtime.GC()
					runtime.ReadMemStats(&m)
					return m.HeapAlloc
				}
				fill := func(from, to int) {
					for i := from; i < to; i++ {
						a.Answer(b.Context(), mtapolicy.Extended, benchKey(i))
					}
				}
				fill(0, 20_000)
				before := heap()
				fill(20_000, 100_000)
				n, estimated := a.Kept()
				b.ReportMetric(float64(heap()-before)/80_000, "bytes/domain")
				b.ReportMetric(float64(estimated)/float64(n), "estimated/domain")
				a.Close()
			}
		})
	}
}
