package main

import (
	"context"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/tlsrpt"
)

// recordTimeout bounds the lookup of a domain's TLSRPT record, which runs at the same time as the
// check: one that does not come is as good as none.
const recordTimeout = 5 * time.Second

// A collector hands what check finds to a local TLSRPT collector (RFC 8460), a session for
// each address that was connected to. It never changes an answer or an exit status. A nil
// collector does nothing.
type collector struct {
	client   *tlsrpt.Client
	resolver dnssec.Resolver

	// Of the domains so far; touched by one goroutine at a time.
	asking, sent, lost int
	err                error // of the session that was lost last
}

// openCollector makes the collector of --tlsrpt-socket; nil if it is not given. Nothing is
// connected to yet.
func openCollector(path string, r dnssec.Resolver) (*collector, error) {
	if path == "" {
		return nil, nil
	}
	client, err := tlsrpt.NewClient(tlsrpt.ClientConfig{Socket: path})
	if err != nil {
		return nil, err
	}
	return &collector{client: client, resolver: r}, nil
}

func (c *collector) close() {
	if c != nil {
		_ = c.client.Close() // nothing is buffered
	}
}

// record begins to look up the TLSRPT record of a domain. What it returns waits for the
// text of the record, "" if the domain asks for no reports.
func (c *collector) record(ctx context.Context, domain string) func() string {
	host, err := rfc6125.ParseHost(domain)
	if c == nil || err != nil { // an address, say, has no one who could ask
		return func() string { return "" }
	}
	found := make(chan string, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, recordTimeout)
		defer cancel()
		rec, err := tlsrpt.Lookup(ctx, c.resolver, host)
		if err != nil {
			rec.Text = ""
		}
		found <- rec.Text
	}()
	return func() string { return <-found }
}

// hand hands over the sessions of one verdict.
func (c *collector) hand(v *verdict) {
	if c == nil || v.record == "" {
		return
	}
	c.asking++
	for _, entries := range sessions(v) {
		err := c.client.Send(tlsrpt.Session{Domain: v.Plan.Orig.String(), Record: v.record, Entries: entries})
		if err != nil {
			c.lost++
			c.err = err
			continue
		}
		c.sent++
	}
}

// sessions are what each connection, and each host that may not be connected to, would
// count as if a message had been delivered there.
func sessions(v *verdict) [][]tlsrpt.Entry {
	var out [][]tlsrpt.Entry
	add := func(i int, d engine.Decision) {
		if entries := explain.Report(v.Plan, i, d); len(entries) > 0 {
			out = append(out, entries)
		}
	}
	if len(v.Hosts) == 0 {
		add(0, engine.Decision{}) // no host is known: the MX lookup may have failed
	}
	for i, h := range v.Hosts {
		if len(h.Addresses) == 0 {
			add(i, h.Decision)
		}
		for _, a := range h.Addresses {
			if !a.Peer.OtherKey { // a sender connects once
				add(i, a.Decision)
			}
		}
	}
	return out
}

// tell says in one line what was handed over.
func (c *collector) tell(out *console) {
	switch {
	case c == nil:
	case c.lost > 0:
		out.Notef("%s not taken by the TLSRPT collector, %d taken: %s", counted(c.lost, "session"), c.sent, c.err)
	case c.asking == 0:
		out.Notef("nothing was sent to the TLSRPT collector: no domain asks for reports by a TLSRPT record")
	default:
		out.Notef("%s sent to the TLSRPT collector, of %s with a TLSRPT record", counted(c.sent, "session"), counted(c.asking, "domain"))
	}
}
