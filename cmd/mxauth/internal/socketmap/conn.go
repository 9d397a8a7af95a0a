package socketmap

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A conn is one connection. The goroutine that serves it reads requests and writes the
// replies that are known at once. From the first request on that is not, a second goroutine
// writes replies in order; while it has any left to write, all replies go through it.
type conn struct {
	server *Server
	nc     net.Conn

	active  atomic.Int64 // when the last request came, Unix nanoseconds
	pending atomic.Int32 // replies that the writer has not written yet
	gone    atomic.Bool  // the client sends nothing more, and waits for replies at most

	lastName []byte // of a map, in the request before
	lastMap  string

	writeBy time.Time // the write deadline as it is set now, by the server's clock; of the goroutine that writes

	queue  chan *slot // to the writer; nil until it is needed
	writer sync.WaitGroup
	failed atomic.Bool // a write failed
}

// A slot is a place in the order of replies.
type slot struct {
	done  chan struct{}
	reply Reply
}

// serve reads until the peer leaves, breaks the protocol, is idle too long, or the server
// shuts down. It returns when everything is written.
func (c *conn) serve() {
	defer func() {
		if c.queue != nil {
			close(c.queue)
			c.writer.Wait()
		}
	}()
	// All times are those of the server's clock, which may be another than the deadlines have.
	var (
		buf      = make([]byte, 0, readSize)
		out      []byte
		now      = c.server.c.Now()
		deadline time.Time // as it is set now
		begun    time.Time // when the first byte of an incomplete request came
		drainEnd time.Time // set when the server shuts down
	)
	step := min(deadlineStep, c.server.c.Idle/8)
	readWithin := func(d time.Duration) { c.nc.SetReadDeadline(time.Now().Add(d)) }
	for {
		want := now.Add(c.server.c.Idle)
		if !begun.IsZero() {
			want = begun.Add(requestTime)
		}
		if d := want.Sub(deadline); d > step || d < 0 {
			readWithin(want.Sub(now))
			deadline = want
		}
		// Looked at after the deadline is set, which is then not that of drain.
		switch {
		case c.failed.Load():
			return
		case c.server.group.Stopping() && drainEnd.IsZero():
			drainEnd = now.Add(drainAll)
			readWithin(drainTime)
		case !drainEnd.IsZero():
			// What has arrived is read. A client that sends one request after the other is
			// left at the moment in which it has its reply.
			readWithin(min(drainEnd.Sub(now), drainStep))
		}
		n, err := c.nc.Read(buf[len(buf):cap(buf)])
		if n == 0 && err != nil {
			c.gone.Store(true)
			return
		}
		now = c.server.c.Now()
		c.active.Store(now.UnixNano())
		buf = buf[:len(buf)+n]
		rest, need, perr := c.batch(buf, &out, now)
		if len(out) > 0 {
			if !c.write(out, now) {
				return
			}
			out = out[:0]
			if cap(out) > 2*maxOut {
				out = nil
			}
		}
		if perr != nil {
			c.server.c.Logger.Debug("a client does not speak the protocol", "err", perr)
			return
		}
		switch {
		case len(rest) == 0:
			begun = time.Time{}
		case len(rest) < len(buf) || begun.IsZero():
			begun = now
		}
		buf = append(buf[:0], rest...)
		if need > cap(buf) {
			buf = slices.Grow(buf, need-len(buf))
		}
	}
}

// maxOut is how many bytes of replies are written together.
const maxOut = 64 << 10

// batch answers the complete requests in b: at once into out, or through the writer. It
// returns what follows them and how many bytes the next one needs in all.
func (c *conn) batch(b []byte, out *[]byte, now time.Time) (rest []byte, need int, err error) {
	for len(b) > 0 {
		request, next, need, err := cut(b)
		if err != nil || need > 0 {
			return b, need, err
		}
		b = next
		name, key, ok := bytes.Cut(request, []byte(" "))
		m := c.table(name)
		reply := Reply{Status: Perm, Text: "no such map"}
		known := true
		switch {
		case !ok:
			reply.Text = "a request is a map name, a blank and a key"
		case m != "":
			reply, known = c.server.c.Handler.Cached(m, key, now)
		}
		direct := known && c.pending.Load() == 0
		if direct {
			*out = appendNetstring(*out, reply.Status, reply.Text)
			if len(*out) < maxOut {
				continue
			}
		}
		if len(*out) > 0 { // the writer must not overtake these
			if !c.write(*out, now) {
				return nil, 0, nil
			}
			*out = (*out)[:0]
		}
		if direct {
			continue
		}
		c.enqueue(m, key, reply, known)
	}
	return nil, 0, nil
}

// table is the map of a name, which is most often that of the request before; "" if there is
// none.
func (c *conn) table(name []byte) string {
	if !bytes.Equal(name, c.lastName) {
		c.lastMap = c.server.lookUp(name)
		c.lastName = append(c.lastName[:0], name...)
	}
	return c.lastMap
}

// enqueue gives a reply a place in the order, and works on it if it is not known.
func (c *conn) enqueue(m string, key []byte, reply Reply, known bool) {
	if c.queue == nil {
		c.queue = make(chan *slot, maxPending)
		c.writer.Go(c.writeQueued)
	}
	s := &slot{reply: reply}
	c.pending.Add(1)
	if !known {
		s.done = make(chan struct{})
		key := string(key)
		c.writer.Go(func() {
			defer close(s.done)
			s.reply = c.server.c.Handler.Answer(c.server.group.Context(), m, key)
		})
	}
	c.queue <- s // blocks while maxPending replies wait: the client is read no further
}

// writeQueued writes replies in order until the queue is closed and empty. Those that are
// known together are written together.
func (c *conn) writeQueued() {
	var out []byte
	n := int32(0) // replies in out
	flush := func() {
		if n > 0 && !c.failed.Load() {
			c.write(out, c.server.c.Now())
		}
		out = out[:0]
		c.pending.Add(-n)
		n = 0
	}
	for {
		var s *slot
		var open bool
		select {
		case s, open = <-c.queue:
		default:
			flush()
			s, open = <-c.queue
		}
		if !open {
			flush()
			return
		}
		if s.done != nil {
			select {
			case <-s.done:
			default:
				flush()
				<-s.done
			}
		}
		out = appendNetstring(out, s.reply.Status, s.reply.Text)
		n++
		c.active.Store(c.server.c.Now().UnixNano())
		if len(out) >= maxOut {
			flush()
		}
	}
}

// write sends b. A client has between one and two times writeTime for it: setting a deadline
// for every reply would be a tenth of the work. After a failure the connection is of no use.
func (c *conn) write(b []byte, now time.Time) bool {
	if d := c.writeBy.Sub(now); d < writeTime || d > 2*writeTime {
		c.writeBy = now.Add(2 * writeTime)
		c.nc.SetWriteDeadline(time.Now().Add(2 * writeTime))
	}
	if _, err := c.nc.Write(b); err != nil {
		c.failed.Store(true)
		c.nc.Close()
		return false
	}
	return true
}
