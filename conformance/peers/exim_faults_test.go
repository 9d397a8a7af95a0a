package peers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/internal/servetest"
)

// waits sends a message that must stay in the queue.
func (s *eximSite) waits(t *testing.T, from, domain string) {
	t.Helper()
	if f := s.Send(t, from+"@sender.example", "rcpt@"+domain); !f.Deferred || f.Delivered || f.Bounced {
		t.Errorf("%s: %s, has to wait\n%s", domain, f, f.Log)
	}
}

// goes sends a message that must be delivered, with the verification that Exim logs.
func (s *eximSite) goes(t *testing.T, from, domain, verified string) {
	t.Helper()
	if f := s.Send(t, from+"@sender.example", "rcpt@"+domain); !f.Delivered || f.Verified != verified {
		t.Errorf("%s: %s, has to be delivered with CV=%s\n%s", domain, f, verified, f.Log)
	}
}

// Of a host that is an alias Exim checks the name in the MX record.
func (s *eximSite) forgedAlias(t *testing.T) {
	if row := s.check("forged-alias.test"); row.Outcome != "refused" {
		t.Errorf("mxauth check: %+v", row)
	}
	s.waits(t, "forged-alias", "forged-alias.test")
}

// A connection that was opened for a domain without a policy is not used for one that has
// to be verified; with connections for more than one message it is.
func (s *eximSite) reuse(t *testing.T) {
	text := onLoopback(t, eximMain+blocks(t, "exim")+eximRetry)
	const line = "connection_max_messages = 1\n"
	for _, reused := range []bool{false, true} {
		if reused {
			defer s.Configure(t, text)
			s.Configure(t, strings.Replace(text, line, "", 1))
		}
		from := fmt.Sprintf("reused-%v", reused)
		s.forgetRetries(t)
		s.waits(t, from, "shared-sts.test")
		s.forgetRetries(t)
		s.goes(t, from+"-open", "shared-open.test", "no")
		f, err := s.Result(from + "@sender.example")
		if err != nil || f.Delivered != reused {
			t.Errorf("%q in the transport: %v; after a message of another domain: %s, %v", line, !reused, f, err)
		}
	}
}

// forgetRetries lets Exim connect again to a host that has failed.
func (s *eximSite) forgetRetries(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(s.Root.Dir + "/var/spool/exim4/db/retry*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// tlsaGone has the records removed while the answer of the daemon still says DANE.
func (s *eximSite) tlsaGone(t *testing.T) {
	world := "tlsa-gone-" + s.Root.Release
	for _, q := range []string{" ", " mx." + world + ".test"} {
		if got := s.ask(t, world+".test"+q); !strings.HasPrefix(got, "req=dane ") {
			t.Fatalf("%q", got)
		}
	}
	if err := s.lab.Forge(world); err != nil {
		t.Fatal(err)
	}
	s.waits(t, world, world+".test")
}

// ask asks the daemon as Exim does.
func (s *eximSite) ask(t *testing.T, question string) string {
	t.Helper()
	c, err := net.Dial("unix", s.Root.Dir+eximSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "mxauth %s\n", question); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// With a resolver that knows no DNSSEC no host can be verified by DANE: those messages wait,
// the others are delivered as ever.
func (s *eximSite) noDNSSEC(t *testing.T) {
	s.Resolver(t, s.lab.Strips().Addr().String())
	defer s.Resolver(t, s.lab.Resolver().Addr().String())
	s.waits(t, "no-dnssec-dane", "dane-ee.test")
	s.waits(t, "no-dnssec-ta", "dane-ta.test")
	s.goes(t, "no-dnssec-sts", "sts-enforce.test", "yes")
	s.goes(t, "no-dnssec-none", "classic.example", "no")
	// What the page warns of: with hosts_require_dane the message is returned.
	text, try := onLoopback(t, eximMain+blocks(t, "exim")+eximRetry), "  hosts_try_dane ="
	s.Configure(t, strings.Replace(text, try, "  hosts_require_dane = *\n"+try, 1))
	s.forgetRetries(t)
	if f := s.Send(t, "no-dnssec-require@sender.example", "rcpt@dane-ee.test"); !f.Bounced {
		t.Errorf("with hosts_require_dane: %s\n%s", f, f.Log)
	}
	s.Configure(t, text)
	// The same as without it where the C library keeps back what the resolver says.
	s.Write(t, "/etc/resolv.conf", "nameserver "+s.lab.Resolver().Addr().String()+"\n")
	s.forgetRetries(t)
	s.waits(t, "no-trust-ad-dane", "dane-ee.test")
	s.goes(t, "no-trust-ad-sts", "sts-enforce.test", "yes")
}

// exim4 -bt shows the cause for which a message waits.
func (s *eximSite) routed(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "chroot", s.Root.Dir, "/usr/sbin/exim4", "-bt", "rcpt@sts-no-match.test")
	out, err := cmd.CombinedOutput() // of an address that waits the exit status is 1
	if want := "mxauth: The MTA-STS policy of sts-no-match.test"; !strings.Contains(string(out), want) {
		t.Errorf("%v, %q, want %q", err, out, want)
	}
}

// noDaemon kills the daemon, and puts others in its place that hang or answer garbage.
func (s *eximSite) noDaemon(t *testing.T) {
	all := func(t *testing.T, why string, domains ...string) {
		t.Helper()
		s.forgetRetries(t)
		var g errgroup.Group
		for _, domain := range domains {
			g.Go(func() error {
				s.waits(t, why+"-"+domain, domain)
				return nil
			})
		}
		_ = g.Wait()
	}
	every := []string{"dane-ee.test", "sts-enforce.test", "classic.example", "mx-self.test"}
	two := every[1:3]
	s.daemon.Kill()
	t.Run("killed", func(t *testing.T) { all(t, "killed", every...) })
	for i, x := range []struct{ name, text string }{
		{"nothing", ""}, {"zeros", "\x00\x00\x00\n"}, {"no words", "what?\n"}, {"no value", "req=\n"}, {"another word", "req=verify\n"},
		{"capitals", "req=MAY\n"}, {"an expansion", "req=${if eq{a}{a}{may}}\n"}, {"braces", "}}{req=may\n"}, {"long", strings.Repeat("x", 100_000) + "\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			s.pretend(t, x.text, x.text)
			all(t, fmt.Sprint("garbage-", i), two...)
		})
		t.Run(x.name+" about hosts", func(t *testing.T) {
			s.pretend(t, "req=may\n", x.text)
			all(t, fmt.Sprint("garbage-host-", i), two...)
		})
	}
	// The page has 20 s, five times for a host: too long for a test.
	text := onLoopback(t, eximMain+blocks(t, "exim")+eximRetry)
	if strings.Count(text, "{20s:") != 2 {
		t.Fatal("the timeouts of docs/exim.md are others")
	}
	s.Configure(t, strings.ReplaceAll(text, "{20s:", "{1s:"))
	t.Run("hanging", func(t *testing.T) {
		s.pretend(t, hangs, hangs)
		all(t, "hanging", every...)
	})
	t.Run("hanging about hosts", func(t *testing.T) {
		s.pretend(t, "req=may\n", hangs)
		all(t, "hanging-host", "sts-enforce.test", "sts-testing.test")
	})
}

// hangs is the answer that does not come.
const hangs = "hangs"

// pretend listens in the daemon's place until the test ends, with an answer for domains and
// one for hosts.
func (s *eximSite) pretend(t *testing.T, domain, host string) {
	t.Helper()
	path := s.Root.Dir + eximSocket
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	servetest.Connections(t, ln, func(c net.Conn) {
		line, err := bufio.NewReader(c).ReadString('\n')
		answer := domain
		if len(strings.Fields(line)) == 3 {
			answer = host
		}
		if err != nil {
			return
		}
		if answer == hangs {
			<-ctx.Done()
			return
		}
		_, _ = io.WriteString(c, answer) // Exim may have gone
	})
	t.Cleanup(cancel) // runs before the connections are waited for
}

// eximAdds is what the questions may add to the delivery to a host with a warm daemon.
const eximAdds = 2 * time.Millisecond

// time counts the questions that Exim asks for a host, and measures what Exim takes to ask
// them: expansions of the lines of docs/exim.md by exim4 -be, less those of a constant.
func (s *eximSite) time(t *testing.T) {
	questions := 0
	s.forgetRetries(t)
	for name, verified := range map[string]string{"dane-ee.test": "dane", "sts-enforce.test": "yes", "sts-testing.test": "no"} {
		before := s.asked(t)
		s.goes(t, "time-"+name, name, verified)
		n := s.asked(t) - before
		t.Logf("%s: %d questions", name, n)
		questions = max(questions, n)
	}
	const name, host = "dane-ee.test", "mx.dane-ee.test"
	macro := regexp.MustCompile(`(?m)^MXAUTH_HOST = (.*)$`).FindStringSubmatch(blocks(t, "exim"))
	if macro == nil {
		t.Fatal("docs/exim.md has no MXAUTH_HOST")
	}
	ask := "${extract{req}{" + strings.NewReplacer("MXAUTH_SOCKET", eximSocket, "$domain", name, "$host", host).Replace(macro[1]) + "}}"
	const rounds = 1000
	run := func(line string) time.Duration {
		cmd := exec.CommandContext(t.Context(), "chroot", s.Root.Dir, "/usr/sbin/exim4", "-be")
		cmd.Stdin = strings.NewReader(strings.Repeat(line+"\n", rounds))
		begun := time.Now()
		out, err := cmd.Output()
		took := time.Since(begun)
		if n := strings.Count(string(out), "dane"); err != nil || n != rounds {
			t.Fatalf("%d of %d answers: %v", n, rounds, err)
		}
		return took
	}
	// The least of several runs: whatever else the machine does only adds.
	asking, not := time.Hour, time.Hour
	for range 5 {
		not = min(not, run("${extract{req}{req=dane}}"))
		asking = min(asking, run(ask))
	}
	each := (asking - not) / rounds
	adds := each * time.Duration(questions)
	t.Logf("at most %d questions to deliver to one host: %v, %v each", questions, adds, each)
	if questions < 4 || adds > eximAdds {
		t.Errorf("%d questions, %v more for a host", questions, adds)
	}
}

// asked is how many questions of Exim the daemon has answered.
func (s *eximSite) asked(t *testing.T) int {
	t.Helper()
	r, err := http.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile(`(?m)^mxauth_answers_total\{door="exim".*\} (\d+)$`).FindAllStringSubmatch(string(b), -1) {
		x, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		n += x
	}
	return n
}
