package socketmap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Timeout is the status of a reply by which a server says that it has given up. It counts as
// Temp; this server sends none.
const Timeout = "TIMEOUT "

// maxReply is the longest reply that Postfix takes, in bytes.
const maxReply = 100_000

// DefaultAskTime is how long Postfix waits for a reply.
const DefaultAskTime = 100 * time.Second

// Errors that [Client.Ask] wraps.
var (
	// ErrReply: what the server sent is no reply of a socketmap server.
	ErrReply = errors.New("not an answer of a policy server")
	// ErrClosed: the server read the question and closed the connection. Some servers do
	// that on a question that they do not like.
	ErrClosed = errors.New("connection closed without a reply")
	// ErrUnread: the server closed the connection and left the question unread.
	ErrUnread = errors.New("connection closed before the question was read")
	// ErrCut: the server closed the connection in the middle of a reply.
	ErrCut = errors.New("connection closed in the middle of a reply")
	// ErrSilent: the server took the connection and sent no reply within the time allowed.
	ErrSilent = errors.New("no answer in time")
)

// A ConnectError says that no connection to the server can be opened.
type ConnectError struct {
	Cause error // of package net
}

// Error returns the cause in plain words.
func (e *ConnectError) Error() string {
	var n net.Error
	switch {
	case errors.Is(e.Cause, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(e.Cause, fs.ErrNotExist):
		return "no such socket"
	case errors.Is(e.Cause, fs.ErrPermission):
		return "no permission to use the socket"
	case errors.Is(e.Cause, syscall.ENETUNREACH), errors.Is(e.Cause, syscall.EHOSTUNREACH):
		return "no route to the host"
	case errors.As(e.Cause, &n) && n.Timeout():
		return "no connection in time"
	}
	return e.Cause.Error()
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Cause }

// A Client asks the server at Network and Address, both as package net has them. It may be
// used by many goroutines at once; connections are used again. Close it after use.
type Client struct {
	Network, Address string
	Time             time.Duration // longest time for one question; 0: DefaultAskTime

	mu     sync.Mutex // guards what follows
	idle   []*clientConn
	closed bool
}

type clientConn struct {
	net.Conn
	r *bufio.Reader
}

// Ask asks a map for a key. It fails with a [*ConnectError] if the server cannot be reached,
// with an error that wraps one of the above if it sends no reply, and with the cause of ctx
// once ctx is done. A connection that was used before and is closed now is opened once more,
// as Postfix does.
func (c *Client) Ask(ctx context.Context, table, key string) (Reply, error) {
	parent, limit := ctx, c.Time
	if limit <= 0 {
		limit = DefaultAskTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		conn, used, err := c.open(ctx)
		switch {
		case parent.Err() != nil:
			if conn != nil {
				conn.Close()
			}
			return Reply{}, context.Cause(parent)
		case err != nil:
			return Reply{}, &ConnectError{err}
		}
		reply, err := conn.ask(ctx, table, key)
		if err == nil {
			c.put(conn)
			return reply, nil
		}
		conn.Close()
		switch {
		case parent.Err() != nil:
			return Reply{}, context.Cause(parent)
		case ctx.Err() != nil:
			return Reply{}, fmt.Errorf("%w (%v)", ErrSilent, limit)
		}
		if !used || errors.Is(err, ErrReply) {
			return Reply{}, err
		}
	}
}

// Close closes the connections that are not in use.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.idle {
		conn.Close()
	}
	c.idle = nil
}

func (c *Client) open(ctx context.Context) (conn *clientConn, used bool, err error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		conn, c.idle = c.idle[n-1], c.idle[:n-1]
	}
	c.mu.Unlock()
	if conn != nil {
		return conn, true, nil
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, c.Network, c.Address)
	if err != nil {
		return nil, false, err
	}
	return &clientConn{nc, bufio.NewReader(nc)}, false, nil
}

func (c *Client) put(conn *clientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return
	}
	c.idle = append(c.idle, conn)
}

func (c *clientConn) ask(ctx context.Context, table, key string) (Reply, error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := c.Write(appendNetstring(nil, table+" ", key))
	var b []byte
	if err == nil {
		b, err = readNetstring(c.r)
	}
	switch {
	case errors.Is(err, io.EOF):
		return Reply{}, ErrClosed
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return Reply{}, ErrUnread
	case err != nil:
		return Reply{}, err
	}
	for _, status := range []string{OK, NotFound, Temp, Perm, Timeout} {
		if text, ok := strings.CutPrefix(string(b), status); ok {
			return Reply{Status: status, Text: text}, nil
		}
		if string(b) == strings.TrimSpace(status) && status != OK {
			return Reply{Status: status}, nil
		}
	}
	return Reply{}, fmt.Errorf("%w: %.40q begins with none of OK, NOTFOUND, TEMP, TIMEOUT, PERM", ErrReply, b)
}

// readNetstring reads a reply of at most maxReply bytes; room is made as the bytes come.
func readNetstring(r *bufio.Reader) ([]byte, error) {
	const maxDigits = 6 // of maxReply
	digits := make([]byte, 0, maxDigits)
	for {
		c, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == ':' {
			break
		}
		if c < '0' || c > '9' || len(digits) == maxDigits {
			return nil, fmt.Errorf("%w: %q in the length of a netstring", ErrReply, c)
		}
		digits = append(digits, c)
	}
	n, err := strconv.Atoi(string(digits))
	if err != nil || n > maxReply {
		return nil, fmt.Errorf("%w: a netstring of length %q; Postfix takes %d bytes", ErrReply, digits, maxReply)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) <= n:
		return nil, ErrCut
	case b[n] != ',':
		return nil, fmt.Errorf("%w: no comma after a netstring", ErrReply)
	}
	return b[:n], nil
}
