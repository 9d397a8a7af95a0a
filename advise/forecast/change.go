package forecast

import (
	"time"

	"github.com/mxauth/mxauth/advise/internal/plain"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
)

// change judges the planned certificate against the published records.
func (f *outlook) change(h *engine.Host, v *survey.HostView) {
	switch {
	case len(f.o.Next.SPKI) == 0 || h.DANE.State == dane.Failed:
		return // none is planned, or what the records say is not known
	case h.DANE.State != dane.Usable:
		f.add(SwitchFree, f.s.At, Notice, h.Name, "7672 s.2.2", "Switch at any time; an MTA-STS policy still asks for a certificate of a public CA with the host's name.",
			"No TLSA record of %s has a say, so none must be published for the planned certificate.", h.String())
		return
	}
	life, known := f.o.TTL, true
	if life == 0 {
		life, known = last(h.DANE.TLSA).PublishedTTL()
	}
	r := dane.CheckRollover(dane.RolloverRequest{
		Set: h.DANE.Set, TTL: life, Published: f.o.Published, Current: current(v), Next: f.o.Next.Peer(),
		Options: dane.Options{References: h.DANERefs, At: f.s.At},
	})
	switch r.State {
	case dane.RolloverPublish:
		e := f.add(SwitchPublish, f.s.At, Broken, h.Name, "7671 s.8.1", "Publish the lines below in addition to the present records, wait for twice their TTL"+twice(life)+", then switch."+assumed(known),
			"No TLSA record of %s matches the planned certificate: switching to it now stops mail.", h.String())
		if owner, err := dane.Owner(h.DANE.Base, h.Port); err == nil {
			for _, m := range r.Missing {
				e.Publish = append(e.Publish, plain.Text(dane.Entry{Owner: owner, TTL: life, Record: m}.Zone()))
			}
		}
	case dane.RolloverUnfit:
		f.add(SwitchUnfit, f.s.At, Broken, h.Name, "7671 s.5.2", "Get another certificate, or have the server send the missing ones of the chain.",
			"The planned certificate of %s fails although a TLSA record matches (%v).", h.String(), r.NextErr)
		return
	case dane.RolloverWait, dane.RolloverSafe:
		f.add(SwitchEarliest, r.Earliest, Notice, h.Name, "7671 s.8.1", "Switch then, and not before: a sender may still have the records as they were."+assumed(known),
			"From then on %s may show the planned certificate.", h.String())
	}
	if !r.Latest.IsZero() {
		f.add(SwitchLatest, r.Latest, Broken, h.Name, "7671 s.8.1", "Switch before then.", "By then %s must have switched: its present certificate counts no longer.", h.String())
	}
}

// current is what the host shows now.
func current(v *survey.HostView) dane.Peer {
	for _, a := range v.Probe.Addresses {
		if a.Peer.Event == engine.HandshakeDone {
			return dane.Peer{Chain: a.Peer.Chain, RawKey: a.Peer.RawKey}
		}
	}
	return dane.Peer{}
}

// twice says how long two lives of a record are, if that is known.
func twice(ttl time.Duration) string {
	if ttl == 0 {
		return ""
	}
	return " (" + plain.Span(2*ttl) + ")"
}

// assumed says that the TTL is a guess.
func assumed(known bool) string {
	if known {
		return ""
	}
	return " The TTL of the records in their zone is not known here; unless it is given, a day is assumed."
}
