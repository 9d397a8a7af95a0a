package peers_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/generate"
	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/dnssec/upstream"
	"github.com/mxauth/mxauth/rfc6125"
)

// Where the programs of the comparison over generated zones listen.
const (
	worldPlain   = "127.0.55.2" // Unbound that does not validate
	worldUnbound = "127.0.55.3" // Unbound that does
)

// What is asked if the environment does not say otherwise.
const (
	worldSeed      = 1
	worldQuestions = 2400
	delvEvery      = 16 // delv, which is started for each question, is asked every so many-th
	worldDeadline  = 20 * time.Minute
	worldAtOnce    = 16
)

// environment reads a number from an environment variable.
func environment(t *testing.T, name string, usual uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return usual
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		t.Fatalf("%s=%q is no positive number", name, s)
	}
	return n
}

// An outcome is what somebody makes of a question.
type outcome struct {
	status string // "secure", "insecure", "bogus"; or what kind of failure it is
	rcode  string
	final  string
	data   []string
	note   string // for people
}

// String leaves out what a bogus answer would have said, and the note.
func (o outcome) String() string {
	if o.status != "secure" && o.status != "insecure" {
		return o.status
	}
	return fmt.Sprintf("%s %s %s %s", o.status, o.rcode, o.final, o.data)
}

// A trial is one question with what everybody makes of it.
type trial struct {
	q                   generate.Question
	truth               generate.Truth
	ours, unbound, delv outcome
	askedDelv           bool
}

// A court is all who are asked.
type court struct {
	world   *generate.World
	ours    *dnssec.Validator
	anchors string // file for delv
}

// TestDifferential asks the same of mxauth's validator and of Unbound, and some of it of
// delv, over zones made from a seed, and wants no difference that has no reason.
func TestDifferential(t *testing.T) {
	peers.Require(t, "unbound", "delv")
	seed := environment(t, "MXAUTH_DIFFERENTIAL_SEED", worldSeed)
	n := environment(t, "MXAUTH_DIFFERENTIAL_QUESTIONS", worldQuestions)
	ctx, cancel := context.WithTimeout(t.Context(), worldDeadline)
	defer cancel()
	c := convene(t, seed)
	trials := make([]trial, n)
	var g errgroup.Group
	g.SetLimit(worldAtOnce)
	for i, q := range c.world.Questions(int(n)) {
		g.Go(func() (err error) {
			trials[i], err = c.try(ctx, q, i%delvEvery == 0)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	judge(t, c.world, trials)
}

// convene starts the programs.
func convene(t *testing.T, seed uint64) court {
	t.Helper()
	w, err := generate.New(seed, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := peers.Dir(t)
	peers.StartWorld(t, w)
	for _, r := range []peers.Resolver{{Address: worldPlain}, {Address: worldUnbound, Anchor: w.Anchor()}} {
		r.Root, r.Extra = generate.ServerAddress, peers.Plainly
		peers.StartUnbound(t, dir, r)
	}
	anchors, err := anchor.Parse(strings.NewReader(w.Anchor()))
	if err != nil {
		t.Fatal(err)
	}
	server, err := upstream.PlainServer(netip.MustParseAddrPort(worldPlain + ":53"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := upstream.New(upstream.Config{Servers: []upstream.Server{server}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	v, err := dnssec.NewValidator(dnssec.ValidatorConfig{Upstream: client, Anchors: anchors})
	if err != nil {
		t.Fatal(err)
	}
	c := court{w, v, filepath.Join(dir, "delv.anchors")}
	if err := writeDelvAnchor(c.anchors, w.Anchor()); err != nil {
		t.Fatal(err)
	}
	return c
}

// try asks one question.
func (c court) try(ctx context.Context, q generate.Question, delv bool) (trial, error) {
	name, err := rfc6125.ParseName(q.Name)
	if err != nil {
		return trial{}, err
	}
	out := trial{q: q, truth: c.world.Truth(q.Name, q.Type), askedDelv: delv}
	out.ours = ofOurs(c.ours.Resolve(ctx, dnssec.Question{Name: name, Type: dnssec.Type(q.Type)}))
	if out.unbound, err = ofUnbound(ctx, q); err != nil {
		return out, err
	}
	if delv {
		out.delv = ofDelv(ctx, c.anchors, q)
	}
	return out, nil
}

// ofOurs is the outcome of our validator.
func ofOurs(a dnssec.Answer, err error) outcome {
	switch {
	case errors.Is(err, dnssec.ErrBogus):
		return outcome{status: "bogus", note: string(a.Reason.Code) + ": " + a.Reason.Text}
	case err != nil:
		return outcome{status: "failed", note: err.Error()}
	}
	o := outcome{status: a.Status.String(), rcode: "NOERROR", final: dns.Fqdn(a.Final.String()), note: string(a.Reason.Code)}
	if a.Kind == dnssec.NXDomain {
		o.rcode = "NXDOMAIN"
	}
	for _, r := range a.Records {
		o.data = append(o.data, fmt.Sprintf("%x", r.Data))
	}
	slices.Sort(o.data)
	return o
}

// ofTruth is the outcome that must be.
func ofTruth(t generate.Truth) outcome {
	return outcome{status: string(t.Status), rcode: dns.RcodeToString[t.Rcode], final: t.Final, data: t.Data}
}

// ofUnbound asks the Unbound that validates.
func ofUnbound(ctx context.Context, q generate.Question) (outcome, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.Name, q.Type)
	m.SetEdns0(1232, true)
	c := &dns.Client{Net: "tcp", Timeout: 30 * time.Second}
	in, _, err := c.ExchangeContext(ctx, m, worldUnbound+":53")
	if err != nil {
		return outcome{}, fmt.Errorf("unbound: %s: %w", q, err)
	}
	o := outcome{status: "insecure", rcode: dns.RcodeToString[in.Rcode], note: extended(in)}
	switch {
	case in.Rcode == dns.RcodeServerFailure:
		o.status = "bogus"
	case in.AuthenticatedData:
		o.status = "secure"
	}
	var records []dns.RR
	o.final, records = atEnd(q, in.Answer)
	o.data = generate.Data(records)
	return o, nil
}

// extended are the extended errors of a message (RFC 8914).
func extended(m *dns.Msg) string {
	var out []string
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				out = append(out, fmt.Sprintf("EDE %d %s", e.InfoCode, e.ExtraText))
			}
		}
	}
	return strings.Join(out, ", ")
}

// atEnd follows the aliases of an answer, and returns where they end and what is there.
func atEnd(q generate.Question, answer []dns.RR) (final string, records []dns.RR) {
	final = q.Name
	for range len(answer) {
		i := slices.IndexFunc(answer, func(rr dns.RR) bool {
			return rr.Header().Rrtype == dns.TypeCNAME && strings.EqualFold(rr.Header().Name, final)
		})
		if i < 0 || q.Type == dns.TypeCNAME {
			break
		}
		final = strings.ToLower(answer[i].(*dns.CNAME).Target)
	}
	for _, rr := range answer {
		if rr.Header().Rrtype == q.Type && strings.EqualFold(rr.Header().Name, final) {
			records = append(records, rr)
		}
	}
	return final, records
}

// judge holds the trials against the truth.
func judge(t *testing.T, w *generate.World, trials []trial) {
	t.Helper()
	for _, tr := range trials {
		truth := ofTruth(tr.truth)
		for _, p := range []struct {
			name string
			said outcome
		}{{"mxauth", tr.ours}, {"unbound", tr.unbound}, {"delv", tr.delv}} {
			if p.said.status == "" || p.said.agrees(truth) {
				continue
			}
			if why := explain(p.name, tr, p.said); why != "" {
				continue
			}
			t.Errorf("seed %d: %s in %s\n\tis:   %s: %s\n\t%s says:    %s (%s)", w.Seed, tr.q, w.Spec(tr.truth.Final), truth, strings.Join(tr.truth.Marks, " "), p.name, p.said, p.said.note)
		}
	}
	t.Logf("%d questions", len(trials))
}

// agrees reports whether two outcomes are the same, as far as o says anything.
func (o outcome) agrees(with outcome) bool {
	if o.rcode == "" {
		return o.status == with.status
	}
	return o.String() == with.String()
}

// ofDelv runs delv, which validates by itself what the plain Unbound hands on.
func ofDelv(ctx context.Context, anchors string, q generate.Question) outcome {
	out := runDelv(ctx, anchors, worldPlain, q.Name, dns.TypeToString[q.Type])
	return outcome{status: delvSays(out), note: strings.Join(strings.Split(out, "\n")[:min(6, strings.Count(out, "\n"))], " | ")}
}
