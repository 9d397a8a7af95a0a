package lint

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// A misfit is why a policy in force would stop the mail to a host.
type misfit uint8

const (
	misfitSilent misfit = iota // does not answer, so that nothing is known
	misfitNoTLS
	misfitCertificate
)

// misfitOf says what keeps a host from satisfying a policy, and what it shows.
func (r *report) misfitOf(h rfc6125.Host) (misfit, string) {
	for i := range r.snap.Plan.Hosts {
		if r.snap.Plan.Hosts[i].Name != h {
			continue
		}
		for _, a := range r.snap.Hosts[i].Probe.Addresses {
			switch {
			case r.snap.Roots == nil:
				return misfitSilent, "" // nothing can be said of certificates
			case a.Peer.Event == engine.HandshakeDone && len(a.Peer.Chain) > 0 && !a.Peer.Outdated():
				if fault := r.certificateFault(a.Peer.Chain, h); fault != "" {
					return misfitCertificate, fault
				}
			case a.Peer.Event == engine.HandshakeDone && len(a.Peer.Certificates()) > 0 && !a.Peer.Outdated():
				return misfitCertificate, "its certificate is written in a way that not every TLS library reads"
			case a.Peer.Event != engine.NoConnection:
				return misfitNoTLS, ""
			}
		}
	}
	return misfitSilent, ""
}

// notChecked are names that the MX records should have and that this look did not connect
// to.
func (r *report) notChecked() []string {
	var out []string
	for _, x := range r.mxRecords() {
		known := x.moved || !x.to.IsValid() || x.to.IsRoot()
		for i := range r.snap.Plan.Hosts {
			known = known || r.snap.Plan.Hosts[i].Name.Name() == x.to
		}
		if !known {
			out = append(out, strings.TrimSuffix(x.to.FQDN(), "."))
		}
	}
	return out
}

// certificateFault says in a few words why a chain does not satisfy MTA-STS for a name; ""
// if it does.
func (r *report) certificateFault(chain []*x509.Certificate, name rfc6125.Host) string {
	err := r.webpki(chain, name)
	leaf := chain[0]
	switch {
	case err == nil:
		return ""
	case errors.Is(err, pkix.ErrName):
		return namesOf(presentedNames(chain))
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		return "it is self-signed"
	case leaf.NotAfter.Before(r.snap.At):
		return "it expired on " + leaf.NotAfter.UTC().Format(time.DateOnly)
	case leaf.NotBefore.After(r.snap.At):
		return "it is not valid before " + leaf.NotBefore.UTC().Format(time.DateOnly)
	}
	return explain.Cause(err)
}

// misfitSteps are what has to be done before a policy can be enforced, one step for each
// cause and each organisation that has to do it.
func (r *report) misfitSteps() []Step {
	type group struct {
		why     misfit
		foreign string // the domain of another organisation; "" for the domain's own hosts
	}
	var order []group
	hosts, seen := map[group][]string{}, map[group]string{}
	for _, h := range r.misfits() {
		why, shows := r.misfitOf(h)
		g := group{why, r.foreign(h)}
		if _, known := hosts[g]; !known {
			order = append(order, g)
			seen[g] = shows
		}
		hosts[g] = append(hosts[g], h.String())
	}
	var out []Step
	if l := r.notChecked(); len(l) > 0 {
		dom := r.snap.Plan.Orig.String()
		out = append(out, do("First correct the MX records and run mxauth lint "+dom+" again: whether "+listText(l)+" fits a policy has not been checked."))
	}
	for _, g := range order {
		list := hosts[g]
		who, of := "First", listText(list)
		if g.foreign != "" {
			who = "First ask the owner of " + g.foreign + ", or do it yourself if that is you:"
		}
		switch {
		case g.why == misfitNoTLS:
			out = append(out, do(fmt.Sprintf("%s see that STARTTLS with TLS 1.2 or later is offered by %s: without it a policy in force stops mail.", who, of)))
		case g.why == misfitSilent:
			out = append(out, do(fmt.Sprintf("%s see that port 25 answers, with a certificate of a public CA for the host's own name, at %s.", who, of)))
		case len(list) == 1:
			out = append(out, do(fmt.Sprintf("%s get a certificate of a public CA that names %s, with the whole chain. What it shows now would be refused: %s.", who, of, seen[g])))
		default:
			out = append(out, do(fmt.Sprintf("%s get certificates of a public CA, with the whole chain, in which each of these hosts finds its own name: %s. What %s shows now would be refused: %s.", who, of, list[0], seen[g])))
		}
	}
	return out
}

// foreign is the domain of another organisation that a host belongs to; "" for a host of
// the domain's own.
func (r *report) foreign(h rfc6125.Host) string {
	if d := h.Registrable(); d != r.snap.Plan.Orig.Registrable() {
		return d
	}
	return ""
}

// listText lists names: "a, b and c".
func listText(l []string) string {
	if len(l) < 2 {
		return strings.Join(l, "")
	}
	return strings.Join(l[:len(l)-1], ", ") + " and " + l[len(l)-1]
}
