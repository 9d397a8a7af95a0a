package socketmap_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/socketmap"
	"github.com/mxauth/mxauth/internal/servetest"
)

// inTime runs f with a connection to a server, in imitated time.
func inTime(t *testing.T, c socketmap.Config, f func(t *testing.T, s *socketmap.Server, c net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c.Maps = map[string]string{"QUERY": "plain"}
		s := socketmap.New(c)
		client := servetest.StartPipes(t, s).Dial()
		f(t, s, client)
		client.Close()
	})
}

// closedAfter waits until the server closes the connection, and returns when that is.
func closedAfter(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	begun := time.Now()
	c.SetReadDeadline(begun.Add(time.Hour))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	return time.Since(begun)
}

// A connection without a request is closed after the idle timeout and not before, which is longer
// than the 10 s for which Postfix keeps one; each request begins the time again.
func TestIdle(t *testing.T) {
	inTime(t, socketmap.Config{Handler: &handler{}}, func(t *testing.T, _ *socketmap.Server, c net.Conn) {
		r := bufio.NewReader(c)
		for range 20 {
			time.Sleep(socketmap.DefaultIdle - 10*time.Second)
			io.WriteString(c, netstring("QUERY warm"))
			if got := read(t, r); got != "OK plain/warm" {
				t.Fatal(got)
			}
		}
		if d := closedAfter(t, c); d < socketmap.DefaultIdle-5*time.Second || d > socketmap.DefaultIdle {
			t.Errorf("closed after %v", d)
		}
	})
}

// A request that does not arrive in full is given up after 10 s, however slowly its bytes come, and
// the ones before it are answered.
func TestIncomplete(t *testing.T) {
	inTime(t, socketmap.Config{Handler: &handler{}}, func(t *testing.T, _ *socketmap.Server, c net.Conn) {
		r := bufio.NewReader(c)
		io.WriteString(c, netstring("QUERY warm")+"9000:QUERY ")
		if got := read(t, r); got != "OK plain/warm" {
			t.Fatal(got)
		}
		begun := time.Now()
		for range 60 {
			time.Sleep(time.Second)
			if _, err := io.WriteString(c, "x"); err != nil {
				break
			}
		}
		if d := time.Since(begun); d < 9*time.Second || d > 12*time.Second {
			t.Errorf("given up after %v", d)
		}
	})
}

// A client that takes no reply is cut off after at most 20 s, and a request of a known length is not
// waited for in memory: 10,000 bytes is the most.
func TestTakesNoReply(t *testing.T) {
	inTime(t, socketmap.Config{Handler: large{strings.Repeat("x", 1000)}}, func(t *testing.T, s *socketmap.Server, c net.Conn) {
		io.WriteString(c, netstring("QUERY a"))
		begun := time.Now()
		for s.Conns() > 0 && time.Since(begun) < time.Minute {
			time.Sleep(time.Second)
		}
		if d := time.Since(begun); d < 10*time.Second || d > 21*time.Second {
			t.Errorf("cut off after %v", d)
		}
	})
	inTime(t, socketmap.Config{Handler: &handler{}}, func(t *testing.T, _ *socketmap.Server, c net.Conn) {
		io.WriteString(c, "10001:")
		if d := closedAfter(t, c); d != 0 {
			t.Errorf("a request of 10,001 bytes was waited for, for %v", d)
		}
	})
}

// The clock of replies is not that of the connection: one that jumps a day closes none.
func TestClockOfReplies(t *testing.T) {
	for _, jump := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		var off time.Duration
		clock := func() time.Time { return time.Now().Add(off) }
		inTime(t, socketmap.Config{Handler: &handler{}, Now: clock}, func(t *testing.T, _ *socketmap.Server, c net.Conn) {
			r := bufio.NewReader(c)
			for i := range 6 {
				if i == 2 {
					off = jump
				}
				io.WriteString(c, netstring("QUERY warm"))
				if got := read(t, r); got != "OK plain/warm" {
					t.Fatal(got)
				}
				time.Sleep(time.Minute)
			}
			if d := closedAfter(t, c); d > socketmap.DefaultIdle {
				t.Errorf("closed after %v", d)
			}
		})
	}
}
