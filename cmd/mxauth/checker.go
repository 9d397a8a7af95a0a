package main

import (
	"context"
	"errors"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/probe"
)

// A checker plans a delivery, speaks with the hosts and decides.
type checker struct {
	engine  *engine.Engine
	prober  *probe.Prober
	request engine.Request // all but NextHop, unless smarthost is set
	// probing is called before the hosts of a domain are spoken with, and what it returns
	// after that; nil: not called.
	probing func(domain string) (end func())
}

// A verdict is what came out for one domain: an error if it is no domain, else a
// plan and, for each of its hosts, what was found.
type verdict struct {
	asked   string
	err     error // wraps engine.ErrRequest
	plan    *engine.Plan
	hosts   []probe.HostResult
	summary engine.Summary
	record  string // the TLSRPT record of the domain, if a collector wants to know
	verbose bool   // print every step
}

// check looks at one domain. Its error is ctx's, or a fault of ours.
func (c *checker) check(ctx context.Context, domain string) (*verdict, error) {
	v, err := c.plan(ctx, domain)
	if err != nil || v.err != nil {
		return v, err
	}
	if c.probing != nil {
		defer c.probing(domain)()
	}
	v.hosts = c.prober.Hosts(ctx, c.engine, v.plan)
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	decisions := make([]engine.Decision, len(v.hosts))
	for i, h := range v.hosts {
		decisions[i] = h.Decision
		c.engine.Remember(v.plan, i, h.Decision)
	}
	v.summary = engine.Summarise(v.plan, decisions)
	return v, nil
}

// plan makes the plan of one domain, without connecting to anybody.
func (c *checker) plan(ctx context.Context, domain string) (*verdict, error) {
	v := &verdict{asked: domain}
	r := c.request
	if !r.Smarthost {
		r.NextHop = domain
	}
	p, err := c.engine.Plan(ctx, r)
	switch {
	case errors.Is(err, engine.ErrRequest):
		v.err = err
		return v, nil
	case err != nil:
		return nil, err
	}
	v.plan = p
	return v, nil
}

// tls is the protocol version that the address behind host i's row spoke.
func (v *verdict) tls(i int) string {
	for _, a := range v.hosts[i].Addresses {
		if a.Decision.Outcome == v.hosts[i].Decision.Outcome && a.Peer.TLS != "" {
			return a.Peer.TLS
		}
	}
	return ""
}

// nameDoubted reports whether a host may have refused the name that was given in EHLO.
func (v *verdict) nameDoubted() bool {
	for _, h := range v.hosts {
		for _, a := range h.Addresses {
			if a.NameDoubted {
				return true
			}
		}
	}
	return false
}

// exit is the exit status that the verdict asks for.
func (v *verdict) exit() int {
	switch s := v.summary; {
	case v.err != nil:
		return exitUsage
	case s.Outcome == engine.Authenticated && s.EveryHost:
		return exitAuthenticated
	case s.Deliver:
		return exitDeliverable
	case s.Outcome == engine.Refused, s.Outcome == engine.Bounced:
		return exitRefused
	}
	return exitDeferred
}
