package socketmap_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/socketmap"
)

// large answers every key with a text that is as long as a reply can be.
type large struct{ text string }

func (h large) Cached(string, []byte, time.Time) (socketmap.Reply, bool) {
	return socketmap.Reply{Status: socketmap.OK, Text: h.text}, true
}
func (h large) Answer(context.Context, string, string) socketmap.Reply { return socketmap.Reply{} }

// A client that sends many requests and reads no reply costs a bounded amount of memory: of
// 100 such clients less than 32 MiB, though each has asked for 12 MB.
func TestSlowReaders(t *testing.T) {
	const clients = 100
	s, path := start(t, socketmap.Config{Handler: large{strings.Repeat("x", 90_000)}})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	requests := []byte(strings.Repeat(netstring("QUERY a.b"), 140)) // fits in the first read
	var conns []net.Conn
	for range clients {
		c, _ := dial(t, path)
		c.Write(requests)
		conns = append(conns, c)
	}
	// One that reads gets its answers meanwhile.
	c, r := dial(t, path)
	for range 20 {
		io.WriteString(c, netstring("QUERY a.b"))
		if got := read(t, r); len(got) != 90_003 {
			t.Fatal(len(got))
		}
	}
	if n := s.Conns(); n != clients+1 {
		t.Fatalf("%d connections", n)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 32<<20 {
		t.Errorf("%d MiB for %d clients that do not read", used>>20, clients)
	}
	for _, c := range conns {
		c.Close()
	}
}

// 5,000 connections of which half send nothing: the server holds no more than its limit, and
// each of the others is answered.
func TestManyConnections(t *testing.T) {
	const conns, limit = 5000, 1000
	s, path := start(t, socketmap.Config{Handler: &handler{}, MaxConns: limit})
	before := runtime.NumGoroutine()
	var silent []net.Conn
	defer func() {
		for _, c := range silent {
			c.Close()
		}
	}()
	for i := range conns / 2 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		silent = append(silent, c)
		if i%3 == 0 {
			io.WriteString(c, "17:QUERY") // and no more
		}
		d, r := dial(t, path)
		io.WriteString(d, netstring("QUERY warm"))
		if got := read(t, r); got != "OK plain/warm" {
			t.Fatal(got)
		}
		if i%2 == 0 {
			d.Close()
		} else {
			silent = append(silent, d)
		}
	}
	if n, evicted, refused := s.Counts(); n > limit || evicted == 0 || refused != 0 {
		t.Errorf("%d connections, %d evicted, %d refused", n, evicted, refused)
	}
	if n := runtime.NumGoroutine() - before; n > limit+50 {
		t.Errorf("%d goroutines for %d connections", n, limit)
	}
}

// Endless and garbage input ends the connection, and is never kept.
func TestGarbage(t *testing.T) {
	_, path := start(t, socketmap.Config{Handler: &handler{}})
	endless := map[string]string{
		"digits": "1", "zeros": "0", "colons": ":", "letters": "A", "bytes": "\xff", "requests without map": "1:x,",
		"requests with an unknown map": netstring("nomap x"), "lines": "QUERY a\n", "TLS": "\x16\x03\x01\x02\x00\x01",
	}
	var wg sync.WaitGroup
	for name, unit := range endless {
		wg.Go(func() {
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			go io.Copy(io.Discard, c)
			chunk := []byte(strings.Repeat(unit, 1+4096/len(unit)))
			ended := false
			for range 1024 { // 4 MB
				if _, err := c.Write(chunk); err != nil {
					ended = true
					break
				}
			}
			if wellFormed := strings.HasPrefix(name, "requests"); ended == wellFormed {
				t.Errorf("%s: ended %v", name, ended)
			}
		})
	}
	wg.Wait()
	// The server goes on.
	c, r := dial(t, path)
	io.WriteString(c, netstring("QUERY warm"))
	read(t, r)
}

// A client that has left makes room before any other, even if its questions are not
// answered yet.
func TestLeft(t *testing.T) {
	h := &handler{gate: make(chan struct{}), started: make(chan struct{}, 8)}
	s, path := start(t, socketmap.Config{Handler: h, MaxConns: 2})
	stay, stayR := dial(t, path)
	io.WriteString(stay, netstring("QUERY cold1"))
	<-h.started
	left, _ := dial(t, path)
	io.WriteString(left, netstring("QUERY cold2"))
	<-h.started
	left.Close()
	// The server sees that the client has left when it reads next, which is soon.
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, netstring("QUERY warm"))
		_, err = bufio.NewReader(c).ReadString(',')
		c.Close()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no room: %d connections", s.Conns())
		}
	}
	close(h.gate)
	if got := read(t, stayR); got != "NOTFOUND " {
		t.Error(got)
	}
}

// A server that is stopped under load answers every request that it has read, and a client
// that asks once more at its successor, as Postfix does, misses no answer.
func TestShutdownUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	file, err := l.File() // what systemd holds on to
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	serve := func() (*socketmap.Server, chan error) {
		l, err := net.FileListener(file)
		if err != nil {
			t.Fatal(err)
		}
		s := socketmap.New(socketmap.Config{Handler: &handler{}, Maps: map[string]string{"QUERY": "plain"}})
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		return s, done
	}
	s, done := serve()
	stop := make(chan struct{})
	progress := make(chan struct{})
	var wg sync.WaitGroup
	for client := range 16 {
		wg.Go(func() {
			var c net.Conn
			var r *bufio.Reader
			depth := 1 + client%4*16
			for i := 0; ; i++ {
				select {
				case <-stop:
					if c != nil {
						c.Close()
					}
					return
				default:
				}
				var req, want strings.Builder
				for j := range depth {
					req.WriteString(netstring(fmt.Sprintf("QUERY warm%d-%d", i, j)))
					want.WriteString(netstring(fmt.Sprintf("OK plain/warm%d-%d", i, j)))
				}
				got := make([]byte, want.Len())
				ok := false
				for try := 0; try < 2 && !ok; try++ {
					if c == nil {
						var err error
						if c, err = net.Dial("unix", path); err != nil {
							t.Error(err)
							return
						}
						c.SetDeadline(time.Now().Add(20 * time.Second))
						r = bufio.NewReader(c)
					}
					_, err := io.WriteString(c, req.String())
					if err == nil {
						_, err = io.ReadFull(r, got)
					}
					if ok = err == nil; !ok {
						c.Close()
						c = nil
					}
				}
				if !ok || string(got) != want.String() {
					t.Errorf("request %d without answer after two tries: %q", i, strings.TrimRight(string(got), "\x00"))
					return
				}
				select {
				case progress <- struct{}{}:
				case <-stop:
				}
			}
		})
	}
	for range 5 {
		for range 500 {
			<-progress
		}
		go func() { // until the next round, too
			for range 500 {
				select {
				case <-progress:
				case <-stop:
				}
			}
		}()
		next, nextDone := serve()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s, done = next, nextDone
	}
	close(stop)
	wg.Wait()
	s.Close()
	<-done
}

func FuzzNetstring(f *testing.F) {
	for _, s := range []string{"", "1:a,", "0:,", "3:abc", "10001:", "01:a,", "5:QUERY;", "12:QUERY a.test,x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		content, rest, need, err := socketmap.Cut(in)
		switch {
		case err != nil:
			if need != 0 || content != nil {
				t.Error("an error and a result")
			}
		case need > 0:
			if need <= len(in) || need > socketmap.MaxRequest+8 {
				t.Errorf("needs %d bytes, has %d", need, len(in))
			}
		default:
			if len(content) > socketmap.MaxRequest {
				t.Errorf("%d bytes", len(content))
			}
			if again := netstring(string(content)) + string(rest); again != string(in) {
				t.Errorf("%q reads as %q and %q", in, content, rest)
			}
		}
	})
}
