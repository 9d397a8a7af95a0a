package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/mxauth/mxauth/conformance/vectors/rpl"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/anchor"
	"github.com/mxauth/mxauth/rfc6125"
)

// ErrNotApplicable is wrapped by the error of a scenario that asks for something a
// stub that validates does not do, as its content shows.
var ErrNotApplicable = errors.New("does not apply")

// ErrMismatch is wrapped by the error of a scenario whose outcome is not the expected
// one.
var ErrMismatch = errors.New("not as expected")

// caseTimeout bounds one scenario: all of it runs in memory.
const caseTimeout = 20 * time.Second

// RunScenario runs a scenario. A nil error means that every check came out; else the
// error wraps [ErrMismatch] or [ErrNotApplicable], or says that the scenario cannot be
// read.
func RunScenario(r io.Reader) error {
	_, err := runScenario(r)
	return err
}

// runScenario also returns a log of what was asked.
func runScenario(r io.Reader) ([]string, error) {
	f, err := rpl.Parse(r)
	if err != nil {
		return nil, err
	}
	if err := applies(f); err != nil {
		return nil, err
	}
	up, err := newRecursor(f)
	if err != nil {
		return nil, err
	}
	s := &scenario{file: f, up: up}
	if err := s.configure(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()
	err = s.run(ctx)
	return up.log, err
}

// A scenario is one that is running.
type scenario struct {
	file *rpl.File
	up   *recursor
	cfg  dnssec.ValidatorConfig
	now  time.Time

	v      *dnssec.Validator
	asked  *rpl.Entry
	kept   map[dnssec.Question]dnssec.Answer
	answer dnssec.Answer
	err    error
	checks int
	// partial is set if the answer checked last is an alias without its target.
	partial bool
	waits   bool // there was a step in which nothing happens
}

func (s *scenario) configure() error {
	s.cfg = dnssec.ValidatorConfig{
		Upstream:   s.up,
		Anchors:    []anchor.Anchor{},
		Algorithms: Algorithms(),
		Now:        func() time.Time { return s.now },
	}
	s.now = someTime(s.file)
	for _, o := range s.file.Options {
		switch o.Name {
		case "trust-anchor":
			a, err := anchor.Parse(strings.NewReader(o.Value + "\n"))
			if err != nil {
				return fmt.Errorf("replay: trust anchor: %w", err)
			}
			s.cfg.Anchors = append(s.cfg.Anchors, a...)
		case "domain-insecure":
			n, err := rfc6125.ParseName(o.Value)
			if err != nil {
				return err
			}
			s.cfg.NegativeAnchors = append(s.cfg.NegativeAnchors, dnssec.NegativeAnchor{Name: n, Reason: "domain-insecure"})
		case "val-override-date":
			if o.Value == "-1" {
				continue // whatever time suits the signatures
			}
			t, err := time.Parse("20060102150405", o.Value)
			if err != nil {
				return fmt.Errorf("replay: %w", err)
			}
			s.now = t
		case "val-override-timestamp":
			n, err := strconv.ParseInt(o.Value, 10, 64)
			if err != nil {
				return fmt.Errorf("replay: %w", err)
			}
			s.now = time.Unix(n, 0).UTC()
		case "val-nsec3-keysize-iterations":
			// Pairs of key size and limit; we have one limit for all sizes.
			w := strings.Fields(o.Value)
			if len(w) >= 2 {
				if n, err := strconv.Atoi(w[1]); err == nil {
					s.cfg.MaxNSEC3Iterations = n
				}
			}
		}
	}
	return s.restart()
}

// restart begins with nothing remembered.
func (s *scenario) restart() (err error) {
	s.kept = map[dnssec.Question]dnssec.Answer{}
	s.v, err = dnssec.NewValidator(s.cfg)
	return err
}

// someTime is the time at which most signatures of the scenario are valid: the last
// of their inceptions that is not after the first expiration.
func someTime(f *rpl.File) time.Time {
	var starts, ends []uint32
	for _, rg := range f.Ranges {
		for _, e := range rg.Entries {
			for _, section := range [][]string{e.Answer, e.Authority} {
				for _, line := range section {
					if !strings.Contains(line, "RRSIG") {
						continue
					}
					if rr, err := readRecord(line); err == nil {
						if sig, ok := rr.(*dns.RRSIG); ok {
							starts, ends = append(starts, sig.Inception), append(ends, sig.Expiration)
						}
					}
				}
			}
		}
	}
	best, most := int64(1<<30), -1
	for _, t := range starts {
		n := 0
		for i := range starts {
			if starts[i] <= t && t <= ends[i] {
				n++
			}
		}
		if n > most {
			best, most = int64(t), n
		}
	}
	return time.Unix(best, 0).UTC()
}

func (s *scenario) run(ctx context.Context) error {
	for i := range s.file.Steps {
		st := &s.file.Steps[i]
		s.up.at(st.N)
		switch st.Event {
		case "QUERY":
			if err := s.query(ctx, st); err != nil {
				return err
			}
		case "CHECK_ANSWER":
			if err := s.check(st); err != nil {
				return s.explain(fmt.Errorf("step %d: %w", st.N, err))
			}
		case "TIME_PASSES":
			if err := s.pass(st); err != nil {
				return err
			}
		case "FLUSH_MESSAGE", "EXPIRE_MESSAGE":
			if err := s.restart(); err != nil {
				return err
			}
		case "NOTHING":
			s.waits = true
		case "TRAFFIC", "INFRA_RTT", "CHECK_OUT_QUERY", "REPLY":
		default:
			return fmt.Errorf("%w: step %s is for a resolver that asks name servers", ErrNotApplicable, st.Event)
		}
	}
	if s.checks == 0 {
		return fmt.Errorf("%w: no check of an answer that says anything of validation", ErrNotApplicable)
	}
	return nil
}

// explain turns a mismatch into "does not apply" where the scenario's content is the
// cause.
func (s *scenario) explain(err error) error {
	if !errors.Is(err, ErrMismatch) {
		return err
	}
	name, typ, qerr := readQuestion(s.asked.Question[0])
	if qerr == nil && s.up.hasLost(name, typ) {
		return fmt.Errorf("%w: no server answers a question, so the answer is to come from what the resolver remembers of others (%s %s: %v)", ErrNotApplicable, name, dns.Type(typ), err)
	}
	if s.partial {
		return fmt.Errorf("%w: the expected answer ends at an alias without its target; we ask on, or fail (%v)", ErrNotApplicable, err)
	}
	if s.err == nil && s.answer.Reason.Code == dnssec.ReasonUnsupportedAlgorithm {
		return fmt.Errorf("%w: it needs an algorithm or a digest that is not supported, here or by mxauth (%v)", ErrNotApplicable, err)
	}
	if s.waits {
		return fmt.Errorf("%w: the outcome depends on when an answer arrives (%v)", ErrNotApplicable, err)
	}
	if why := s.feature(); why != "" {
		return fmt.Errorf("%w: %s (%v)", ErrNotApplicable, why, err)
	}
	if q := s.up.anySplit(); q != "" {
		return fmt.Errorf("%w: servers of one zone answer differently, so it matters which is asked, and who is asked again (%s: %v)", ErrNotApplicable, q, err)
	}
	return err
}

// features are options of a resolver that make answers other than those of validation;
// the value is the one that switches them on, "" for any.
var features = []struct{ name, value, why string }{
	{"harden-algo-downgrade", "yes", "every algorithm of a zone has to sign, which RFC 6840 section 5.11 forbids a validator to insist on"},
	{"harden-dnssec-stripped", "no", "a zone without its keys counts as unsigned, which RFC 4035 section 5 forbids"},
	{"val-permissive-mode", "yes", "bogus answers are handed out"},
	{"ignore-cd-flag", "yes", "the client's CD flag is ignored"},
	{"serve-expired", "yes", "answers are given after their end"},
	{"local-data", "", "the resolver makes answers of its own"},
	{"response-ip", "", "the resolver makes answers of its own"},
	{"response-ip-tag", "", "the resolver makes answers of its own"},
	{"rpz", "", "the resolver makes answers of its own"},
	{"dns64-prefix", "", "the resolver makes answers of its own"},
	{"ratelimit", "", "the resolver refuses work"},
	{"ip-ratelimit", "", "the resolver refuses work"},
	{"val-sig-skew-min", "", "dates are taken with a tolerance, which we do not have"},
	{"val-sig-skew-max", "", "dates are taken with a tolerance, which we do not have"},
}

// feature returns which option of the scenario switches such a feature on; "" for none.
func (s *scenario) feature() string {
	for _, o := range s.file.Options {
		for _, f := range features {
			if o.Name == f.name && (f.value == "" || strings.EqualFold(o.Value, f.value)) {
				return fmt.Sprintf("option %s: %s: %s", o.Name, o.Value, f.why)
			}
		}
	}
	return ""
}

func (s *scenario) pass(st *rpl.Step) error {
	for i, a := range st.Args {
		w := strings.Fields(a)
		if strings.EqualFold(a, "ELAPSE") && i+1 < len(st.Args) {
			w = []string{a, st.Args[i+1]}
		}
		if len(w) == 2 && strings.EqualFold(w[0], "ELAPSE") {
			sec, err := strconv.ParseFloat(w[1], 64)
			if err != nil {
				return fmt.Errorf("replay: %w", err)
			}
			s.now = s.now.Add(time.Duration(sec * float64(time.Second)))
			return nil
		}
	}
	return fmt.Errorf("replay: TIME_PASSES without ELAPSE")
}

func (s *scenario) query(ctx context.Context, st *rpl.Step) error {
	if st.Entry == nil || len(st.Entry.Question) == 0 {
		return fmt.Errorf("%w: a client query that is none", ErrNotApplicable)
	}
	name, typ, err := readQuestion(st.Entry.Question[0])
	if err != nil {
		return err
	}
	n, err := rfc6125.ParseName(name)
	if err != nil {
		return err
	}
	q := dnssec.Question{Name: n, Type: dnssec.Type(typ)}
	s.asked = st.Entry
	s.err = nil
	// The scenarios are for a resolver that remembers answers.
	if a, ok := s.kept[q]; ok && s.now.Before(a.Expires) {
		s.answer = a
		return nil
	}
	if s.answer, s.err = s.v.Resolve(ctx, q); s.err == nil {
		s.kept[q] = s.answer
	}
	return nil
}

// check compares the last answer with the expected one.
func (s *scenario) check(st *rpl.Step) error {
	if s.asked == nil || st.Entry == nil {
		return fmt.Errorf("%w: a check without a query", ErrNotApplicable)
	}
	if rpl.Has(s.asked.Reply, "CD") {
		return nil // the client asked for unvalidated data
	}
	want := st.Entry
	all := rpl.Has(want.Match, "all")
	s.checks++
	var err error
	if s.partial, err = isPartial(want); err != nil {
		return err
	}
	rcode := ""
	for _, w := range want.Reply {
		if _, ok := dns.StringToRcode[strings.ToUpper(w)]; ok {
			rcode = strings.ToUpper(w)
		}
	}
	if rcode == "SERVFAIL" || rcode == "YXDOMAIN" {
		if s.err == nil {
			return s.mismatch(want, "an error")
		}
		return nil
	}
	if s.err != nil {
		return s.mismatch(want, "an answer")
	}
	if all || rpl.Has(want.Match, "flags") {
		wantsAD := rpl.Has(want.Reply, "AD")
		tells := rpl.Has(s.asked.Reply, "DO") || rpl.Has(s.asked.Reply, "AD")
		if wantsAD && s.answer.Status != dnssec.Secure {
			return s.mismatch(want, "secure")
		}
		if !wantsAD && tells && s.answer.Status != dnssec.Insecure {
			return s.mismatch(want, "insecure")
		}
	}
	if all || rpl.Has(want.Match, "rcode") {
		if nx := s.answer.Kind == dnssec.NXDomain; nx != (rcode == "NXDOMAIN") {
			return s.mismatch(want, rcode)
		}
	}
	if (all || rpl.Has(want.Match, "answer")) && s.answer.Question.Type != dnssec.Type(dns.TypeANY) {
		// What an answer to ANY holds is the server's choice (RFC 8482).
		exp, err := expectedRecords(want, s.answer.Final)
		if err != nil {
			return err
		}
		got := gotRecords(s.answer)
		if !slices.Equal(exp, got) {
			return s.mismatch(want, fmt.Sprintf("records %q, not %q", exp, got))
		}
	}
	return nil
}

func (s *scenario) mismatch(want *rpl.Entry, what string) error {
	if s.err != nil {
		return fmt.Errorf("%w: %s: want %s, got %w", ErrMismatch, strings.Join(s.asked.Question, " "), what, s.err)
	}
	return fmt.Errorf("%w: %s: want %s, got %s %s (%s)", ErrMismatch, strings.Join(s.asked.Question, " "), what, s.answer.Status, s.answer.Kind, s.answer.Reason)
}

// isPartial reports whether a check wants an alias without its target or a denial of
// that.
func isPartial(want *rpl.Entry) (bool, error) {
	rrs, err := readRecords(want.Answer)
	if err != nil || len(rrs) == 0 || len(want.Question) == 0 {
		return false, err
	}
	name, typ, err := readQuestion(want.Question[0])
	if err != nil || typ == dns.TypeCNAME || typ == dns.TypeANY {
		return false, err
	}
	for range rrs {
		for _, rr := range rrs {
			if c, ok := rr.(*dns.CNAME); ok && dns.CanonicalName(c.Hdr.Name) == name {
				name = dns.CanonicalName(c.Target)
			}
		}
	}
	for _, rr := range rrs {
		if rr.Header().Rrtype == typ && dns.CanonicalName(rr.Header().Name) == name {
			return false, nil
		}
	}
	authority, err := readRecords(want.Authority)
	return !slices.ContainsFunc(authority, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA }), err
}

// expectedRecords are the records that a check wants, signatures and DNAMEs (which our
// answers do not hold) left out, each as owner, type and canonical RDATA.
func expectedRecords(want *rpl.Entry, final rfc6125.Name) ([]string, error) {
	rrs, err := readRecords(want.Answer)
	if err != nil {
		return nil, err
	}
	_, typ, err := readQuestion(want.Question[0])
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, rr := range rrs {
		switch t := rr.Header().Rrtype; t {
		case dns.TypeRRSIG, dns.TypeDNAME:
			if t != typ || dns.CanonicalName(rr.Header().Name) != final.FQDN() {
				continue
			}
		}
		key, err := recordKey(rr)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	sort.Strings(out)
	return slices.Compact(out), nil
}

func gotRecords(a dnssec.Answer) []string {
	out := []string{}
	for _, s := range a.Chain {
		out = append(out, key(s.Owner, uint16(dnssec.TypeCNAME), s.Target.Wire()))
	}
	for _, r := range a.Records {
		out = append(out, key(a.Final, uint16(r.Type), r.Data))
	}
	sort.Strings(out)
	return slices.Compact(out)
}
