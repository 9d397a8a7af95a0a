package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/rfc6125"
)

// A silentNet is a network that takes everything and says nothing. It counts.
type silentNet struct {
	mu         sync.Mutex
	open, most map[string]int // connections by network, now and at most
	sent       int            // datagrams, and questions over streams
}

func (n *silentNet) dial(_ context.Context, network, _ string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open[network]++
	n.most[network] = max(n.most[network], n.open[network])
	return &silentConn{n: n, network: network, closed: make(chan struct{})}, nil
}

type silentConn struct {
	n       *silentNet
	network string
	once    sync.Once
	closed  chan struct{}
}

func (c *silentConn) Read([]byte) (int, error) {
	<-c.closed
	return 0, net.ErrClosed
}

func (c *silentConn) Write(b []byte) (int, error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.network == "udp" {
		c.n.sent++
		return len(b), nil
	}
	for rest := b; len(rest) >= 2; rest = rest[2+int(rest[0])<<8+int(rest[1]):] {
		c.n.sent++
	}
	return len(b), nil
}

func (c *silentConn) Close() error {
	c.once.Do(func() {
		c.n.mu.Lock()
		c.n.open[c.network]--
		c.n.mu.Unlock()
		close(c.closed)
	})
	return nil
}

func (c *silentConn) LocalAddr() net.Addr  { return &net.UDPAddr{} }
func (c *silentConn) RemoteAddr() net.Addr { return &net.UDPAddr{} }
func (c *silentConn) SetDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		return c.Close()
	}
	return nil
}
func (c *silentConn) SetReadDeadline(time.Time) error  { return nil }
func (c *silentConn) SetWriteDeadline(time.Time) error { return nil }

// TestPlanAtSilentServers: what a plan sends and opens is bounded, however many servers are
// configured and silent: 500 questions, three messages each, 128 sockets.
func TestPlanAtSilentServers(t *testing.T) {
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &silentNet{open: map[string]int{}, most: map[string]int{}}
				cfg := upstream.Config{Dial: n.dial}
				for i := range servers {
					s, err := upstream.ParseServer(fmt.Sprintf("192.0.2.%d", i+1))
					if err != nil {
						t.Fatal(err)
					}
					cfg.Servers = append(cfg.Servers, s)
				}
				c, err := upstream.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				v, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: c})
				if err != nil {
					t.Fatal(err)
				}
				b := dnssec.NewBudget("silent.test", dnssec.Limits{})
				begin := time.Now()
				var wg sync.WaitGroup
				var timeouts int
				var mu sync.Mutex
				for host := range 64 {
					ctx, done := b.Share(fmt.Sprint("mx", host)).Context(t.Context())
					for i := range 7 {
						wg.Go(func() {
							name, err := rfc6125.ParseName(fmt.Sprintf("n%d.mx%d.silent.test", i, host))
							if err != nil {
								t.Error(err)
							}
							_, err = v.Resolve(ctx, dnssec.Question{Name: name, Type: dnssec.TypeA})
							mu.Lock()
							defer mu.Unlock()
							switch {
							case err == nil, !errors.Is(err, dnssec.ErrTimeout) && !errors.Is(err, dnssec.ErrBudget):
								t.Error(err)
							case errors.Is(err, dnssec.ErrTimeout):
								timeouts++
							}
						})
					}
					defer done()
				}
				wg.Wait()
				took := time.Since(begin)
				c.Close()
				spent := b.Spent()
				t.Logf("%d sent, sockets %v, %d timeouts, %v; spent %d questions, %d messages", n.sent, n.most, timeouts, took, spent[dnssec.Questions], spent[dnssec.Sends])
				if n.sent > 1500 || n.most["udp"]+n.most["tcp"] > 128 || took > 30*time.Second || timeouts == 0 {
					t.Errorf("%d messages, sockets %v, %v, %d timeouts", n.sent, n.most, took, timeouts)
				}
				for network, open := range n.open {
					if open != 0 {
						t.Errorf("%d sockets for %s are left", open, network)
					}
				}
			})
		})
	}
}
