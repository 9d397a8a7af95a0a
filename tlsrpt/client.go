package tlsrpt

import (
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxauth/mxauth/internal/fault"
)

// ErrSession: the session given to [Client.Send] is not one that can be reported. It is
// a mistake of the caller.
var ErrSession = fault.New("tlsrpt", "session cannot be reported")

// ErrDropped: the collector did not take a datagram: it is not there, its queue is
// full, or the datagram is too large. Nothing is retried; it is counted.
var ErrDropped = fault.New("tlsrpt", "datagram dropped")

// maxDatagram bounds one datagram; libtlsrpt's own buffer holds 65,000 octets.
const maxDatagram = 65000

// writeTimeout bounds one write. A datagram to a local socket goes out at once or
// never; the write is non-blocking in spirit and ends by this.
const writeTimeout = 10 * time.Millisecond

// ClientConfig of a [Client].
type ClientConfig struct {
	// Socket is the path of the collector's unix datagram socket. Required.
	Socket string
}

// A Client hands sessions to a collector through its unix datagram socket, in the
// format that libtlsrpt writes: one JSON object a datagram. It opens the socket when it
// is first needed and again after an error, so a collector may come and go. It may be
// used by many goroutines at once.
type Client struct {
	path          string
	sent, dropped atomic.Uint64

	// mu guards the fields below; it is held over a write, which ends by writeTimeout.
	mu     sync.Mutex
	conn   *net.UnixConn
	closed bool
}

// NewClient returns a client. It does not connect yet.
func NewClient(c ClientConfig) (*Client, error) {
	if c.Socket == "" {
		return nil, fault.New("tlsrpt", "no socket configured")
	}
	return &Client{path: c.Socket}, nil
}

// Stats counts what was sent and what was dropped since the start.
func (c *Client) Stats() (sent, dropped uint64) { return c.sent.Load(), c.dropped.Load() }

// Send hands s to the collector. It takes a few milliseconds at most and never
// waits for the collector; a caller may ignore the error, which only says what
// [Client.Stats] counts: it wraps [ErrSession] or [ErrDropped].
func (c *Client) Send(s Session) error {
	b, err := Datagram(s)
	if err != nil {
		return err
	}
	if err := c.write(b); err != nil {
		c.dropped.Add(1)
		return fmt.Errorf("%w: %w", ErrDropped, err)
	}
	c.sent.Add(1)
	return nil
}

func (c *Client) write(b []byte) error {
	if len(b) > maxDatagram {
		return fmt.Errorf("%d octets, at most %d", len(b), maxDatagram)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.conn == nil {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: c.path, Net: "unixgram"})
		if err != nil {
			return err
		}
		c.conn = conn
	}
	err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = c.conn.Write(b)
	}
	if err != nil {
		// A collector that was restarted has a new socket under the old path.
		_ = c.conn.Close()
		c.conn = nil
	}
	return err
}

// Close closes the socket. Later calls of Send are dropped.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// The datagram's JSON: the short keys are libtlsrpt's.
type datagram struct {
	Domain   string           `json:"d"`
	Record   string           `json:"pr"`
	Policies []datagramPolicy `json:"policies"`
}

type datagramPolicy struct {
	Type     int               `json:"policy-type"`
	Domain   string            `json:"policy-domain,omitempty"`
	Strings  []string          `json:"policy-string,omitempty"`
	MXHosts  []string          `json:"mx-host,omitempty"`
	Failures []datagramFailure `json:"failure-details,omitempty"`
	Total    int               `json:"t"` // number of failures
	Final    int               `json:"f"` // 0 success, 1 failure
}

type datagramFailure struct {
	Code        int    `json:"c"`
	SendingIP   string `json:"s,omitempty"`
	MXHost      string `json:"n,omitempty"`
	MXHelo      string `json:"h,omitempty"`
	ReceivingIP string `json:"r,omitempty"`
	Info        string `json:"a,omitempty"`
	Reason      string `json:"f,omitempty"`
}

// Datagram prints s as the collector reads it. An error wraps [ErrSession].
func Datagram(s Session) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	d := datagram{Domain: s.Domain, Record: s.Record}
	for _, e := range s.Entries {
		p := datagramPolicy{
			Type: e.Policy.Type.code(), Domain: e.Policy.Domain, Strings: e.Policy.Strings, MXHosts: e.Policy.MXHosts,
			Total: len(e.Failures),
		}
		if !e.Compliant {
			p.Final = 1
		}
		for _, f := range e.Failures {
			p.Failures = append(p.Failures, datagramFailure{
				f.Type.code(), f.SendingIP, f.MXHost, f.MXHelo, f.ReceivingIP, f.Info, f.ReasonCode,
			})
		}
		d.Policies = append(d.Policies, p)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSession, err)
	}
	return b, nil
}
