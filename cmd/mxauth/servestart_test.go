package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkServeStart measures the built program: the time from its start to the first answer, and the
// memory of a daemon that was asked one question, without policies and with 100,000 of them in
// bolt:
//
//	go test ./cmd/mxauth -run '^$' -bench ServeStart -benchtime 1x
func BenchmarkServeStart(b *testing.B) {
	const rounds = 7
	program := build(b)
	for _, policies := range []int{0, 100_000} {
		b.Run(strconv.Itoa(policies), func(b *testing.B) {
			dir, err := os.MkdirTemp("", "mxb")
			if err != nil {
				b.Fatal(err)
			}
			defer os.RemoveAll(dir)
			store, socket, config := "bolt:"+filepath.Join(dir, "p.db"), filepath.Join(dir, "s"), filepath.Join(dir, "mxauth.toml")
			fillPolicies(b, program, store, policies)
			text := fmt.Sprintf("[resolver]\nservers = [\"127.0.0.1:1\"]\n[store]\npath = %q\n[serve]\ncontrol = %q\n[[listen]]\ndoor = \"socketmap\"\naddress = \"unix:%s\"\n",
				store, filepath.Join(dir, "c"), socket)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				var ms, mib []float64
				for range rounds {
					took, rss := startOnce(b, program, config, socket)
					ms, mib = append(ms, float64(took.Microseconds())/1000), append(mib, rss)
				}
				b.ReportMetric(median(ms), "ms")
				b.ReportMetric(median(mib), "MiB")
			}
		})
	}
}

// fillPolicies puts policies into a store, which it makes.
func fillPolicies(b *testing.B, program, store string, n int) {
	b.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	var in strings.Builder
	for i := range n {
		domain := fmt.Sprintf("domain-%d.example.org", i)
		fmt.Fprintf(&in, `{"v":1,"domain":%q,"id":"20260101","mode":"enforce","max_age":604800,"mx":["mx.%s"],"fetched":%q,"expires":%q,"failures":0,"policy":%q}`+"\n",
			domain, domain, now.Format(time.RFC3339), now.Add(604800*time.Second).Format(time.RFC3339),
			"version: STSv1\r\nmode: enforce\r\nmx: mx."+domain+"\r\nmax_age: 604800\r\n")
	}
	cmd := exec.Command(program, "cache", "import", "--store", store)
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d policies imported", n)) {
		b.Fatalf("%v: %.500s", err, out)
	}
}

// startOnce starts the daemon, asks it a question that needs no lookup, and stops it. It returns the
// time to the answer, and the memory in MiB a second later.
func startOnce(b *testing.B, program, config, socket string) (took time.Duration, mib float64) {
	b.Helper()
	cmd := exec.Command(program, "serve", "--config", config)
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	}()
	for {
		c, err := net.Dial("unix", socket)
		if err == nil {
			reply, err := askOn(c, bufio.NewReader(c), "QUERY", ".example.org")
			c.Close()
			if err != nil || reply != "NOTFOUND " {
				b.Fatalf("%q, %v", reply, err)
			}
			break
		}
		if time.Since(begun) > time.Minute {
			b.Fatal(err)
		}
		<-time.After(time.Millisecond)
	}
	took = time.Since(begun)
	<-time.After(time.Second)
	mib, err := resident(cmd.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	return took, mib
}

// resident returns the resident memory of a process in MiB.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}
