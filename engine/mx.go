package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/rfc6125"
)

// findMX is section 2 of the table for a domain: rows M3 to M10. It fills MX, Exp
// and the names of Hosts, or leaves Hosts empty and says what becomes of the message.
func (w *work) findMX(ctx context.Context) {
	// RFC 5321 section 5.1: the name is a fully qualified one, no search list. The
	// resolver follows the aliases of the domain (RFC 7672 section 2.2.1); the answer
	// is secure only if every step is (section 2.1.3).
	a, err := w.c.Resolver.Resolve(ctx, dnssec.Question{Name: w.Orig.Name(), Type: dnssec.TypeMX})
	w.Exp = a.Final
	step := Step{Step: StepMX, Name: w.Orig.String(), Type: "MX", Status: a.Status.String()}
	w.aliasSteps(StepMX, "", a.Chain)
	if err != nil {
		w.mxFailed(step, err)
		return
	}
	w.until(a.Expires)
	w.MX.Status = a.Status
	w.mx = mxInsecure
	if a.Status == dnssec.Secure {
		w.mx = mxSecure
	}
	switch a.Kind {
	case dnssec.NXDomain:
		w.bounce("M4", because(ReasonNoSuchDomain, "The domain %s does not exist (the denial is %s).", w.Exp, a.Status))
		step.Result = "no such domain"
	case dnssec.NoData:
		// The host is the name as given: were it the end of the alias chain, a forged
		// alias would choose the name that has to be proved.
		w.MX.Row = "M5"
		w.addHost(w.Orig, 0)
		step.Result = "no MX records: the domain itself is its mail host (implicit MX)"
		step.RFC = "5321 s.5.1"
		w.dropOwnNames()
	default:
		w.viaMX = true
		step.Result = w.readMX(a)
		step.RFC = "5321 s.5.1"
	}
	step.Row = w.MX.Row
	w.Why = append(w.Why, step)
	if w.MX.Outcome != OutcomeNone {
		w.Hosts = nil
		w.Why = append(w.Why, Step{Step: StepVerdict, Result: w.MX.Reason.Text, Row: w.MX.Row, RFC: w.MX.Reason.RFC})
	}
}

// mxFailed is row M3: the message waits; the domain's own address is no substitute.
func (w *work) mxFailed(step Step, err error) {
	w.mx = mxInsecure
	w.MX.Row, w.MX.Outcome = "M3", Deferred
	var le *dnssec.LookupError
	if errors.As(err, &le) {
		w.MX.Status = le.Status()
	}
	step.Status = w.MX.Status.String()
	if outOfBudget(err) {
		w.MX.Reason = because(ReasonBudget, "The mail hosts of %s could not be looked up: %s; the message waits.", w.Orig, budgetText(err))
	} else if errors.Is(err, dnssec.ErrBogus) {
		w.MX.Reason = because(ReasonMXBogus, "The mail hosts of %s can not be trusted, because the DNSSEC check of the answer failed (%s); the message waits.", w.Orig, lookupText(err))
	} else {
		w.MX.Reason = because(ReasonMXLookupFailed, "The mail hosts of %s could not be looked up (%s); the message waits.", w.Orig, lookupText(err))
	}
	w.MX.Code = w.MX.Reason.code()
	step.Row, step.RFC, step.Result, step.ResultType = "M3", w.MX.Reason.RFC, lookupText(err), w.MX.Reason.ResultType
	w.Why = append(w.Why, step)
}

// readMX takes the hosts from the records: rows M6 to M10. It returns what the step
// says.
func (w *work) readMX(a dnssec.Answer) string {
	w.MX.Row = "M9"
	roots := 0
	for _, rec := range a.Records {
		mx, err := rec.MX()
		if err != nil {
			w.ignored("a malformed MX record", "")
			continue
		}
		if mx.Host.IsRoot() {
			roots++
			continue
		}
		h, err := rfc6125.HostFromName(mx.Host)
		if err != nil {
			// M8: an address in text form, or what no host can be called. Nothing could
			// be proved of it.
			w.ignored(fmt.Sprintf("%d %s: not a host name, not used", mx.Preference, mx.Host), "M8")
			continue
		}
		w.addHost(h, mx.Preference)
	}
	switch {
	case len(w.Hosts) == 0 && roots > 0 && roots == len(a.Records):
		w.bounce("M6", because(ReasonNullMX, "The domain %s says that it takes no mail (null MX, %s).", w.Orig, a.Status))
		return "null MX"
	case roots > 0:
		// M7: a publisher's error; the others are used.
		w.ignored("the root as an MX host beside others: not used", "M7")
	}
	if len(w.Hosts) == 0 {
		w.bounce("M8", because(ReasonNoUsableMX, "The domain %s has MX records, and none of them names a host.", w.Orig))
		if w.Request.Options.NoAddressDefer {
			w.MX.Outcome = Deferred
		}
		return "no usable MX record"
	}
	w.order()
	names := w.hostNames()
	w.dropOwnNames()
	if len(w.Hosts) > MaxHosts {
		w.Hosts = w.Hosts[:MaxHosts]
		w.ignored(fmt.Sprintf("only the first %d hosts are looked at", MaxHosts), "")
	}
	return names
}

// addHost adds a host, or lowers the preference of one that is there.
func (w *work) addHost(h rfc6125.Host, preference uint16) {
	for i := range w.Hosts {
		if w.Hosts[i].Name == h {
			w.Hosts[i].Preference = min(w.Hosts[i].Preference, preference)
			return
		}
	}
	w.Hosts = append(w.Hosts, Host{Name: h, Preference: preference, Port: w.next.port})
}

// order sorts by preference, equal ones at random or, where the request asks for it,
// by name. No policy ever changes it (RFC 7672 section 2.2.1, RFC 8461 section 8.4).
func (w *work) order() {
	slices.SortStableFunc(w.Hosts, byName)
	slices.SortStableFunc(w.Hosts, byPreference)
	if !w.Request.Sorted {
		shuffleTies(w.Hosts, w.c.Shuffle)
	}
}

func byName(a, b Host) int       { return strings.Compare(a.Name.String(), b.Name.String()) }
func byPreference(a, b Host) int { return cmp.Compare(a.Preference, b.Preference) }

// shuffleTies draws the order of hosts of one preference (RFC 5321 section 5.1);
// shuffle may be nil.
func shuffleTies(hosts []Host, shuffle func(int, func(i, j int))) {
	for tied := range ties(hosts) {
		if shuffle != nil {
			shuffle(len(tied), func(i, j int) { tied[i], tied[j] = tied[j], tied[i] })
			continue
		}
		// rand.Shuffle by hand, which wants a function on the heap.
		for i := len(tied) - 1; i > 0; i-- {
			if j := rand.IntN(i + 1); j != i {
				tied[i], tied[j] = tied[j], tied[i]
			}
		}
	}
}

// arrangeTies puts hosts of one preference into one of their [orders], of the number
// n: each n below that number gives another order.
func arrangeTies(hosts []Host, n int) {
	for tied := range ties(hosts) {
		for i := len(tied) - 1; i > 0; i-- {
			if j := n % (i + 1); j != i {
				tied[i], tied[j] = tied[j], tied[i]
			}
			n /= i + 1
		}
	}
}

// orders counts the orders in which hosts of one preference can stand, no further than
// to some number beyond [maxOrders].
func orders(hosts []Host) int {
	n := 1
	for tied := range ties(hosts) {
		for i := 2; i <= len(tied) && n <= maxOrders; i++ {
			n *= i
		}
	}
	return n
}

// ties yields the runs of hosts of one preference, of at least two.
func ties(hosts []Host) iter.Seq[[]Host] {
	return func(yield func([]Host) bool) {
		for len(hosts) > 0 {
			n := 1
			for n < len(hosts) && hosts[n].Preference == hosts[0].Preference {
				n++
			}
			if n > 1 && !yield(hosts[:n]) {
				return
			}
			hosts = hosts[n:]
		}
	}
}

// dropOwnNames is row M10 for names: a relay that finds itself in the list drops
// itself and everything that is no better.
func (w *work) dropOwnNames() {
	w.dropFrom(func(h *Host) bool { return slices.Contains(w.c.OwnHosts, h.Name) })
}

// dropOwnAddresses is row M10 for addresses, once they are known. A configured host
// is not looked at: routing back to a port of this machine is how filters are fed.
func (w *work) dropOwnAddresses() {
	if w.next.kind != kindDomain {
		return
	}
	w.dropFrom(func(h *Host) bool {
		for _, a := range h.Addresses {
			for _, own := range w.c.OwnAddresses {
				if a.Unmap() == own.Unmap() {
					return true
				}
			}
		}
		return false
	})
}

// dropFrom drops the hosts that are this server and all of the same or a worse
// preference. Policies have dropped none before, so this always sees the whole list
// (RFC 8461 section 8.4).
func (w *work) dropFrom(own func(*Host) bool) {
	limit, self := -1, ""
	for i := range w.Hosts {
		h := &w.Hosts[i]
		if own(h) && (limit < 0 || int(h.Preference) < limit) {
			limit, self = int(h.Preference), h.Name.String()
		}
	}
	if limit < 0 {
		return
	}
	w.Hosts = slices.DeleteFunc(w.Hosts, func(h Host) bool { return int(h.Preference) >= limit })
	w.ignored(fmt.Sprintf("%s is this server: it and every host of preference %d or worse is dropped", self, limit), "M10")
	if len(w.Hosts) == 0 {
		w.bounce("M10", because(ReasonMailLoop, "The best mail host of %s is %s, which is this server itself; sending the message would send it in a circle.", w.Orig, self))
	}
}

// bounce says that the message ends here.
func (w *work) bounce(row string, why Reason) {
	w.MX.Row, w.MX.Outcome, w.MX.Reason, w.MX.Code = row, Bounced, why, why.code()
}

// code is the enhanced status code of the reason.
func (r Reason) code() string { return reasonByID[r.ID].Code }

// ignored notes an MX record that is not used.
func (w *work) ignored(what, row string) {
	w.Why = append(w.Why, Step{Step: StepMX, Name: w.Orig.String(), Type: "MX", Result: what, Row: row, RFC: "5321 s.5.1"})
}

// hostNames lists the hosts with their preferences, as the records have them.
func (w *work) hostNames() string {
	const most = 8
	var b strings.Builder
	for i := range w.Hosts {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(w.Hosts)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%d)", w.Hosts[i].Name, w.Hosts[i].Preference)
	}
	return b.String()
}

// aliasSteps notes every step of an alias chain with its own status.
func (w *work) aliasSteps(step, host string, chain []dnssec.Alias) {
	for _, c := range chain {
		w.Why = append(w.Why, aliasStep(step, host, c))
	}
}

func aliasStep(step, host string, c dnssec.Alias) Step {
	return Step{Step: step, Host: host, Name: c.Owner.String(), Type: c.Type.String(), Status: c.Status.String(),
		Result: "an alias of " + c.Target.String(), RFC: "7672 s.2.1.3"}
}
