package httpdoor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of a server.
const (
	// DefaultMaxConns is the number of connections at one time.
	DefaultMaxConns = 200
	// headerTime is how long a client may take to send the header of a request, and to
	// complete the TLS handshake.
	headerTime = 10 * time.Second
	// readTime is how long it may take to send the whole of it.
	readTime = 20 * time.Second
	// answerTime is how long an answer may take to be found.
	answerTime = 30 * time.Second
	// writeTime is answerTime with what the client may take to read the answer.
	writeTime = answerTime + 5*time.Second
	// idleTime is how long a connection may wait for the next request.
	idleTime = time.Minute
	// maxHeader bounds the header of a request in bytes. net/http adds 4 KiB to it.
	maxHeader = 16 << 10
	// maxBody bounds its body in bytes.
	maxBody = 1 << 20
)

// A Server answers on any number of listeners. It may be used by many goroutines at once.
type Server struct {
	c      Config
	http   http.Server
	conns  *conns
	routes map[string]route
	plans  *planBodies
	checks *limiter
	judges chan struct{} // one token for each verdict that is computed
	probes chan struct{} // one token for each check that runs
}

// New makes a server that listens nowhere yet.
func New(c Config) *Server {
	c.MaxConns = cmp.Or(max(c.MaxConns, 0), DefaultMaxConns)
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Observe == nil {
		c.Observe = func(string, int) {}
	}
	s := &Server{c: c, conns: newConns(c.MaxConns), plans: newPlanBodies(), checks: newLimiter(),
		judges: make(chan struct{}, maxJudges), probes: make(chan struct{}, maxProbes)}
	s.routes = s.table()
	s.http = http.Server{
		Handler: s, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true, ConnState: s.conns.track, ConnContext: withPeer,
		ErrorLog: slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug), Protocols: new(http.Protocols),
	}
	// With HTTP/2 a connection would carry any number of requests, and no limit above
	// would hold.
	s.http.Protocols.SetHTTP1(true)
	return s
}

// Serve accepts connections until the server is shut down or l fails; nil after
// [Server.Shutdown] or [Server.Close]. It closes l.
func (s *Server) Serve(l net.Listener) error {
	if s.c.TLS != nil {
		l = tls.NewListener(l, s.c.TLS)
	}
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting and waits for the answers under way, until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// Close cuts every connection.
func (s *Server) Close() { _ = s.http.Close() }

// Counts returns the number of connections, and how many were closed to make room for
// another or refused for want of a place.
func (s *Server) Counts() (now int, evicted, refused uint64) { return s.conns.counts() }
