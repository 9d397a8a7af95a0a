// Package listener accepts the connections of a server, and ends them in order: no new ones
// first, then those without work, and after a time all others.
//
//	s.group = listener.New(log, listener.Hooks{Start: s.start, Cut: s.cut})
//	err := s.group.Serve(l) // until Shutdown or Close
package listener

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Limits.
const (
	// lastWords is how long the answers that are given up at a shutdown may take to be written.
	lastWords = 500 * time.Millisecond
	// A connection that cannot be accepted is tried again after minPause, which doubles with
	// each failure up to maxPause.
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// Hooks are what a server does with its connections. They are called by many goroutines at
// once.
type Hooks struct {
	// Start serves a connection in a goroutine that it starts with [Group.Go], or closes it. It
	// may be called while the group stops.
	Start func(net.Conn)
	// Cut closes all connections; a connection that Start gets later is closed there.
	Cut func()
	// Stop is called after the listeners are closed; nil: nothing to do.
	Stop func()
	// Failed is called when a connection could not be accepted, most often for want of file
	// descriptors; nil: nothing to do.
	Failed func()
}

// A Group is the listeners of one server, and the goroutines that serve its connections. It
// may be used by many goroutines at once.
type Group struct {
	log      *slog.Logger
	hooks    Hooks
	ctx      context.Context // of answers
	cancel   context.CancelFunc
	stopping atomic.Bool
	stopped  chan struct{} // closed when the group stops
	wg       sync.WaitGroup

	mu   sync.Mutex // guards what follows
	open map[net.Listener]struct{}
}

// New makes a group without a listener. It logs to log that connections are not accepted.
func New(log *slog.Logger, h Hooks) *Group {
	g := &Group{log: log, hooks: h, stopped: make(chan struct{}), open: map[net.Listener]struct{}{}}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Context ends when answers under way are given up.
func (g *Group) Context() context.Context { return g.ctx }

// Stopping reports whether Shutdown or Close has been called.
func (g *Group) Stopping() bool { return g.stopping.Load() }

// Stopped is closed when Shutdown or Close is called.
func (g *Group) Stopped() <-chan struct{} { return g.stopped }

// Go runs f in a goroutine that Shutdown and Close wait for. Only Start may call it.
func (g *Group) Go(f func()) { g.wg.Go(f) }

// Serve accepts connections from l until the group stops or l fails. It closes l, and returns
// nil after [Group.Shutdown] or [Group.Close].
func (g *Group) Serve(l net.Listener) error {
	g.mu.Lock()
	if g.stopping.Load() {
		g.mu.Unlock()
		l.Close()
		return nil
	}
	g.open[l] = struct{}{}
	g.wg.Add(1) // so that a connection accepted last is waited for
	g.mu.Unlock()
	defer func() {
		l.Close()
		g.mu.Lock()
		delete(g.open, l)
		g.mu.Unlock()
		g.wg.Done()
	}()
	pause := time.Duration(0)
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			g.hooks.Start(c)
			continue
		case g.stopping.Load():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		if g.hooks.Failed != nil {
			g.hooks.Failed()
		}
		pause = min(max(2*pause, minPause), maxPause)
		g.log.Warn("a connection could not be accepted", "err", err, "again_in", pause)
		select {
		case <-time.After(pause):
		case <-g.stopped:
			return nil
		}
	}
}

// Shutdown stops accepting and waits for the connections. When ctx ends first, the context of
// the answers under way ends, and a moment later what remains is cut off as by
// [Group.Close]; the error is ctx's.
func (g *Group) Shutdown(ctx context.Context) error {
	g.stop()
	done := make(chan struct{})
	go func() {
		g.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		g.cancel()
		return nil
	case <-ctx.Done():
	}
	// Clients that still wait for an answer learn that there is none.
	g.cancel()
	select {
	case <-done:
	case <-time.After(lastWords):
		g.Close()
		<-done
	}
	return context.Cause(ctx)
}

// stop closes the listeners.
func (g *Group) stop() {
	g.mu.Lock()
	if g.stopping.CompareAndSwap(false, true) {
		close(g.stopped)
	}
	for l := range g.open {
		l.Close()
	}
	g.mu.Unlock()
	if g.hooks.Stop != nil {
		g.hooks.Stop()
	}
}

// Close cuts every connection and waits for what the group has started.
func (g *Group) Close() {
	g.stop()
	g.cancel()
	g.hooks.Cut()
	g.wg.Wait()
}
