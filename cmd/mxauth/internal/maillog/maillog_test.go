package maillog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/maillog"
)

// brief is a log in one line a host: "example.org mx.example.org Verified=1".
func brief(l *maillog.Log) string {
	var b strings.Builder
	for _, d := range l.Domains {
		for _, h := range d.Hosts {
			fmt.Fprintf(&b, "%s %s", d.Name, h.Name)
			for t, n := range h.Sent {
				if n > 0 {
					fmt.Fprintf(&b, " %s=%d", maillog.TLS(t), n)
				}
			}
			b.WriteByte('\n')
		}
		if d.Deferred+d.Bounced > 0 {
			fmt.Fprintf(&b, "%s deferred=%d bounced=%d\n", d.Name, d.Deferred, d.Bounced)
		}
	}
	return b.String()
}

const relay = "mx.a.test[192.0.2.1]:25"

func TestRead(t *testing.T) {
	const head = "Nov  2 10:00:00 mail postfix/smtp[7]: "
	sent := func(to, relay, said string) string {
		return "4Xq: to=<" + to + ">, relay=" + relay + ", delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (" + said + ")\n"
	}
	established := func(word string) string {
		return word + " TLS connection established to " + relay + ": TLSv1.3 with cipher X\n"
	}
	for _, x := range []struct{ about, log, want string }{
		{"verified", head + established("Verified") + head + sent("u@a.test", relay, "250 ok"), "a.test mx.a.test Verified=1\n"},
		{"trusted and untrusted", head + established("Trusted") + head + sent("u@a.test", relay, "250 ok") + head + established("Untrusted") + head + sent("u@A.test", relay, "250 ok"),
			"a.test mx.a.test Untrusted=1 Trusted=1\n"},
		{"RFC 3339 times", "2026-11-02T10:00:00.1+01:00 mail postfix/smtp[7]: " + sent("u@a.test", relay, "250 ok"), "a.test mx.a.test none=1\n"},
		{"without TLS", head + sent("u@a.test", relay, "250 ok"), "a.test mx.a.test none=1\n"},
		{"TLS of another process", "Nov 12 10:00:00 mail postfix/smtp[8]: " + established("Verified") + head + sent("u@a.test", relay, "250 ok"), "a.test mx.a.test none=1\n"},
		{"TLS with another host", head + established("Verified") + head + sent("u@a.test", "mx2.a.test[192.0.2.2]:25", "250 ok"), "a.test mx2.a.test none=1\n"},
		{"TLS of the delivery before", head + established("Verified") + head + sent("u@a.test", relay, "x") + head + sent("u@a.test", relay, "x"), "a.test mx.a.test none=1 Verified=1\n"},
		{"deferred", head + "4Xq: to=<u@a.test>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect to mx)\n", "a.test deferred=1 bounced=0\n"},
		{"bounced", head + "4Xq: to=<u@a.test>, relay=" + relay + ", dsn=5.1.1, status=bounced (host said: 550)\n", "a.test deferred=0 bounced=1\n"},
		{"another address before", head + "4Xq: to=<u@a.test>, orig_to=<\"x>, relay=evil[1]:25, status=sent\"@b.test>, relay=" + relay + ", status=sent (250 ok)\n", ""},
		{"another program", "Nov  2 10:00:00 mail postfix/lmtp[7]: " + sent("u@a.test", relay, "250 ok"), ""},
		{"another instance", "Nov  2 10:00:00 mail postfix-in/smtp[7]: " + sent("u@a.test", relay, "250 ok"), ""},
		{"the phrase in a reply", head + "4Xq: to=<u@a.test>, relay=" + relay + ", status=sent (250 Verified TLS connection established to " + relay + ": x)\n" + head + sent("u@a.test", relay, "x"), "a.test mx.a.test none=2\n"},
		{"a delivery in a reply", head + "4Xq: host " + relay + " said: 450 postfix/smtp[7]: 4Xq: to=<u@b.test>, relay=" + relay + ", status=sent (x)\n", ""},
		{"the program in a reply", "Nov  2 10:00:00 mail other[1]: postfix/smtp[7]: " + sent("u@a.test", relay, "250 ok"), ""},
		{"no status", head + "4Xq: to=<u@a.test>, relay=" + relay + "\n", ""},
		{"no domain", head + sent("postmaster", relay, "250 ok"), ""},
		{"a line too long", head + sent("u@a.test", relay, strings.Repeat("x", maillog.MaxLine)) + head + sent("u@b.test", relay, "ok"), "b.test mx.a.test none=1\n"},
	} {
		l, err := maillog.Read(strings.NewReader(x.log), "postfix")
		if err != nil {
			t.Fatal(err)
		}
		if got := brief(l); got != x.want {
			t.Errorf("%s:\n%swant\n%s", x.about, got, x.want)
		}
	}
}

// endless yields deliveries to ever other domains.
type endless struct {
	n, end int
	rest   []byte
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.n == e.end {
			return 0, fmt.Errorf("the disk is gone")
		}
		e.rest = fmt.Appendf(nil, "Nov  2 10:00:00 mail postfix/smtp[%d]: 4Xq: to=<u@d%d.test>, relay=%s, status=sent (ok)\n", e.n, e.n, relay)
		e.n++
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestReadBounds(t *testing.T) {
	const most = 1000
	l, err := maillog.ReadAtMost(&endless{end: most + 5}, "postfix", most)
	if err == nil || len(l.Domains) != most || l.TooMany != 5 {
		t.Errorf("%d domains, %d too many, %v", len(l.Domains), l.TooMany, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("Nov  2 10:00:00 mail postfix/smtp[7]: 4Xq: to=<u@a.test>, orig_to=<x>, relay=mx[1]:25, status=sent (ok)\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := maillog.Read(strings.NewReader(text), "postfix")
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		for _, d := range l.Domains {
			n, _ := d.Sent()
			sent += n
			if d.Name == "" {
				t.Error("a domain without a name")
			}
		}
		if sent != l.Deliveries {
			t.Errorf("%d deliveries, %d of domains", l.Deliveries, sent)
		}
	})
}
