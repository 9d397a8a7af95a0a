package socketmap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Timeout is the status of a reply by which a server says that it has given up. It counts as
// Temp; this server sends none.
const Timeout = "TIMEOUT "

// maxReply is the longest reply that Postfix takes, in bytes.
const maxReply = 100_000

// DefaultAskTime is how long Postfix waits for a reply.
const DefaultAskTime = 100 * time.Second

// ErrReply is wrapped by the errors of [Client.Ask] about a reply that is none.
var ErrReply = errors.New("not an answer of a policy server")

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

// Ask asks a map for a key. It fails if the server cannot be reached, closes the connection
// without a reply, or sends one that wraps [ErrReply]. A connection that was used before and
// is closed now is opened once more, as Postfix does.
func (c *Client) Ask(ctx context.Context, table, key string) (Reply, error) {
	limit := c.Time
	if limit <= 0 {
		limit = DefaultAskTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		conn, used, err := c.open(ctx)
		if err != nil {
			return Reply{}, err
		}
		reply, err := conn.ask(ctx, table, key)
		if err == nil {
			c.put(conn)
			return reply, nil
		}
		conn.Close()
		if !used || errors.Is(err, ErrReply) || ctx.Err() != nil {
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
	case ctx.Err() != nil:
		return Reply{}, context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return Reply{}, fmt.Errorf("the server has closed the connection without a reply: %w", io.ErrUnexpectedEOF)
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
		return nil, io.ErrUnexpectedEOF
	case b[n] != ',':
		return nil, fmt.Errorf("%w: no comma after a netstring", ErrReply)
	}
	return b[:n], nil
}
