package probe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mxauth/mxauth/engine"
)

const (
	// maxConnections bounds the open connections of a prober: half of the 1,024 open files
	// that a process usually may have.
	maxConnections = 512
	// maxPerPlan bounds those for one plan, so that as many domains as are usually looked
	// at side by side (16) do not wait for each other.
	maxPerPlan = 32
	// maxPerAddress bounds those to one address, which several hosts can share: servers
	// count the connections of a client.
	maxPerAddress = 8
)

// A task is one address of one host.
type task struct {
	host, n int // index into the hosts asked for, and of the address
	target  netip.AddrPort
}

// Hosts probes the addresses of all hosts of the plan, up to the limit for each, several
// at once, and decides each. The first address of every host comes first, then the second
// of every host, and so on, so that hosts which do not answer do not use up the time of
// those that do. What was not reached within PlanTimeout is [engine.Peer].Untried. No connection is
// opened to a host that the plan skips (RFC 7672 section 10). It waits for all that it
// began.
//
// Then it asks the hosts that [Config].Certificates says for a certificate with the other
// kind of key. The weaker of two certificates decides.
func (p *Prober) Hosts(ctx context.Context, e *engine.Engine, plan *engine.Plan) []HostResult {
	all := make([]int, len(plan.Hosts))
	for i := range all {
		all[i] = i
	}
	return p.hosts(ctx, e, plan, all)
}

// hosts is Hosts for some hosts of the plan.
func (p *Prober) hosts(ctx context.Context, e *engine.Engine, plan *engine.Plan, which []int) []HostResult {
	end := time.Now().Add(p.c.PlanTimeout)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	results := make([]HostResult, len(which))
	var tasks []task
	for k, i := range which {
		h := &plan.Hosts[i]
		if h.Requirement == engine.Skip || len(h.Addresses) == 0 {
			results[k].Decision = e.Attempt(plan, i, netip.AddrPort{}).Decision(false)
			results[k].At = results[k].Decision.At
			continue
		}
		addresses := p.addresses(h)
		if len(addresses) == 0 {
			results[k] = HostResult{Addresses: []AddressResult{p.outside(e, plan, i)}}
			continue
		}
		n := min(len(addresses), p.c.MaxAddresses)
		results[k] = HostResult{Addresses: make([]AddressResult, n), Left: len(addresses) - n}
		for j, a := range addresses[:n] {
			tasks = append(tasks, task{k, j, netip.AddrPortFrom(a, h.Port)})
		}
	}
	slices.SortStableFunc(tasks, func(a, b task) int { return a.n - b.n })
	p.run(tasks, func(t task) {
		results[t.host].Addresses[t.n] = p.address(ctx, e, plan, which[t.host], t.target, end)
	})
	p.otherKeys(ctx, e, plan, which, results)
	for k := range results {
		if len(results[k].Addresses) > 0 {
			results[k].Decision = weakest(results[k].Addresses)
		}
	}
	return results
}

// addresses are the addresses of a host that may be connected to.
func (p *Prober) addresses(h *engine.Host) (out []netip.Addr) {
	for _, a := range h.Addresses {
		if p.c.inNetwork(a) {
			out = append(out, a)
		}
	}
	return out
}

// outside is the result of host i, which has no address in the network of the prober.
func (p *Prober) outside(e *engine.Engine, plan *engine.Plan, i int) AddressResult {
	h := &plan.Hosts[i]
	peer := engine.Peer{Untried: true, Ending: engine.EndedFamily, Address: netip.AddrPortFrom(h.Addresses[0], h.Port),
		Detail: fmt.Sprintf("it has no %s address, and this check connects over %[1]s only", p.c.family())}
	d := e.Diagnose(plan, i, peer)
	return AddressResult{Address: h.Addresses[0], Peer: peer, Decision: d, At: d.At}
}

// run calls do for each task in its own goroutine, in order as far as the limits of a plan
// and of an address allow, and waits for all.
func (p *Prober) run(waiting []task, do func(task)) {
	done := make(chan netip.Addr)
	open, running := map[netip.Addr]int{}, 0
	for {
		for n := 0; n < len(waiting) && running < maxPerPlan; {
			t := waiting[n]
			a := t.target.Addr()
			if open[a] == maxPerAddress {
				n++
				continue
			}
			waiting = slices.Delete(waiting, n, n+1)
			open[a]++
			running++
			go func() {
				do(t)
				done <- a
			}()
		}
		if running == 0 {
			return
		}
		open[<-done]--
		running--
	}
}

// address probes one address of host i, and decides it. planEnd is when the time for the
// plan is over.
func (p *Prober) address(ctx context.Context, e *engine.Engine, plan *engine.Plan, i int, target netip.AddrPort, planEnd time.Time) AddressResult {
	attempt := e.Attempt(plan, i, target)
	r := AddressResult{Address: target.Addr()}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
	}
	switch {
	case !time.Now().Before(planEnd):
		attempt.GiveUp(fmt.Sprintf("the time for connecting to the hosts of the domain, %v, was over before its turn", p.c.PlanTimeout))
		r.Peer = attempt.Peer()
	case ctx.Err() != nil:
		attempt.Failed(engine.NoConnection, ctx.Err())
		r.Peer = attempt.Peer()
	default:
		h := &plan.Hosts[i]
		var last end
		r.Peer, r.NameDoubted, last = p.converse(ctx, &attempt.Conversation, h, target, planEnd, complete(h.ClientTLS()))
		if peer, found := p.lookAgain(ctx, h, target, r.Peer, last); found {
			r.Peer = peer
			r.Decision = e.Diagnose(plan, i, peer)
			r.At = r.Decision.At
			return r
		}
	}
	r.Decision = attempt.Decision(r.Peer.RequireTLS)
	r.At = r.Decision.At
	return r
}
