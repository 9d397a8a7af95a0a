package evidence

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mxauth/mxauth/dnssec"
	"github.com/mxauth/mxauth/dnssec/wire"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// A Recorder collects what a check receives. It is for one check with caches that were
// empty before, so that all messages pass it. It may be used by many goroutines at once.
// The zero Recorder is ready.
type Recorder struct {
	mu  sync.Mutex // guards what follows
	dns []Message
	sts *sts.Result
}

// Upstream returns u, with every exchange recorded.
func (r *Recorder) Upstream(u dnssec.Upstream) dnssec.Upstream { return &recordingUpstream{r, u} }

type recordingUpstream struct {
	r *Recorder
	u dnssec.Upstream
}

// Exchange implements [dnssec.Upstream].
func (u *recordingUpstream) Exchange(ctx context.Context, query []byte) (dnssec.Response, error) {
	resp, err := u.u.Exchange(ctx, query)
	m, ok := questionOf(query)
	if !ok || ctx.Err() != nil && err != nil {
		return resp, err // what the caller gave up says nothing of DNS
	}
	if err != nil {
		m.Failed, m.Detail = failureWord(err), clip(err.Error())
	} else {
		m.Server, m.Response = clip(resp.Server), resp.Message
	}
	u.r.mu.Lock()
	defer u.r.mu.Unlock()
	if len(u.r.dns) < maxDNS {
		u.r.dns = append(u.r.dns, m)
	}
	return resp, err
}

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
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.sts = &res
	return res
}

// A Setup is how an engine was set up.
type Setup struct {
	Mode         string // how statuses came about
	OwnHosts     []rfc6125.Host
	OwnAddresses []netip.Addr
	Memory       *engine.Memory // nil: nothing is remembered
}

// File makes the evidence of a plan and what its hosts showed. at is the clock. What the
// connections showed is told to the engine before ([engine.Engine.Remember]).
func (r *Recorder) File(ctx context.Context, at time.Time, set Setup, plan *engine.Plan, hosts []probe.HostResult, summary engine.Summary) *File {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &File{
		V: Version, At: at.UTC(), Mode: set.Mode, Request: requestOf(plan.Request), DNS: append([]Message{}, r.dns...),
		Memory: memoryOf(ctx, set.Memory, plan), Hosts: []Host{}, Verdict: VerdictOf(plan, hosts, summary),
	}
	for _, h := range set.OwnHosts {
		f.Request.OwnHosts = append(f.Request.OwnHosts, h.String())
	}
	f.Request.OwnAddresses = set.OwnAddresses
	for i := range plan.Hosts {
		if x := plan.Hosts[i].Exception; x != nil && !slices.ContainsFunc(f.Request.Exceptions, func(y Exception) bool { return y.ID == x.ID }) {
			f.Request.Exceptions = append(f.Request.Exceptions, Exception(*x))
		}
	}
	if r.sts != nil {
		f.STS = policyOf(plan.STS)
	}
	for i := range plan.Hosts {
		h := Host{Host: hostName(&plan.Hosts[i]), Peers: []Peer{}, Left: hosts[i].Left}
		for _, a := range hosts[i].Addresses {
			p := a.Peer
			h.Peers = append(h.Peers, Peer{
				Address: p.Address, Event: p.Event, Detail: clip(p.Detail), Untried: p.Untried, Injected: p.Injected, Code: p.Code,
				Chain: ders(p.Chain), RawKey: p.RawKey, TLS: p.TLS, TLSVersion: p.Version, RequireTLS: p.RequireTLS,
			})
		}
		f.Hosts = append(f.Hosts, h)
	}
	return f
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
		})
	}
	return v
}

func hostName(h *engine.Host) string {
	if h.Name.IsValid() {
		return h.Name.String()
	}
	return "[" + h.Literal.String() + "]"
}

func requestOf(r engine.Request) Request {
	out := Request{
		NextHop: r.NextHop, Smarthost: r.Smarthost, Port: r.Port, Level: r.Level,
		RequireTLS: r.RequireTLS, TLSRequiredNo: r.TLSRequiredNo, NullReturnPath: r.NullReturnPath, TLSRPTReport: r.TLSRPTReport,
		Options: Options{
			InsecureMX: r.Options.InsecureMX, DANEAndSTS: r.Options.DANEAndSTS, STSUndetermined: r.Options.STSUndetermined,
			RefuseMXAlias: r.Options.RefuseMXAlias, NoCNID: r.Options.NoCNID, NoClearFallback: r.Options.NoClearFallback,
			Audit: r.Options.Audit, NoAddressDefer: r.Options.NoAddressDefer, LowerAll: r.Options.LowerAll,
		},
	}
	for _, n := range r.Options.Names {
		out.Options.Names = append(out.Options.Names, n.String())
	}
	return out
}

// policyOf writes down what MTA-STS came to.
func policyOf(s sts.Result) *Policy {
	p := &Policy{Row: s.Row.String(), Cached: s.Cached, ID: s.ID, Fetched: s.Fetched, Pending: s.Pending, Chain: ders(s.Chain)}
	if s.Policy != nil {
		p.Text = s.Policy.Text
	}
	if s.FetchErr != nil {
		p.Failed = sts.FetchWord(s.FetchErr)
		var fe *sts.FetchError
		if errors.As(s.FetchErr, &fe) {
			p.FailedStatus = fe.Status
			p.FailedDetail = clip(fe.Detail)
		}
		if p.FailedDetail == "" {
			p.FailedDetail = clip(s.FetchErr.Error())
		}
	}
	return p
}

func ders(chain []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, c := range chain {
		out = append(out, c.Raw)
	}
	return out
}

// clip bounds a text for people.
func clip(s string) string {
	const most = 500
	if len(s) > most {
		return s[:most]
	}
	return s
}
