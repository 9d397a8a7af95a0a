package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/advise/lint"
	"github.com/mxauth/mxauth/advise/survey"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/httpdoor"
	"github.com/mxauth/mxauth/cmd/mxauth/internal/page"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/docs"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/evidence"
	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/sts"
)

// newPage makes the page of a listener.
func (d *service) newPage() http.Handler {
	pace := httpdoor.NewPace(d.e.now)
	return page.New(page.Config{Source: pageSource{d}, Admit: pace.Take, Timeout: httpdoor.AnswerTime, Version: version(), Logger: d.log})
}

// pageSource is the daemon as the page sees it. It changes nothing: what hosts show is not
// remembered.
type pageSource struct{ d *service }

// Look implements [page.Source]. The verdict is by the settings of this daemon; the advice to
// the owner of the domain is that of mxauth lint.
func (s pageSource) Look(ctx context.Context, domain string) (page.Answer, error) {
	d := s.d
	client, done := d.use()
	defer done()
	request := d.request
	request.NextHop, request.Sorted = domain, true
	var findings []lint.Finding
	late := false
	var g errgroup.Group
	g.Go(func() error {
		// The verdict does not wait for advice that comes too late.
		sctx, cancel := context.WithTimeout(ctx, httpdoor.AnswerTime*9/10)
		defer cancel()
		snap, err := survey.Collect(sctx, survey.Config{Client: client, Roots: d.trust().roots, Allow: d.base.AllowAddresses, Now: d.e.now}, domain)
		switch {
		case err == nil:
			findings = lint.Check(snap)
		case sctx.Err() != nil && ctx.Err() == nil:
			late = true
			return nil
		}
		return err
	})
	var v *verdict
	g.Go(func() error {
		found, err := client.CheckRequest(ctx, request)
		v = &verdict{Verdict: found, asked: domain}
		return err
	})
	if err := g.Wait(); err != nil {
		return page.Answer{}, err
	}
	a := page.Answer{Domain: domain, Headline: v.headline() + v.count(), Note: v.note(), Plan: v.Plan, Hosts: v.Hosts,
		Account: v.told(), Findings: findings, NoFindings: late, At: v.Plan.Made}
	for _, h := range a.Account.Hints {
		if hint := hints[h]; hint != "" {
			a.Hints = append(a.Hints, strings.ReplaceAll(hint, "{domain}", v.Plan.Orig.String()))
		}
	}
	var err error
	a.Told, err = toldOf(v.Plan, replyOptions(d.s))
	return a, err
}

// Evidence implements [page.Source]. It asks DNS and the policy host itself, since what is
// kept from before has no proof.
func (s pageSource) Evidence(ctx context.Context, domain string) ([]byte, error) {
	d := s.d
	c := d.base
	t := d.trust()
	t.apply(&c)
	c.Store, c.Memory, c.AwaitPolicies, c.Record = nil, nil, true, &evidence.Recorder{Now: d.e.now}
	c.Lookups, c.Policies = dnssec.CacheTrace{}, sts.Observer{}
	client, err := mxauth.New(c)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	request := d.request
	request.NextHop, request.Sorted = domain, true
	v, err := client.CheckRequest(ctx, request)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = client.Evidence(ctx, v).Write(&b)
	return b.Bytes(), err
}

// trust returns the anchors and certification authorities in force.
func (d *service) trust() trust {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current.trust
}

// maxToldHosts is for how many hosts the page says what Exim is told.
const maxToldHosts = 4

// toldOf returns the answer that each kind of mail server gets for a plan.
func toldOf(p *engine.Plan, o mtapolicy.Options) ([]page.Told, error) {
	var out []page.Told
	for _, f := range []struct {
		form   mtapolicy.Form
		server string
	}{{mtapolicy.Plain, "Postfix"}, {mtapolicy.Extended, "Postfix 3.10 and later"}} {
		o.Form = f.form
		r, err := mtapolicy.Postfix(p, o)
		if err != nil {
			return nil, err
		}
		out = append(out, toldReply(f.server, "the domain", r))
	}
	if a, b := &out[0], &out[1]; a.Reply == b.Reply && a.Note == b.Note && slices.Equal(a.Differs, b.Differs) {
		a.About += ", every version"
		out = out[:1]
	}
	names := []string{""}
	for i := range p.Hosts {
		if n := p.Hosts[i].Name; n.IsValid() && len(names) <= maxToldHosts && !slices.Contains(names, n.String()) {
			names = append(names, n.String())
		}
	}
	for _, n := range names {
		r, err := mtapolicy.Exim(p, n)
		if err != nil {
			return nil, err
		}
		about := n
		if n == "" {
			about = "the domain"
		}
		out = append(out, toldReply("Exim", about, r))
	}
	return out, nil
}

// toldReply is one reply.
func toldReply(server, about string, r mtapolicy.Reply) page.Told {
	t := page.Told{Server: server, About: about, Reply: r.Text}
	switch {
	case server == "Exim":
	case r.Kind == mtapolicy.NotFound:
		t.Note = "No entry: the settings of the mail server itself count, which for most is to use TLS where it is offered."
	case r.Kind == mtapolicy.TryLater:
		t.Note = "Try later: the message stays in the queue."
	}
	for _, dev := range r.Deviations {
		word := "Stricter"
		if dev.Weaker {
			word = "Weaker"
		}
		t.Differs = append(t.Differs, fmt.Sprintf("%s than this page says (`%s`). %s.", word, dev.ID, docs.Deviation(string(dev.ID))))
	}
	return t
}
