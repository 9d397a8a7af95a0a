package main

import (
	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/store"
)

// register adds the numbers that are asked for when the metrics are read.
func (d *service) register() {
	m := d.metrics
	m.Info("mxauth_build_info", "The version of the program; always 1.", "version", version())
	m.Gauge("mxauth_lookups", "Questions of mail servers that are looked up or wait for that now.", func() float64 { return float64(d.answers.Lookups()) })
	m.Gauge("mxauth_replies", "Replies that are kept.", func() float64 { n, _ := d.answers.Kept(); return float64(n) })
	m.Gauge("mxauth_replies_bytes", "Estimated bytes of the kept replies.", func() float64 { _, n := d.answers.Kept(); return float64(n) })
	m.Gauge("mxauth_exceptions", "Exceptions in force.", func() float64 { return float64(len(inForce(d.inForce().List(), d.e.now()))) })
	m.Gauge("mxauth_sts_policies", "MTA-STS policies that are kept, as last counted.", func() float64 { return float64(d.policies.kept.Load()) })
	m.Gauge("mxauth_sts_policies_stale", "Kept MTA-STS policies whose last refresh failed, as last counted.", func() float64 { return float64(d.policies.stale.Load()) })

	client := func(f func(*mxauth.Client) float64) func() float64 {
		return func() float64 {
			c, done := d.use()
			defer done()
			return f(c)
		}
	}
	m.Gauge("mxauth_dns_cache_answers", "DNS answers that are kept.", client(func(c *mxauth.Client) float64 { n, _ := c.CachedAnswers(); return float64(n) }))
	m.Gauge("mxauth_dns_cache_bytes", "Estimated bytes of the kept DNS answers.", client(func(c *mxauth.Client) float64 { _, n := c.CachedAnswers(); return float64(n) }))
	m.Gauge("mxauth_upstreams", "Recursive resolvers that are asked.", client(func(c *mxauth.Client) float64 { return float64(len(c.Upstreams())) }))
	m.Gauge("mxauth_upstreams_failing", "Recursive resolvers whose last answers failed, and which are asked after the others.", client(func(c *mxauth.Client) float64 {
		n := 0
		for _, h := range c.Upstreams() {
			if h.Rests {
				n++
			}
		}
		return float64(n)
	}))
	remembered := func(f func(memory.Stats) uint64) func() float64 {
		return client(func(c *mxauth.Client) float64 {
			if c.Memory() == nil {
				return 0
			}
			return float64(f(c.Memory().Stats()))
		})
	}
	m.Counter("mxauth_memory_drops_total", "Protections that a domain once proved and has lost.", remembered(func(s memory.Stats) uint64 { return s.Drops }))
	m.Counter("mxauth_memory_written_total", "States of domains written to the store.", remembered(func(s memory.Stats) uint64 { return s.Written }))
	m.Counter("mxauth_memory_lost_total", "States of domains that could not be written.", remembered(func(s memory.Stats) uint64 { return s.Lost }))
	m.Counter("mxauth_memory_unread_total", "Times that the store could not say what a domain once proved.", remembered(func(s memory.Stats) uint64 { return s.Unread }))

	m.Gauge("mxauth_store_unavailable", "1 if a store on a server could not be used when it was last asked, else 0.", func() float64 {
		if d.front == nil || d.front.Unavailable() == nil {
			return 0
		}
		return 1
	})
	front := func(f func(store.FrontStats) uint64) func() float64 {
		return func() float64 {
			if d.front == nil {
				return 0
			}
			return float64(f(d.front.Stats()))
		}
	}
	m.Counter("mxauth_store_failures_total", "Calls of the store that failed.", front(func(s store.FrontStats) uint64 { return s.Failed }))
	m.Counter("mxauth_store_stale_reads_total", "Copies in memory served because the store did not answer.", front(func(s store.FrontStats) uint64 { return s.Stale }))
	m.Counter("mxauth_store_healed_total", "Entries that a shared store had lost and that were written back.", front(func(s store.FrontStats) uint64 { return s.Healed }))
	m.Counter("mxauth_store_lost_total", "Entries that are in memory only, since too many wait for the store.", front(func(s store.FrontStats) uint64 { return s.Lost }))
	m.Gauge("mxauth_store_unwritten", "Entries that wait to be written to the store.", front(func(s store.FrontStats) uint64 { return uint64(s.Unwritten) }))

	held := func(f func(store.Stats) float64) func() float64 {
		return func() float64 {
			if s, ok := d.store.(interface{ Stats() store.Stats }); ok {
				return f(s.Stats())
			}
			return 0
		}
	}
	m.Gauge("mxauth_store_entries", "Entries in the store of this process; 0 for a store on a server.", held(func(s store.Stats) float64 { return float64(s.Entries) }))
	m.Gauge("mxauth_store_bytes", "Bytes of keys and values in the store of this process.", held(func(s store.Stats) float64 { return float64(s.Bytes) }))
	m.Counter("mxauth_store_evicted_total", "Entries that had not ended and made room for others.", held(func(s store.Stats) float64 {
		n := uint64(0)
		for _, e := range s.Evicted {
			n += e
		}
		return float64(n)
	}))
}
