package socketmap_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/socketmap"
	"github.com/mxauth/mxauth/internal/servetest"
)

// A speaker answers each request on a connection with the next of its texts, and closes the
// connection after the last.
func speaker(t *testing.T, texts ...string) (network, address string) {
	t.Helper()
	return "tcp", servetest.TCP(t, func(c net.Conn) {
		b := make([]byte, 4096)
		for _, text := range texts {
			if _, err := c.Read(b); err != nil {
				return
			}
			if _, err := c.Write([]byte(text)); err != nil {
				return
			}
		}
	})
}

func TestClient(t *testing.T) {
	long := strings.Repeat("x", 99_997)
	for _, x := range []struct {
		says, status, text, fails string
	}{
		{says: "14:OK secure name,", status: socketmap.OK, text: "secure name"},
		{says: "9:NOTFOUND ,", status: socketmap.NotFound},
		{says: "8:NOTFOUND,", status: socketmap.NotFound},
		{says: "9:TEMP slow,", status: socketmap.Temp, text: "slow"},
		{says: "12:TIMEOUT slow,", status: socketmap.Timeout, text: "slow"},
		{says: "7:PERM no,", status: socketmap.Perm, text: "no"},
		{says: "100000:OK " + long + ",", status: socketmap.OK, text: long},
		{says: "100001:OK " + long + "x,", fails: "Postfix takes 100000 bytes"},
		{says: "9999999:", fails: "in the length"},
		{says: "HTTP/1.1 400 Bad Request\r\n", fails: "'H' in the length"},
		{says: ":,", fails: "of length"},
		{says: "2:OK,", fails: "begins with none"},
		{says: "4:MAYB,", fails: "begins with none"},
		{says: "3:OK x", fails: "no comma"},
		{says: "30:OK too short,", fails: "in the middle of a reply"},
		{says: "", fails: "without a reply"},
	} {
		c := socketmap.Client{Time: 10 * time.Second}
		c.Network, c.Address = speaker(t, x.says)
		r, err := c.Ask(t.Context(), "QUERY", "example.org")
		switch {
		case x.fails == "":
			if err != nil || r.Status != x.status || r.Text != x.text {
				t.Errorf("%.40q: %q %.40q, %v", x.says, r.Status, r.Text, err)
			}
		case err == nil || !strings.Contains(err.Error(), x.fails):
			t.Errorf("%.40q: %q, %v; want %q", x.says, r.Status, err, x.fails)
		}
		c.Close()
	}
}

// A connection is used again, and opened once more when the server has closed it.
func TestClientAgain(t *testing.T) {
	c := socketmap.Client{Time: 10 * time.Second}
	defer c.Close()
	c.Network, c.Address = speaker(t, "8:OK first,", "9:OK second,")
	for _, want := range []string{"first", "second", "first", "second"} {
		if r, err := c.Ask(t.Context(), "QUERY", "example.org"); err != nil || r.Text != want {
			t.Fatalf("%q, %v; want %q", r.Text, err, want)
		}
	}
}

// Each way in which a server gives no reply has its error, in plain words.
func TestClientNoReply(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	_, closes := speaker(t, "")
	_, cuts := speaker(t, "9:NOT")
	dir := t.TempDir()
	unread, err := net.Listen("unix", filepath.Join(dir, "unread"))
	if err != nil {
		t.Fatal(err)
	}
	servetest.Connections(t, unread, func(net.Conn) {})
	for _, x := range []struct {
		network, address string
		is               error
		text             string
	}{
		{"tcp", silent.Addr().String(), socketmap.ErrSilent, "no answer in time (100ms)"},
		{"tcp", closes, socketmap.ErrClosed, "connection closed without a reply"},
		{"tcp", cuts, socketmap.ErrCut, "connection closed in the middle of a reply"},
		{"unix", unread.Addr().String(), socketmap.ErrUnread, "connection closed before the question was read"},
		{"tcp", gone.Addr().String(), syscall.ECONNREFUSED, "connection refused"},
		{"unix", filepath.Join(dir, "none"), fs.ErrNotExist, "no such socket"},
	} {
		t.Run(x.text, func(t *testing.T) {
			c := socketmap.Client{Network: x.network, Address: x.address, Time: 10 * time.Second}
			if x.is == socketmap.ErrSilent {
				c.Time = 100 * time.Millisecond
			}
			defer c.Close()
			if _, err := c.Ask(t.Context(), "QUERY", "example.org"); !errors.Is(err, x.is) || err.Error() != x.text {
				t.Errorf("%v, want %q", err, x.text)
			}
		})
	}
}

// A connection that is not opened in time is no silence of a server that is there.
func TestConnectErrorTimeout(t *testing.T) {
	err := &socketmap.ConnectError{Cause: &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}}
	if got := err.Error(); got != "no connection in time" || errors.Is(err, socketmap.ErrSilent) {
		t.Error(got)
	}
}

// A question ends with the cause of its context.
func TestClientCancelled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := socketmap.Client{Network: "tcp", Address: l.Addr().String(), Time: 10 * time.Second}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for range 2 { // while it waits, and before it connects
		if _, err := c.Ask(ctx, "QUERY", "example.org"); err != context.DeadlineExceeded {
			t.Errorf("%v", err)
		}
	}
}
