package dnssec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
)

// A Resource is one of the quantities that a [Budget] counts.
type Resource uint8

// What is counted. Time has a limit of its own in [Limits].
const (
	Questions      Resource = iota // sent to the upstream; one that joins another's exchange is free
	Sends                          // messages sent for them: again after silence, over TCP after truncation
	Bytes                          // of the replies as they are held in memory ([wire.Message.Size])
	SignatureCost                  // of signature checks, in units of [proof.KeyCost]: about microseconds
	Digests                        // of DNSKEY records, to compare them with DS records
	HashRounds                     // SHA-1 operations for NSEC3
	countResources                 // how many there are
	Time                           // until the last question is answered
	Memory                         // bytes that all plans of the process hold at the same time
)

// String names the resource for people.
func (r Resource) String() string {
	switch r {
	case Questions:
		return "DNS questions"
	case Sends:
		return "DNS messages"
	case Bytes:
		return "bytes of DNS answers"
	case SignatureCost:
		return "microseconds of signature checks"
	case Digests:
		return "digests of keys"
	case HashRounds:
		return "NSEC3 hash rounds"
	case Time:
		return "time"
	}
	return "memory for DNS answers"
}

// Amounts holds a number for each Resource up to HashRounds.
type Amounts [countResources]int

// Limits bound what a [Budget] may be spent on. A field that is zero, also one of
// Amounts, means that of the defaults.
type Limits struct {
	Amounts
	// Time is how long the lookups may take as a whole.
	Time time.Duration
	// UnderWay bounds the questions that are under way at the same time.
	UnderWay int
}

// shareOf is the part of a budget that one host may spend: a quarter, so that four hosts
// which cost all they can are needed to leave nothing for the others.
const shareOf = 4

// The limits of one plan. A plan has up to 64 mail hosts; where each is in a signed zone
// of its own, its six questions (A, AAAA, TLSA, DNSKEY, DS and some for the zones above)
// come to less than 400, its answers to 2 MiB, and its checks with RSA-4096 to 60 ms.
// Test TestBudgetOfHonestPlans says how far below the limits honest plans stay.
const (
	maxPlanQuestions = 500
	// maxPlanSends: one for the question and one over TCP if the answer is truncated, and
	// as much again for half of them where packets are lost.
	maxPlanSends = 3 * maxPlanQuestions
	// maxPlanBytes: the answers for 64 hosts in zones of their own take 1 MB, and 10 MB if
	// each has a thousand TLSA records.
	maxPlanBytes = 12 << 20
	// maxPlanSignatures: 64 hosts in zones signed by P-384, the slowest usual algorithm,
	// cost 160 ms.
	maxPlanSignatures = 500_000
	// maxPlanDigests: 64 zones with four DS records cost 256.
	maxPlanDigests = 2000
	// maxPlanHashes: 64 hosts whose denials take six hashes of 151 rounds, three times
	// each, cost 174,000; so many take about 40 ms.
	maxPlanHashes = 400_000
	// maxPlanUnderWay questions each have a socket; maxPlanSpare is for sending again.
	// Together they stay below 100, which leaves room for streams within 128.
	maxPlanUnderWay = 64
	maxPlanSpare    = 32
)

// defaultLimits returns the limits of the DNS work for one plan.
func defaultLimits() Limits {
	return Limits{
		Amounts: Amounts{
			Questions: maxPlanQuestions, Sends: maxPlanSends, Bytes: maxPlanBytes,
			SignatureCost: maxPlanSignatures, Digests: maxPlanDigests, HashRounds: maxPlanHashes,
		},
		Time:     DefaultPlanTime,
		UnderWay: maxPlanUnderWay,
	}
}

// or returns l with the zero fields taken from d.
func (l Limits) or(d Limits) Limits {
	for i, n := range l.Amounts {
		if n == 0 {
			l.Amounts[i] = d.Amounts[i]
		}
	}
	if l.Time == 0 {
		l.Time = d.Time
	}
	if l.UnderWay == 0 {
		l.UnderWay = d.UnderWay
	}
	return l
}

// A Budget limits the cost of the DNS lookups for one plan, all hosts together. Its time
// begins when it is made. It is safe for use by many goroutines at once.
//
// Who asks puts a [Share] of it into the context. Questions without one have a budget of
// their own. All shares may ask at the same time, those first that have asked least, until
// half of the questions are spent. Then a few of them go on, in the order in which they were
// made, and the others wait until those are finished: else all would be begun, and few
// finished, when the budget ends.
type Budget struct {
	name   string
	limits Limits
	ends   time.Time

	mu      sync.Mutex // guards all below, and what Share says
	spent   Amounts
	open    []*Share // those that are not finished, in the order in which they were made
	through []*turns // where they ask
	replies map[replyKey]*reply
	kept    int // bytes of replies
}

// scarceShares is how many shares go on when half of the questions are spent.
const scarceShares = 8

// Replies about zones are kept for the other questions of a plan, which need the same ones.
// They are not asked for again by those that come a moment too late to share the exchange.
const (
	maxKeptReply   = 8 << 10
	maxKeptReplies = 512 << 10
)

// A replyKey names a reply. What validators ask is not the same.
type replyKey struct {
	v *Validator
	q Question
}

// keep keeps a reply about a zone, if it is not too large.
func (b *Budget) keep(v *Validator, q Question, r *reply) {
	if q.Type != TypeDS && q.Type != TypeDNSKEY || r.size > maxKeptReply {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key := replyKey{v, q}
	if old := b.replies[key]; old != nil {
		b.kept -= old.size
	}
	if b.kept+r.size > maxKeptReplies {
		delete(b.replies, key)
		return
	}
	if b.replies == nil {
		b.replies = make(map[replyKey]*reply)
	}
	b.replies[key] = r
	b.kept += r.size
}

// reply returns a reply that is kept; nil if there is none.
func (b *Budget) reply(v *Validator, q Question) *reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.replies[replyKey{v, q}]
}

// NewBudget returns a budget for the lookups of a plan. Its name, that of the domain, is
// used in errors.
func NewBudget(name string, l Limits) *Budget {
	l = l.or(defaultLimits())
	return &Budget{name: name, limits: l, ends: time.Now().Add(l.Time)}
}

// Spent returns what was spent so far.
func (b *Budget) Spent() Amounts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent
}

// Limits returns what b may be spent on.
func (b *Budget) Limits() Limits { return b.limits }

// A Share is the part of a [Budget] that one host, or the domain itself, may spend: a
// quarter of everything but time.
type Share struct {
	of     *Budget
	number uint64 // of all that were made
	name   string
	alone  bool // a question without a plan; running out is then a property of the records

	// All below is guarded by of.mu.
	spent   Amounts
	broke   error // what the share could not pay, after which it pays nothing
	awaited int   // questions of other shares that wait for what this one proves
}

// shares counts the shares that were made.
var shares atomic.Uint64

// Share returns a new share. Its name, that of the host, is used in errors.
func (b *Budget) Share(name string) *Share {
	s := &Share{of: b, number: shares.Add(1), name: name}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = append(b.open, s)
	return s
}

// mayAsk reports whether it is the turn of the share, as [Budget] says.
func (s *Share) mayAsk() bool {
	b := s.of
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent[Questions] < b.limits.Amounts[Questions]/2 {
		return true
	}
	i := slices.Index(b.open, s)
	return i < scarceShares || s.awaited > 0 // -1 if it is finished, and asks all the same
}

// await notes that one more question of another share waits for what s proves, or one less.
// If s waits for its turn, the other one does too, whose turn it may be.
func (s *Share) await(n int) {
	b := s.of
	b.mu.Lock()
	s.awaited += n
	b.mu.Unlock()
	if n > 0 {
		b.wake()
	}
}

// finish says that the share needs nothing more.
func (s *Share) finish() {
	b := s.of
	b.mu.Lock()
	b.open = slices.DeleteFunc(b.open, func(o *Share) bool { return o == s })
	b.mu.Unlock()
	b.wake()
}

// wake lets in who may ask now.
func (b *Budget) wake() {
	b.mu.Lock()
	through := slices.Clone(b.through)
	b.mu.Unlock()
	for _, t := range through {
		t.wake()
	}
}

// goesThrough notes where shares of b ask.
func (b *Budget) goesThrough(t *turns) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.through, t) {
		b.through = append(b.through, t)
	}
}

// Spent returns what was spent of the share so far.
func (s *Share) Spent() Amounts {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	return s.spent
}

// id distinguishes s from every other share, and from the nil Share.
func (s *Share) id() string {
	if s == nil {
		return "none"
	}
	return strconv.FormatUint(s.number, 36)
}

type shareKey struct{}

// With returns a context whose lookups are paid for from s, in addition to those of
// [Share.Context]. It does not end with the time of the budget, but the work for the lookups
// does.
func (s *Share) With(ctx context.Context) context.Context {
	return context.WithValue(ctx, shareKey{}, s)
}

// Context is [Share.With] with a context that ends when the time of the budget does; its
// cause is then a [ErrBudget]. done has to be called when the share needs nothing more,
// so that others that wait for it go on.
func (s *Share) Context(ctx context.Context) (_ context.Context, done context.CancelFunc) {
	ctx, cancel := s.until(ctx)
	return ctx, func() {
		cancel()
		s.finish()
	}
}

// until returns a context that ends with the time of the budget.
func (s *Share) until(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadlineCause(s.With(ctx), s.of.ends, &budgetError{share: s, What: Time, Whole: true})
}

// shareFrom returns the share in ctx; nil if there is none.
func shareFrom(ctx context.Context) *Share {
	s, _ := ctx.Value(shareKey{}).(*Share)
	return s
}

// shareFor returns the share in ctx, or one that the question has for itself, and a context
// that ends with its time.
func shareFor(ctx context.Context, q Question) (*Share, context.Context, context.CancelFunc) {
	if s := shareFrom(ctx); s != nil {
		ctx, cancel := s.until(ctx)
		return s, ctx, cancel
	}
	s := NewBudget(q.String(), Limits{}).Share(q.String())
	s.alone = true
	ctx, cancel := context.WithDeadline(ctx, s.of.ends)
	return s, ctx, cancel
}

// pay spends n of a resource. A share that could not pay once pays for nothing more: what
// is left of it would be spent in vain. Sending again is no need, and ends nothing.
func (s *Share) pay(r Resource, n int) error {
	b := s.of
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	switch {
	case s.broke != nil:
		return s.broke
	case s.spent[r]+n > b.limits.Amounts[r]/shareOf:
		err = s.short(r, false)
	case b.spent[r]+n > b.limits.Amounts[r]:
		err = s.short(r, true)
	default:
		s.spent[r] += n
		b.spent[r] += n
		return nil
	}
	if r != Sends {
		s.broke = err
	}
	return err
}

// rich reports whether the plan has nearly all of its questions left.
func (s *Share) rich() bool {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	return s.of.spent[Questions] < s.of.limits.Amounts[Questions]/8
}

// affords returns the error of paying for one more of a resource, without paying.
func (s *Share) affords(r Resource) error {
	b := s.of
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case s.broke != nil:
		return s.broke
	case s.spent[r] >= b.limits.Amounts[r]/shareOf:
		return s.short(r, false)
	case b.spent[r] >= b.limits.Amounts[r]:
		return s.short(r, true)
	}
	return nil
}

// refund takes back what was paid for nothing.
func (s *Share) refund(r Resource, n int) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.spent[r] -= n
	s.of.spent[r] -= n
}

// payWork is the Pay of a [proof.Budget].
func (s *Share) payWork(w proof.Work, n int) error {
	return s.pay([...]Resource{proof.SignatureWork: SignatureCost, proof.DigestWork: Digests, proof.HashWork: HashRounds}[w], n)
}

// short is the error of a resource that is used up. It wraps proof.ErrBudget, as what the
// proofs spend must.
func (s *Share) short(r Resource, whole bool) error {
	if s.alone && r != Memory {
		return &proof.Error{Kind: proof.ErrBudget, Text: "too many " + r.String()}
	}
	return &budgetError{share: s, What: r, Whole: whole}
}

// budgetError says that the DNS lookups of a plan, or those for one host of it, have
// used up what they may cost. That is a shortage of the one who asks: it says nothing of
// the records that were asked for, except that the names on the way to them cost more
// than those of honest zones do. It is the Cause of a [LookupError] of kind [ErrBudget].
type budgetError struct {
	What  Resource
	Whole bool // all that the plan has is used up; else the share of one host

	share *Share
}

// spentBy returns the share that err says is used up; nil if it says no such thing.
func spentBy(err error) *Share {
	var spent *budgetError
	if errors.As(err, &spent) {
		return spent.share
	}
	return nil
}

// Error says whose budget is used up, and of what.
func (e *budgetError) Error() string {
	b := e.share.of
	switch {
	case e.What == Time:
		return fmt.Sprintf("the DNS lookups for %s took longer than %v", b.name, b.limits.Time)
	case e.What == Memory:
		return fmt.Sprintf("the DNS lookups for %s need memory that the lookups for other domains hold now", b.name)
	case e.Whole:
		return fmt.Sprintf("the DNS lookups for %s used up all %d %s", b.name, b.limits.Amounts[e.What], e.What)
	}
	return fmt.Sprintf("the DNS lookups for %s used up their share, %d of the %d %s for %s",
		e.share.name, b.limits.Amounts[e.What]/shareOf, b.limits.Amounts[e.What], e.What, b.name)
}

// Is reports that e is of kind [ErrBudget]; proofs that end by it take it for theirs.
func (e *budgetError) Is(target error) bool { return target == ErrBudget || target == proof.ErrBudget }
