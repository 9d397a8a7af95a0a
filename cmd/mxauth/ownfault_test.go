package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab"
)

// TestOwnFaults: what is wrong on the side of who asks is not told as a fault of the domain,
// and the answer says what to type.
func TestOwnFaults(t *testing.T) {
	good := lab.World{Name: "good", Domain: "good.test", Hosts: []lab.Host{{Name: "mx.good.test", Pref: 10, TLSA: []string{"3 1 1 leaf"}}}}
	six := lab.World{Name: "six", Domain: "six.test", Hosts: []lab.Host{{Name: "mx.six.test", Pref: 10, V6: true, NoV4: true, TLSA: []string{"3 1 1 leaf"}}}}
	picky := lab.World{Name: "picky", Domain: "picky.test", Hosts: []lab.Host{{Name: "mx.picky.test", Pref: 10, SMTP: lab.SMTP{State: lab.EHLO550}}}}
	l := startLab(t, []lab.World{good, six, picky}, time.Now)
	fails := func(err error) func(context.Context, netip.AddrPort) (net.Conn, error) {
		return func(_ context.Context, a netip.AddrPort) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(a), Err: err}
		}
	}
	late := func() time.Time { return time.Now().AddDate(3, 0, 0) }
	early := func() time.Time { return time.Now().AddDate(-3, 0, 0) }
	for name, c := range map[string]struct {
		domain string
		dial   func(context.Context, netip.AddrPort) (net.Conn, error)
		now    func() time.Time
		args   []string
		code   int
		says   []string
		owner  bool // the owner of the domain is told to look as well: it is not known whose fault it is
	}{
		"a clock that is fast":    {"good.test", l.Dial, late, nil, exitUnavailable, []string{"clock of this machine says", "it is probably wrong", "says nothing about the domain", "timedatectl"}, false},
		"a clock that is slow":    {"good.test", l.Dial, early, nil, exitUnavailable, []string{"clock of this machine says", "timedatectl"}, false},
		"the resolver strips":     {"good.test", l.Dial, time.Now, []string{"--resolver", l.Strips().String()}, exitUnavailable, []string{"removes the DNSSEC signatures", "--resolver ADDR", "says nothing about the domain"}, false},
		"the resolver is down":    {"good.test", l.Dial, time.Now, []string{"--resolver", "127.0.0.1:1"}, exitUnavailable, []string{"cannot be reached", "--resolver ADDR"}, false},
		"other trust anchors":     {"good.test", l.Dial, time.Now, []string{"--trust-anchor", testFile(t, "other.ds", []byte(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"))}, exitUnavailable, []string{"do not fit the trust anchor of this machine", "--trust-anchor FILE"}, false},
		"no IPv6":                 {"six.test", fails(syscall.ENETUNREACH), time.Now, nil, exitDeferred, []string{"This machine has no way to IPv6 addresses", "says nothing about the domain", "ip -6 route"}, false},
		"port 25 is blocked":      {"good.test", fails(context.DeadlineExceeded), time.Now, nil, exitDeferred, []string{"no answer in time", "this network blocks port 25", "nc -vz"}, true},
		"a short name in EHLO":    {"picky.test", l.Dial, time.Now, []string{"--helo", "box"}, exitDeferred, []string{"gave its name as \"box\"", "--helo NAME"}, true},
		"a name that is accepted": {"picky.test", l.Dial, time.Now, []string{"--helo", "mail.example.net"}, exitDeferred, []string{"550"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			flags := slices.Clone(l.flags)
			for i := 0; i+1 < len(c.args); i += 2 { // in place of the lab's
				if n := slices.Index(flags, c.args[i]); n >= 0 {
					flags[n+1] = c.args[i+1]
				} else {
					flags = append(flags, c.args[i], c.args[i+1])
				}
			}
			out, said, code := inProcess(t, c.dial, c.now, slices.Concat([]string{"check", "--timeout", "2s"}, flags, []string{c.domain})...)
			text := strings.Join(strings.Fields(out), " ")
			for _, want := range c.says {
				if !strings.Contains(text, want) {
					t.Errorf("lacks %q", want)
				}
			}
			if code != c.code || strings.Contains(text, "for the owner") != c.owner || !strings.Contains(text, "not delivered now; the message stays queued") {
				t.Errorf("exit status %d, want %d", code, c.code)
			}
			if t.Failed() {
				t.Logf("%s%s", out, said)
			}
		})
	}
}
