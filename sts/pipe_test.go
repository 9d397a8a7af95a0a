package sts_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipe is net.Pipe with room in both directions, as TCP has it: who writes does not
// wait for a reader. It works under synctest.
func pipe() (net.Conn, net.Conn) {
	a, b := newHalf(), newHalf()
	return &end{in: a, out: b}, &end{in: b, out: a}
}

// A half carries bytes in one direction.
type half struct {
	mu       sync.Mutex
	changed  *sync.Cond
	buf      bytes.Buffer
	closed   bool // by either side
	deadline time.Time
	timer    *time.Timer
}

// room is how much may wait to be read; enough for any handshake, too little for a
// body without end.
const room = 64 << 10

func newHalf() *half {
	h := &half{}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *half) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	h.changed.Broadcast()
}

func (h *half) setDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline = t
	if h.timer != nil {
		h.timer.Stop()
	}
	if d := time.Until(t); !t.IsZero() && d > 0 && !h.closed {
		h.timer = time.AfterFunc(d, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.changed.Broadcast()
		})
	}
	h.changed.Broadcast()
}

func (h *half) late() bool { return !h.deadline.IsZero() && !time.Now().Before(h.deadline) }

// An end is one end of a pipe.
type end struct {
	in, out *half
	mu      sync.Mutex
	writeBy time.Time
}

func (e *end) Read(p []byte) (int, error) {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	for {
		switch {
		case e.in.late():
			return 0, os.ErrDeadlineExceeded
		case e.in.buf.Len() > 0:
			n, err := e.in.buf.Read(p)
			e.in.changed.Broadcast()
			return n, err
		case e.in.closed:
			return 0, io.EOF
		}
		e.in.changed.Wait()
	}
}

func (e *end) Write(p []byte) (n int, err error) {
	e.mu.Lock()
	by := e.writeBy
	e.mu.Unlock()
	if !by.IsZero() {
		if d := time.Until(by); d > 0 {
			timer := time.AfterFunc(d, func() {
				e.out.mu.Lock()
				defer e.out.mu.Unlock()
				e.out.changed.Broadcast()
			})
			defer timer.Stop()
		}
	}
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	for len(p) > 0 {
		switch {
		case e.out.closed:
			return n, io.ErrClosedPipe
		case !by.IsZero() && !time.Now().Before(by):
			return n, os.ErrDeadlineExceeded
		case e.out.buf.Len() < room:
			k := min(len(p), room-e.out.buf.Len())
			e.out.buf.Write(p[:k])
			p, n = p[k:], n+k
			e.out.changed.Broadcast()
			continue
		}
		e.out.changed.Wait()
	}
	return n, nil
}

func (e *end) Close() error {
	e.in.close()
	e.out.close()
	return nil
}

func (e *end) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(9, 9, 9, 10), Port: 443} }
func (e *end) RemoteAddr() net.Addr { return e.LocalAddr() }

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.setDeadline(t)
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.mu.Lock()
	e.writeBy = t
	e.mu.Unlock()
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	e.out.changed.Broadcast()
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}
