package lint

import (
	"slices"
	"strings"

	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/sts"
	"github.com/mxauth/mxauth/tlsrpt"
)

// Path is the shortest safe way for a domain that has neither mechanism to both, in steps
// with the time to wait after each; nil if the domain has one, or something that is meant to
// be one, which [Check] judges.
func Path(s survey.Snapshot) []Step {
	for _, f := range Check(s) {
		if f.ID == Nothing {
			return f.Steps
		}
	}
	return nil
}

// path is the way to both mechanisms: reports first, so that failures are heard of; what
// refuses nothing next; what takes preparation, and may refuse, last.
func (r *report) path() []Step {
	var out []Step
	if r.snap.TLSRPTErr != nil {
		out = append(out, r.reportsStep())
	}
	out = append(out, r.tlsaUnpublished()...)
	out = append(out, r.stsPath()...)
	var unsigned []string
	add := func(d string) {
		if !slices.Contains(unsigned, d) {
			unsigned = append(unsigned, d)
		}
	}
	if r.snap.Plan.MX.Status == dnssec.Insecure {
		add(r.snap.Plan.Orig.Registrable())
	}
	for i := range r.snap.Plan.Hosts {
		h := &r.snap.Plan.Hosts[i]
		if h.Name.IsValid() && h.DANE.State == dane.NA && h.DANE.Address == dane.AddressOK {
			add(h.Name.Registrable())
		}
	}
	if len(unsigned) > 0 {
		out = append(out, do("For DANE sign "+listText(unsigned)+" with DNSSEC and have the DS records published in the zones above. Once that is done, mxauth lint "+r.snap.Plan.Orig.String()+" names the TLSA records to publish."))
	}
	return out
}

// stsPath is the way to an MTA-STS policy in force.
func (r *report) stsPath() []Step {
	s, ok := r.serveStep(sts.ModeTesting)
	if !ok {
		return nil
	}
	out := []Step{s.wait(testingTime)}
	return append(out, r.enforceSteps()...)
}

func tlsrptMeans(txt string) bool { return tlsrpt.MeansRecord(txt) }

// destinations are those that a TLSRPT record names, in whatever way it is written; "" if
// there are none to which reports can go.
func destinations(texts []string) string {
	var out []string
	for _, t := range texts {
		if !tlsrpt.MeansRecord(t) {
			continue
		}
		for _, w := range strings.FieldsFunc(t, func(c rune) bool { return strings.ContainsRune(" \t,;\"'=<>", c) || c > '~' }) {
			low := strings.ToLower(w)
			mail, isMail := strings.CutPrefix(low, "mailto:")
			if !isMail && !strings.HasPrefix(low, "https://") && strings.Count(w, "@") == 1 && !strings.Contains(w, ":") {
				w, mail, isMail = "mailto:"+w, w, true
			}
			switch {
			case isMail && (strings.Count(mail, "@") != 1 || strings.HasPrefix(mail, "@") || strings.HasSuffix(mail, "@")):
			case isMail || strings.HasPrefix(low, "https://"):
				if _, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=" + w); err == nil && !slices.Contains(out, w) {
					out = append(out, w)
				}
			}
		}
	}
	return strings.Join(out, ",")
}
