package evidence

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// Bounds of what is recorded, in bytes of JSON: together with the request, the policy and
// the verdict they fit into [MaxFile]. A domain of 20 hosts takes a few hundred kilobytes.
const (
	maxRecorded = 10 << 20 // DNS messages
	// maxNoted bounds them with the questions whose answers are left out.
	maxNoted        = 11 << 20
	maxRecordedHost = maxHostJSON - 256<<10 // chains of one host
	maxRecordedAll  = 3 << 20               // chains of all hosts
	// overhead is what a message or a connection takes in addition to its texts: the names of the
	// fields, numbers, times, indentation.
	overhead = 400
)

// A Recorder collects what a check receives. It is for one check with caches that were
// empty before, so that all messages pass it. It may be used by many goroutines at once.
// The zero Recorder is ready. What it holds is bounded: of a check that receives more the
// rest is left out, and the file says so.
type Recorder struct {
	// Now is the clock of the check; nil: time.Now.
	Now func() time.Time

	mu    sync.Mutex // guards what follows
	dns   []Message
	bytes int64 // of dns as JSON
	left  LeftOut
	sts   *sts.Result
	stsAt time.Time
}

func (r *Recorder) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// Upstream returns u, with every exchange recorded.
func (r *Recorder) Upstream(u dnssec.Upstream) dnssec.Upstream { return &recordingUpstream{r, u} }

type recordingUpstream struct {
	r *Recorder
	u dnssec.Upstream
}

// Exchange implements [dnssec.Upstream].
func (u *recordingUpstream) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	start := u.r.now()
	resp, err := u.u.Exchange(ctx, query)
	m, ok := questionOf(query)
	if !ok {
		return resp, err
	}
	m.At, m.Took = start.UTC(), max(u.r.now().Sub(start).Microseconds(), 0)
	switch {
	case err != nil && ctx.Err() != nil:
		m.GivenUp = true // says nothing about DNS
	case err != nil:
		m.Failed, m.Detail = failureWord(err), clip(err.Error())
	case len(resp.Message) == 0:
		m.Failed = failureWord(dnssec.ErrMalformed)
	default:
		m.Server, m.Response = clip(resp.Server), resp.Message
	}
	u.r.add(m)
	return resp, err
}

// add records a message, or that it is left out.
func (r *Recorder) add(m Message) {
	size := int64(overhead + base64.StdEncoding.EncodedLen(len(m.Response)) + jsonText(m.Name.String()) + jsonText(m.Server) + jsonText(m.Detail))
	r.mu.Lock()
	defer r.mu.Unlock()
	most := int64(maxRecorded)
	if len(m.Response) == 0 {
		most = maxNoted
	}
	if r.bytes+size > most && len(m.Response) > 0 {
		r.left.Messages++
		r.left.Bytes += int64(len(m.Response))
		size -= int64(base64.StdEncoding.EncodedLen(len(m.Response)))
		m.Response, m.LeftOut = nil, true
		most = maxNoted
	}
	if len(r.dns) >= maxDNS || r.bytes+size > most {
		if !m.LeftOut {
			r.left.Messages++
			r.left.Bytes += int64(len(m.Response))
		}
		return
	}
	m.Response = bytes.Clone(m.Response)
	r.dns = append(r.dns, m)
	r.bytes += size
}

// jsonText is how many bytes a text takes at most: each may become \u00xx.
func jsonText(s string) int { return 6 * len(s) }

// headerCD is the bit of CD in the fourth octet of a header (RFC 4035 section 3.2.2).
const headerCD = 0x10

// questionOf reads name, type and CD of a query.
func questionOf(query []byte) (Message, bool) {
	if len(query) < 12 || binary.BigEndian.Uint16(query[4:]) != 1 {
		return Message{}, false
	}
	name, rest, err := wire.NameAt(query[12:])
	if err != nil || len(rest) < 4 {
		return Message{}, false
	}
	return Message{Name: name, Type: binary.BigEndian.Uint16(rest), CD: query[3]&headerCD != 0}, true
}

var failures = [...]struct {
	word string
	kind error
}{{"timeout", dnssec.ErrTimeout}, {"unreachable", dnssec.ErrUnreachable}, {"malformed", dnssec.ErrMalformed}}

func failureWord(err error) string {
	for _, f := range failures {
		if errors.Is(err, f.kind) {
			return f.word
		}
	}
	return "unreachable"
}

func failureKind(word string) error {
	for _, f := range failures {
		if f.word == word {
			return f.kind
		}
	}
	return nil
}

// STS returns c, with what it says recorded.
func (r *Recorder) STS(c engine.STSClient) engine.STSClient { return &recordingSTS{c, r} }

type recordingSTS struct {
	engine.STSClient
	r *Recorder
}

// Lookup implements [engine.STSClient].
func (c *recordingSTS) Lookup(ctx context.Context, domain rfc6125.Host) sts.Result {
	res := c.STSClient.Lookup(ctx, domain)
	at := c.r.now()
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.sts, c.r.stsAt = &res, at.UTC()
	return res
}

// A Setup is how an engine was set up.
type Setup struct {
	Mode         string // how statuses came about
	OwnHosts     []rfc6125.Host
	OwnAddresses []netip.Addr
	Memory       *memory.Memory // nil: nothing is remembered
}

// File makes the evidence of a plan and what its hosts showed. at is the clock. What the
// connections showed is given to the engine before ([engine.Engine.Remember]).
func (r *Recorder) File(ctx context.Context, at time.Time, set Setup, plan *engine.Plan, hosts []probe.HostResult, summary engine.Summary) *File {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.left
	f := &File{
		V: Version, At: at.UTC(), Mode: set.Mode, Request: Request{Request: plan.Request}, TLSA: tlsaPolicyOf(plan), DNS: append([]Message{}, r.dns...),
		Memory: memoryOf(ctx, set.Memory, plan), Hosts: []Host{}, Verdict: VerdictOf(plan, hosts, summary),
	}
	if !plan.Made.After(at) && at.Sub(plan.Made) <= maxSpan {
		f.Planned, f.ValidUntil = plan.Made.UTC(), plan.ValidUntil.UTC()
	}
	for i := range f.DNS {
		// By a clock of its own, the recorder's times say nothing.
		if t := f.DNS[i].At; t.Before(f.Planned) || t.After(f.At) {
			f.DNS[i].At, f.DNS[i].Took = time.Time{}, 0
		}
	}
	f.Request.OwnHosts, f.Request.OwnAddresses = set.OwnHosts, set.OwnAddresses
	for i := range plan.Hosts {
		if x := plan.Hosts[i].Exception; x != nil && !slices.ContainsFunc(f.Request.Exceptions, func(y exception.Exception) bool { return y.ID == x.ID }) {
			f.Request.Exceptions = append(f.Request.Exceptions, *x)
		}
	}
	if r.sts != nil {
		f.STS = policyOf(plan.STS)
		f.STS.At = r.stsAt
	}
	room := maxRecordedAll
	for i := range plan.Hosts {
		h := hostOf(&plan.Hosts[i], &hosts[i], &room, &left)
		f.Hosts = append(f.Hosts, h)
	}
	if left != (LeftOut{}) {
		f.LeftOut = &left
	}
	return f
}

// hostOf is what the addresses of a host showed. Chains that do not fit into room, which
// it lessens, are left out.
func hostOf(plan *engine.Host, r *probe.HostResult, room *int, left *LeftOut) Host {
	h := Host{Host: hostName(plan), Peers: []Peer{}, Left: r.Left}
	if len(r.Addresses) == 0 {
		h.At = r.At.UTC()
	}
	own := maxRecordedHost
	for _, a := range r.Addresses {
		p := a.Peer
		out := Peer{
			Address: p.Address, Event: p.Event, Detail: clip(p.Detail), Ending: p.Ending, Awaited: p.Awaited, Junk: clip(p.Junk), EHLOName: clip(p.DoubtedName), Untried: p.Untried, Injected: p.Injected, Code: p.Code,
			Chain: presented(p), RawKey: p.RawKey, TLS: clip(p.TLS), TLSVersion: p.Version, RequireTLS: p.RequireTLS, At: a.At.UTC(),
			Handshake: p.Handshake, OtherKey: p.OtherKey,
		}
		if o := p.OwnTLS; o != nil {
			out.OwnTLS = &OwnTLS{Obstacle: o.Obstacle, Detail: clip(o.Detail), Chain: o.Chain, Unproved: clip(o.Unproved)}
		}
		size, octets := overhead+jsonText(out.Detail)+jsonText(out.Junk)+base64.StdEncoding.EncodedLen(len(p.RawKey)), 0
		for _, c := range out.chains() {
			size += base64.StdEncoding.EncodedLen(len(c)) + len("\n      \"\",")
			octets += len(c)
		}
		if size > own || size > *room || len(out.chains()) > maxChain {
			left.Chains++
			left.Bytes += int64(octets)
			out.Chain, out.ChainLeftOut = nil, true
			if out.OwnTLS != nil {
				out.OwnTLS.Chain = nil
			}
		} else {
			own -= size
			*room -= size
		}
		h.Peers = append(h.Peers, out)
	}
	return h
}

// chains are all certificates of a peer.
func (p *Peer) chains() [][]byte {
	if p.OwnTLS == nil {
		return p.Chain
	}
	return append(p.Chain[:len(p.Chain):len(p.Chain)], p.OwnTLS.Chain...)
}

// tlsaPolicyOf is what the operator's own rules about TLSA records did; nil: there are
// none.
func tlsaPolicyOf(plan *engine.Plan) *TLSAPolicy {
	rules := plan.Request.Options.TLSA
	if rules.Forbid == nil && rules.Strength == nil {
		return nil
	}
	p := &TLSAPolicy{}
	for _, m := range rules.Strength {
		p.Strength = append(p.Strength, uint16(m))
	}
	if rules.Forbid == nil {
		return p
	}
	for i := range plan.Hosts {
		for n, u := range plan.Hosts[i].DANE.Set.Uses() {
			// The function is to be asked about records only that are usable otherwise.
			alone := dane.NewSet([]dane.Record{u.Record}, dane.UsePolicy{Strength: rules.Strength})
			if n < dane.MaxRecords && len(alone.Usable()) > 0 && rules.Forbid(u.Record) != "" {
				p.Forbidden = append(p.Forbidden, digestOf(u.Record))
			}
		}
	}
	return p
}

// VerdictOf is what was concluded.
func VerdictOf(plan *engine.Plan, hosts []probe.HostResult, s engine.Summary) Verdict {
	v := Verdict{
		Outcome: s.Outcome.String(), Method: string(s.Method), Deliver: s.Deliver, EveryHost: s.EveryHost,
		Reason: string(s.Reason.ID), Hosts: []HostVerdict{},
	}
	for i := range plan.Hosts {
		d := hosts[i].Decision
		v.Hosts = append(v.Hosts, HostVerdict{
			Host: hostName(&plan.Hosts[i]), Outcome: d.Outcome.String(), Method: string(d.Method),
			Requirement: plan.Hosts[i].Requirement.String(), Reason: string(d.Reason.ID),
			Handshake: d.Peer.Handshake,
		})
	}
	return v
}

// hostName is the name of a host in a file of evidence, or its address in brackets. Version
// 1 writes an IPv6 address without the tag that SMTP gives it.
func hostName(h *engine.Host) string {
	if h.Name.IsValid() {
		return h.Name.String()
	}
	return "[" + h.Literal.String() + "]"
}

// digestOf names a TLSA record in a [TLSAPolicy].
func digestOf(r dane.Record) []byte {
	sum := sha256.Sum256(r.AppendWire(nil))
	return sum[:]
}

// policyOf writes down what MTA-STS came to.
func policyOf(s sts.Result) *Policy {
	p := &Policy{Row: s.Row.String(), Cached: s.Cached, ID: s.ID, Fetched: s.Fetched, Pending: s.Pending, Until: s.Until.UTC(), Chain: ders(s.Chain)}
	if s.Policy != nil {
		p.Text = s.Policy.Text
	}
	if s.StoreErr != nil {
		p.StoreFailed = clip(s.StoreErr.Error())
	}
	if s.FetchErr == nil {
		return p
	}
	p.Failed = cmp.Or(sts.FetchWord(s.FetchErr), failedOther)
	var fe *sts.FetchError
	if !errors.As(s.FetchErr, &fe) {
		p.FailedDetail = clip(s.FetchErr.Error())
		return p
	}
	p.FailedStatus, p.FailedAddress, p.FailedNote, p.FailedDetail = fe.Status, fe.Addr, fe.Note, clip(fe.Detail)
	if fe.Detail == "" && fe.Cause != nil {
		p.FailedDetail = clip(fe.Cause.Error())
	}
	var syntax *sts.SyntaxError
	if errors.As(fe, &syntax) {
		p.FailedSyntax = &Syntax{syntax.Line, clip(syntax.Field), clip(syntax.Text), clip(syntax.Why), clip(syntax.Cure)}
	}
	if p.FailedBefore = fe.Repeated; fe.Repeated {
		p.FailedUntil = fe.Until.UTC()
	}
	return p
}

// presented is the chain of a peer in DER.
func presented(p engine.Peer) [][]byte {
	if len(p.Chain) > 0 {
		return ders(p.Chain)
	}
	return p.Raw
}

// failedOther is the word for a failed fetch of a kind that has no word.
const failedOther = "other"

func ders(chain []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, c := range chain {
		out = append(out, c.Raw)
	}
	return out
}

// clip bounds a text for people.
func clip(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
