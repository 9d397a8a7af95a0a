package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/internal/certtest"
	"github.com/mxauth/mxauth/internal/dnsfake/hostile"
)

// A program is the built program, with what it needs to look at a hostile world.
type program struct {
	t       *testing.T
	path    string
	world   *hostile.World
	args    []string
	cpu     time.Duration
	wall    time.Duration
	memory  int64 // bytes resident, at most
	sockets int   // open, at most
}

// build makes the program once.
func build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mxauth")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// against points the program at a world, whose answers it waits for so long.
func against(t *testing.T, path string, timeout time.Duration, domains ...hostile.Domain) *program {
	t.Helper()
	p := &program{t: t, path: path, world: hostile.New(t, domains...)}
	dir := t.TempDir()
	anchor, ca := filepath.Join(dir, "anchor"), filepath.Join(dir, "ca.pem")
	for file, text := range map[string]string{anchor: p.world.Anchor(), ca: string(certtest.Issue(certtest.Authority("unused"), nil).PEM())} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.args = []string{"check", "--json", "--resolver", p.world.Serve(t), "--trust-anchor", anchor, "--ca-file", ca, "--timeout", timeout.String()}
	return p
}

// A verdictRow is what the tests read of a line of --json.
type verdictRow struct {
	Domain  string
	Outcome string
	Reason  string
	Hosts   []struct{ Host, Requirement, Outcome, Reason string }
}

// run checks the domains and measures what that takes.
func (p *program) run(domains ...string) []verdictRow {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), p.path, append(p.args, "-")...)
	cmd.Stdin = strings.NewReader(strings.Join(domains, "\n") + "\n")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-tick.C:
			p.look(cmd.Process.Pid)
		}
	}
	p.wall = time.Since(begin)
	p.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	var rows []verdictRow
	for line := range strings.Lines(stdout.String()) {
		var r verdictRow
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			p.t.Fatalf("%v: %s", err, line)
		}
		rows = append(rows, r)
	}
	if len(rows) != len(domains) {
		p.t.Fatalf("%d lines for %d domains: %s\n%s", len(rows), len(domains), cmd.ProcessState, stderr.String())
	}
	return rows
}

// look notes the memory and the sockets that a process has now. The maximum that the
// system reports at its end is no use: it begins with that of the process that started it.
func (p *program) look(pid int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			p.memory = max(p.memory, kb<<10)
		}
	}
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	p.sockets = max(p.sockets, n)
}

// within fails the test if the run took more than it may.
func (p *program) within(cpu, wall time.Duration, mib int64) {
	p.t.Helper()
	sent, questions := p.world.Questions()
	p.t.Logf("cpu %v, wall %v, %d MiB, %d messages for %d questions, %d sockets", p.cpu, p.wall, p.memory>>20, sent, questions, p.sockets)
	if p.cpu > cpu || p.wall > wall || p.memory > mib<<20 {
		p.t.Errorf("cpu %v, wall %v, %d MiB; may be %v, %v, %d MiB", p.cpu, p.wall, p.memory>>20, cpu, wall, mib)
	}
}

// TestHostileDomains measures the built program against domains that cost as much as their
// owner can arrange (the bounds are those of table A).
func TestHostileDomains(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	path := build(t)
	const hosts = 64
	for _, tt := range []struct {
		id        string
		domain    hostile.Domain
		patience  time.Duration
		cpu, wall time.Duration
		mib       int64
	}{
		{"A1 traps in every zone", hostile.Domain{Depth: 8, Trap: true, TrapAll: true}, 5 * time.Second, time.Second, 15 * time.Second, 64},
		{"A1 traps in the zones of the hosts", hostile.Domain{Depth: 8, Trap: true}, 5 * time.Second, time.Second, 15 * time.Second, 64},
		{"A2 large answers, asked for ahead", hostile.Domain{Depth: 14, Fat: true}, 5 * time.Second, time.Second, 15 * time.Second, 96},
		{"A3 silence", hostile.Domain{Depth: 1, Silent: true}, time.Second, time.Second, 35 * time.Second, 64},
		{"A3 a chain of zones for each host", hostile.Domain{Depth: 14}, 5 * time.Second, time.Second, 15 * time.Second, 64},
		{"1,000 TLSA records at each host", hostile.Domain{Depth: 1, TLSA: 1000}, 5 * time.Second, 2 * time.Second, 35 * time.Second, 96},
	} {
		t.Run(tt.id, func(t *testing.T) {
			d := tt.domain
			d.Name, d.Hosts = "hostile.test", hosts
			p := against(t, path, tt.patience, d)
			row := p.run(d.Name)[0]
			p.within(tt.cpu, tt.wall, tt.mib)
			if sent, questions := p.world.Questions(); questions > 500 || sent > 1500 || p.sockets > 128 {
				t.Errorf("%d messages for %d questions, %d sockets", sent, questions, p.sockets)
			}
			if row.Outcome != "deferred" {
				t.Errorf("%s: %s", row.Outcome, row.Reason)
			}
			for _, h := range row.Hosts {
				if h.Outcome != "deferred" {
					t.Errorf("%s: %s: %s", h.Host, h.Outcome, h.Reason)
				}
			}
		})
	}
	t.Run("16 hostile and 16 honest domains side by side", func(t *testing.T) {
		vices := []hostile.Domain{{Hosts: 16, Depth: 2, Trap: true}, {Hosts: 16, Depth: 6, Fat: true}, {Hosts: hosts, Depth: 14}, {Hosts: hosts, Depth: 1, Silent: true}}
		var domains []hostile.Domain
		var names []string
		for i := range 16 {
			d := vices[i%len(vices)]
			d.Name = fmt.Sprintf("hostile%d.test", i)
			domains = append(domains, d, hostile.Domain{Name: fmt.Sprintf("honest%d.test", i), Hosts: 4, Depth: 1})
			names = append(names, d.Name, fmt.Sprintf("honest%d.test", i))
		}
		p := against(t, path, patience(t, path), domains...)
		rows := p.run(names...)
		p.within(16*time.Second, 90*time.Second, 256)
		for _, row := range rows {
			if !strings.HasPrefix(row.Domain, "honest") {
				continue
			}
			if len(row.Hosts) != 4 {
				t.Errorf("%s: %s", row.Domain, row.Reason)
			}
			for _, h := range row.Hosts {
				if h.Requirement != "dane" {
					t.Errorf("%s %s: %s %s", row.Domain, h.Host, h.Requirement, h.Reason)
				}
			}
		}
	})
}

// patience is how long an answer may take while hostile domains are looked up: 3 s, or
// 30 times what one honest domain takes alone, where the machine is so
// busy that this is more.
func patience(t *testing.T, path string) time.Duration {
	p := against(t, path, 20*time.Second, hostile.Domain{Name: "honest.test", Hosts: 4, Depth: 1})
	p.run("honest.test")
	return min(max(3*time.Second, 30*p.wall), 15*time.Second)
}
