package peers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/mxauth/mxauth/rfc6125"
)

// Where the programs of the comparison over generated zones listen.
const (
	worldPlain   = "127.0.55.2" // Unbound that does not validate
	worldUnbound = "127.0.55.3" // Unbound that does
)

// What is asked if the environment does not say otherwise.
const (
	worldSeed      = 14
	worldQuestions = 6000
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
	world := generate.New
	if os.Getenv("MXAUTH_DIFFERENTIAL_SHORT_TTLS") != "" {
		world = generate.NewShortLived
	}
	c := convene(t, seed, world)
	trials := make([]trial, n)
	var g errgroup.Group
	g.SetLimit(worldAtOnce)
	forDelv := sample{}
	for i, q := range c.world.Questions(int(n)) {
		trials[i] = trial{q: q, truth: c.world.Truth(q.Name, q.Type)}
		delv := forDelv.takes(i, trials[i])
		g.Go(func() error { return c.try(ctx, &trials[i], delv) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	all := judge(t, c.world, trials)
	if seed == worldSeed && n >= worldQuestions { // of other seeds some kind may be rarer
		all.complete(t)
	}
	t.Logf("%d questions, %d of them to delv; statuses %v; differences explained %v", n, all.toDelv, all.statuses, all.explained)
}

// agedSeeds are those that once showed a verdict that depended on what had expired in the
// resolver's cache.
var agedSeeds = []uint64{14, 424242, 990017}

// Each of agedSeeds is asked so many questions, the same ones in each round: in the later
// rounds a part of what the first one left in the resolver's cache has expired.
const (
	agedQuestions = 1500
	agedRounds    = 3
)

// TestDifferentialExpired: over zones whose TTLs are shorter than the test, mxauth's
// validator says what must be said, whatever has expired in the cache of the Unbound that
// it asks (issue 1/8, F7).
func TestDifferentialExpired(t *testing.T) {
	peers.Require(t, "unbound")
	seeds, n := agedSeeds, environment(t, "MXAUTH_DIFFERENTIAL_QUESTIONS", agedQuestions)
	if os.Getenv("MXAUTH_DIFFERENTIAL_SEED") != "" {
		seeds = []uint64{environment(t, "MXAUTH_DIFFERENTIAL_SEED", 0)}
	}
	for _, seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), worldDeadline)
			defer cancel()
			w, err := generate.NewShortLived(seed, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			peers.StartWorld(t, w)
			peers.StartUnbound(t, peers.Dir(t), peers.Resolver{Address: worldPlain, Root: generate.ServerAddress, Extra: peers.Plainly})
			v := validatorBehind(t, worldPlain, w.Anchor())
			questions := w.Questions(int(n))
			for range agedRounds {
				trials := make([]trial, len(questions))
				var g errgroup.Group
				g.SetLimit(worldAtOnce)
				for i, q := range questions {
					trials[i] = trial{q: q, truth: w.Truth(q.Name, q.Type)}
					g.Go(func() (err error) {
						trials[i].ours, err = ofValidator(ctx, v, q)
						return err
					})
				}
				if err := g.Wait(); err != nil {
					t.Fatal(err)
				}
				for _, tr := range trials {
					if truth := ofTruth(tr.truth); !tr.ours.agrees(truth) {
						t.Errorf("%s in %s\n\tis %s: %s\n\tmxauth says %s (%s)", tr.q, w.Spec(tr.truth.Final), truth, strings.Join(tr.truth.Marks, " "), tr.ours, tr.ours.note)
					}
				}
			}
		})
	}
}

// convene starts the programs.
func convene(t *testing.T, seed uint64, world func(uint64, time.Time) (*generate.World, error)) court {
	t.Helper()
	w, err := world(seed, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := peers.Dir(t)
	peers.StartWorld(t, w)
	for _, r := range []peers.Resolver{{Address: worldPlain}, {Address: worldUnbound, Anchor: w.Anchor()}} {
		r.Root, r.Extra = generate.ServerAddress, peers.Plainly
		peers.StartUnbound(t, dir, r)
	}
	c := court{w, validatorBehind(t, worldPlain, w.Anchor()), filepath.Join(dir, "delv.anchors")}
	if err := writeDelvAnchor(c.anchors, w.Anchor()); err != nil {
		t.Fatal(err)
	}
	return c
}

// A sample chooses what delv is asked, which is started for each question: some of
// everything, and some of what it is known to differ in.
type sample map[string]int

func (s sample) takes(i int, tr trial) bool {
	yes := i%delvEvery == 0
	for _, m := range tr.truth.Marks {
		yes = yes || s[m] < 2
		s[m]++
	}
	for _, r := range reasons {
		if r.peer == "delv" && r.promising(tr) {
			yes = yes || s[r.String()] < 25
			s[r.String()]++
		}
	}
	return yes
}

// try asks one question.
func (c court) try(ctx context.Context, tr *trial, delv bool) error {
	var err error
	if tr.ours, err = ofValidator(ctx, c.ours, tr.q); err != nil {
		return err
	}
	if tr.unbound, err = ofUnbound(ctx, tr.q); err != nil {
		return err
	}
	if delv {
		tr.delv = ofDelv(ctx, c.anchors, tr.q)
	}
	return nil
}

// ofValidator asks our validator.
func ofValidator(ctx context.Context, v *dnssec.Validator, q generate.Question) (outcome, error) {
	name, err := rfc6125.ParseName(q.Name)
	if err != nil {
		return outcome{}, err
	}
	return ofOurs(v.Resolve(ctx, dnssec.Question{Name: name, Type: dnssec.Type(q.Type)})), nil
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
	for tries := 0; errors.Is(err, io.EOF) && tries < 3; tries++ { // it ends connections when they are many
		in, _, err = c.ExchangeContext(ctx, m, worldUnbound+":53")
	}
	if err != nil {
		return outcome{}, fmt.Errorf("unbound: %s: %w", q, err)
	}
	o := outcome{status: "insecure", rcode: dns.RcodeToString[in.Rcode], note: fmt.Sprint(extended(in))}
	switch {
	case in.Rcode == dns.RcodeServerFailure && sawBogus(in):
		o.status = "bogus"
	case in.Rcode == dns.RcodeServerFailure:
		o.status = "failed"
	case in.AuthenticatedData:
		o.status = "secure"
	}
	var records []dns.RR
	o.final, records = atEnd(q, in.Answer)
	o.data = generate.Data(records)
	return o, nil
}

// bogusErrors are the extended errors of a failed validation (RFC 8914 section 4).
var bogusErrors = []uint16{dns.ExtendedErrorCodeUnsupportedDNSKEYAlgorithm, dns.ExtendedErrorCodeDNSBogus, dns.ExtendedErrorCodeSignatureExpired, dns.ExtendedErrorCodeSignatureNotYetValid,
	dns.ExtendedErrorCodeDNSKEYMissing, dns.ExtendedErrorCodeRRSIGsMissing, dns.ExtendedErrorCodeNoZoneKeyBitSet, dns.ExtendedErrorCodeNSECMissing}

// sawBogus reports whether a SERVFAIL is for a failed validation. One that Unbound
// remembers has no extended error; those for servers that fail always have.
func sawBogus(m *dns.Msg) bool {
	return len(extended(m)) == 0 || slices.ContainsFunc(extended(m), func(e *dns.EDNS0_EDE) bool { return slices.Contains(bogusErrors, e.InfoCode) })
}

// extended are the extended errors of a message (RFC 8914).
func extended(m *dns.Msg) (out []*dns.EDNS0_EDE) {
	opt := m.IsEdns0()
	if opt == nil {
		return nil
	}
	for _, o := range opt.Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok {
			out = append(out, e)
		}
	}
	return out
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

// A tally counts the results of all trials.
type tally struct {
	statuses  map[string]int // of the validator
	explained map[string]int
	toDelv    int
	truths    []generate.Truth
}

// judge holds the trials against the truth.
func judge(t *testing.T, w *generate.World, trials []trial) tally {
	t.Helper()
	out := tally{statuses: map[string]int{}, explained: map[string]int{}}
	for _, tr := range trials {
		out.statuses[tr.ours.status]++
		out.truths = append(out.truths, tr.truth)
		said := map[string]outcome{"mxauth": tr.ours, "unbound": tr.unbound}
		if tr.delv.status != "" {
			out.toDelv++
			said["delv"] = tr.delv
		}
		truth := ofTruth(tr.truth)
		for who, o := range said {
			if o.agrees(truth) {
				continue
			}
			why := reasonFor(who, tr, o)
			if why == "" {
				t.Errorf("seed %d: %s in %s\n\tis %s: %s\n\t%s says %s (%s)\n\tmxauth says %s (%s)", w.Seed, tr.q, w.Spec(tr.truth.Final),
					truth, strings.Join(tr.truth.Marks, " "), who, o, o.note, tr.ours, tr.ours.note)
			}
			out.explained[why]++
		}
	}
	return out
}

// complete wants enough of everything, and no reason that explains nothing.
func (a tally) complete(t *testing.T) {
	t.Helper()
	for _, s := range []string{"secure", "insecure", "bogus"} {
		if a.statuses[s] < len(a.truths)/6 {
			t.Errorf("%d of %d questions are %s", a.statuses[s], len(a.truths), s)
		}
	}
	if a.toDelv < 100 {
		t.Errorf("only %d questions were asked of delv", a.toDelv)
	}
	if lacking := generate.Lacking(a.truths); len(lacking) > 0 {
		t.Errorf("too few questions of %q", lacking)
	}
	for _, r := range reasons {
		if a.explained[r.String()] == 0 && !r.rare {
			t.Errorf("%s explains nothing any more", r)
		}
	}
}

// agrees reports whether two outcomes are the same, as far as o says anything.
func (o outcome) agrees(with outcome) bool {
	if o.rcode == "" {
		return o.status == with.status
	}
	return o.String() == with.String()
}

// delvTries is how often delv is asked something that it gives up on.
const delvTries = 3

// ofDelv runs delv, which validates by itself what the plain Unbound answers. The zero
// outcome means that delv gave up each time, which on a loaded machine it does after a
// timeout of its own; that is no verdict.
func ofDelv(ctx context.Context, anchors string, q generate.Question) outcome {
	for range delvTries {
		out := runDelv(ctx, anchors, worldPlain, q.Name, dns.TypeToString[q.Type])
		if strings.Contains(out, "operation canceled") || strings.Contains(out, "timed out") {
			continue
		}
		return outcome{status: delvSays(out), note: strings.Join(strings.Split(out, "\n")[:min(6, strings.Count(out, "\n"))], " | ")}
	}
	return outcome{}
}
