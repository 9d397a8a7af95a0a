package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mxauth/mxauth/conformance/lab/labtest"
)

// socketKey is the key of a script's open collector.
type socketKey struct{}

// address is an address of the lab, which differs with the worlds before.
var address = regexp.MustCompile(`127\.[0-9]+\.[0-9]+\.[0-9]+`)

// openSocket is the script command collector: it opens a datagram socket as that of a
// TLSRPT collector, which ends with the script.
func openSocket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: collector PATH")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unixgram"})
	ts.Check(err)
	ts.Defer(func() { _ = conn.Close() })
	*ts.Value(socketKey{}).(**net.UnixConn) = conn
}

// readSocket is the script command collected: it takes what has come, without waiting, so
// what is not there when mxauth has ended was never sent. Keys and the lab's addresses
// become words.
func readSocket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: collected FILE")
	}
	raw, err := (*ts.Value(socketKey{}).(**net.UnixConn)).SyscallConn()
	ts.Check(err)
	var all bytes.Buffer
	buf := make([]byte, 1<<16)
	ts.Check(raw.Read(func(fd uintptr) bool {
		for {
			n, _, errno := syscall.Recvfrom(int(fd), buf, syscall.MSG_DONTWAIT)
			if errno != nil {
				err = errno
				return true
			}
			all.Write(append(buf[:n:n], '\n'))
		}
	}))
	if !errors.Is(err, syscall.EAGAIN) {
		ts.Fatalf("reading the socket: %v", err)
	}
	text := address.ReplaceAll(keys.ReplaceAll(all.Bytes(), []byte("HASH")), []byte("ADDRESS"))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}

// TestFullCollector: a collector that takes nothing away holds up no delivery, and is reported in
// one line.
func TestFullCollector(t *testing.T) {
	var stderr bytes.Buffer
	e := newEnv(strings.NewReader(""), io.Discard, &stderr, func(string) string { return "" })
	e.flags.dnssec = modeValidate
	d, err := e.startDemo(t.Context(), labtest.Worlds(t, "dane-ee"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	r, err := d.look(t.Context(), d.lab.Worlds()[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "collector")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := openCollector(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	r.verdict.record = "v=TLSRPTv1; rua=mailto:tls@dane-ee.test"
	start := time.Now()
	const most = 20000 // more than any queue holds
	for range most {
		if c.hand(r.verdict); c.lost == 3 {
			break
		}
	}
	if c.lost != 3 || c.sent == 0 || c.asking != c.sent+c.lost {
		t.Errorf("%d sessions were taken and %d lost, of %d", c.sent, c.lost, c.asking)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	c.tell(e.out)
	if got := stderr.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "mxauth: 3 sessions not taken by the TLSRPT collector, ") {
		t.Errorf("told as %q", got)
	}
}
