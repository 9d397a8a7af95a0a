package forecast

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/rfc6125"
)

// maxAnswers is how many answers one event lists: a zone is signed as a whole, so with many
// hosts they say little.
const maxAnswers = 5

// A deadline is when the signatures of some answers end.
type deadline struct {
	end   time.Time
	host  rfc6125.Host // the one that they are all about; the zero Host for several, or the domain
	whose []string
}

// signatures adds when the signatures end that answers rest on, those that end together in
// one event. Zones are signed again days or weeks before; the event is that this does not happen.
func (f *outlook) signatures() {
	var all []*deadline
	add := func(host rfc6125.Host, whose string, l dane.Lookup) {
		if end := l.Answer.SignaturesEnd; l.Err == nil && l.Answer.Status == dnssec.Secure && !end.IsZero() {
			all = collect(all, end.UTC().Truncate(time.Second), host, whose)
		}
	}
	add(rfc6125.Host{}, "the MX records of "+f.s.Plan.Orig.String(), f.s.MX)
	for i := range f.s.Plan.Hosts {
		h := &f.s.Plan.Hosts[i]
		add(h.Name, "the addresses of "+h.String(), h.DANE.A)
		add(h.Name, "the TLSA records of "+h.String(), last(h.DANE.TLSA))
	}
	f.ended()
	for _, d := range all {
		f.add(Signatures, d.end, Broken, d.host, "4035 s.5.3.1", "The name server's signer makes new ones automatically; check that it runs, and that the secondary servers transfer the zone.",
			"The DNSSEC signatures of %s, or of a zone above, end unless they are renewed; from then on these lookups fail and mail waits.", d)
	}
}

// ended adds lookups that fail now, above all because signatures have ended. When they
// did is not known: what is expired was not taken, so it has no place in an answer.
func (f *outlook) ended() {
	dom := f.s.Plan.Orig
	var expired, failed []string
	var host rfc6125.Host
	var why error
	see := func(h rfc6125.Host, whose string, l dane.Lookup) {
		var le *dnssec.LookupError
		switch {
		case l.Err == nil:
		case errors.As(l.Err, &le) && le.Reason.Code == dnssec.ReasonSignatureExpired:
			expired, host = append(expired, whose), h
		default:
			failed, host, why = append(failed, whose), h, l.Err
		}
	}
	if dom.IsValid() {
		see(rfc6125.Host{}, "the MX records of "+dom.String(), f.s.MX)
	}
	for i := range f.s.Plan.Hosts {
		h := &f.s.Plan.Hosts[i]
		see(h.Name, "the IPv4 addresses of "+h.String(), h.DANE.A)
		see(h.Name, "the IPv6 addresses of "+h.String(), h.DANE.AAAA)
		see(h.Name, "the TLSA records of "+h.String(), last(h.DANE.TLSA))
	}
	if len(expired)+len(failed) > 1 {
		host = rfc6125.Host{}
	}
	if len(expired) > 0 {
		f.add(SignaturesEnded, f.s.At, Broken, host, "4035 s.5.3.1", "Sign the zone again now, see that the signer of the name server runs, and that every name server of the zone serves the new signatures.",
			"The DNSSEC signatures of %s, or of a zone above, have ended, so these lookups fail and mail waits.", &deadline{whose: expired})
	}
	if len(failed) > 0 {
		do := "Repair the zone or its name servers first; what ends later cannot be seen until then. mxauth lint says more."
		switch {
		case errors.Is(f.s.MX.Err, dnssec.ErrTimeout):
			do = "If other domains cannot be looked up either, repair the resolver of this machine (`mxauth resolver` tests it). Else see that every name server of the zone answers."
		case explain.OwnFault(f.s.MX.Err) != explain.NoHint:
			do = "Repair the resolver of this machine, or name another one (`mxauth resolver` tests it), and try again. Nothing is known about the domain."
		}
		f.add(LookupFails, f.s.At, Broken, host, "7672 s.2.1.2", do,
			"The lookup of %s fails now: %s.", &deadline{whose: failed}, explain.LookupFault(why, failed[0]))
	}
}

// collect puts an answer to those whose signatures end at the same time.
func collect(all []*deadline, end time.Time, host rfc6125.Host, whose string) []*deadline {
	for _, d := range all {
		if d.end.Equal(end) {
			d.whose = append(d.whose, whose)
			if d.host != host {
				d.host = rfc6125.Host{}
			}
			return all
		}
	}
	return append(all, &deadline{end, host, []string{whose}})
}

// String lists the answers: "a, b and c".
func (d *deadline) String() string {
	list := d.whose
	if n := len(list) - maxAnswers; n > 1 {
		list = append(list[:maxAnswers:maxAnswers], fmt.Sprintf("%d more answers", n))
	}
	if len(list) == 1 {
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}
