package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"regexp"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
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
