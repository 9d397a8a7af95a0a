package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

// TestHELO: --helo is what every verb says in EHLO, and where a server refuses a short name
// the answer says so.
func TestHELO(t *testing.T) {
	l := startLab(t, []lab.World{labtest.World(t, "dane-ee")}, time.Now)
	var mu sync.Mutex
	var said []string
	picky := func(e *env) {
		e.dial = func(context.Context, netip.AddrPort) (net.Conn, error) {
			a, b := net.Pipe()
			go func() {
				defer b.Close()
				io.WriteString(b, "220 here\r\n")
				r := bufio.NewReader(b)
				ehlo, _ := r.ReadString('\n')
				mu.Lock()
				said = append(said, strings.TrimSpace(ehlo))
				mu.Unlock()
				if strings.Contains(ehlo, ".") {
					io.WriteString(b, "250 hello\r\n")
				} else {
					io.WriteString(b, "504 5.5.2 need a full name\r\n")
				}
				r.ReadString('\n')
				io.WriteString(b, "221 bye\r\n")
			}()
			return a, nil
		}
	}
	code, stdout, stderr := runMain(t, picky, append([]string{"check", "--helo", "box", "dane-ee.test"}, l.flags...)...)
	if code != exitDeferred || !strings.Contains(strings.Join(strings.Fields(stdout), " "), "504 5.5.2 need a full name") || !strings.Contains(strings.Join(strings.Fields(stdout), " "), `gave its name as "box"`) || !strings.Contains(stderr, "--helo NAME") {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = runMain(t, picky, append([]string{"check", "--helo", "bücher.example", "dane-ee.test"}, l.flags...)...)
	if code != exitRefused || strings.Contains(stderr, "--helo") {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	for _, verb := range [][]string{{"lint", "dane-ee.test"}, {"forecast", "dane-ee.test"}, {"tlsa", "check", "dane-ee.test"}, {"tlsa", "make", "mx.dane-ee.test"}} {
		mu.Lock()
		said = nil
		mu.Unlock()
		runMain(t, picky, append(append(verb, "--helo", "out.sender.example"), l.flags...)...)
		mu.Lock()
		if len(said) == 0 || said[0] != "EHLO out.sender.example" {
			t.Errorf("%q said %q", verb, said)
		}
		mu.Unlock()
	}
	for _, bad := range []string{"a b", "[x]", "x\r\nQUIT"} {
		if code, _, stderr := runMain(t, picky, "check", "--helo", bad, "dane-ee.test"); code != exitUsage || !strings.Contains(stderr, "--helo") {
			t.Errorf("%q: exit status %d, %s", bad, code, stderr)
		}
	}
	for _, bad := range []string{"0s", "-1s"} {
		if code, _, stderr := runMain(t, picky, "check", "--probe-time", bad, "dane-ee.test"); code != exitUsage || !strings.Contains(stderr, "--probe-time") {
			t.Errorf("%q: exit status %d, %s", bad, code, stderr)
		}
	}
}

// TestProbeTime: hosts that accept a connection and stay silent do not hold a check beyond
// the time for connecting, and those not reached are named as such.
func TestProbeTime(t *testing.T) {
	w := labtest.World(t, "dane-ee")
	host := w.Hosts[0]
	w.Hosts = nil
	for i := range 20 {
		h := host
		h.Name, h.Pref = fmt.Sprintf("mx%d.dane-ee.test", i), uint16(i)
		w.Hosts = append(w.Hosts, h)
	}
	l := startLab(t, []lab.World{w}, time.Now)
	var open sync.WaitGroup
	t.Cleanup(open.Wait)
	silent := func(e *env) {
		e.dial = func(context.Context, netip.AddrPort) (net.Conn, error) {
			a, b := net.Pipe()
			open.Go(func() { io.Copy(io.Discard, b) })
			return a, nil
		}
	}
	start := time.Now()
	code, stdout, stderr := runMain(t, silent, append([]string{"check", "--json", "--probe-time", "500ms", "dane-ee.test"}, l.flags...)...)
	if took := time.Since(start); took > 15*time.Second { // a minute without the limit
		t.Errorf("took %v", took)
	}
	if code != exitDeferred || strings.Count(stdout, `"reason_id":"not-tried"`) < 20 || !strings.Contains(stdout, "mx19.dane-ee.test was not tried to the end (the time for connecting to the hosts of the domain, 500ms, was over") {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
}
