package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/exception"
	"github.com/mxauth/mxauth/engine/memory"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/sts"
)

// Version is that of the format; a file of another one is refused.
const Version = 1

// Limits of a file that is read. A delivery to a domain of twenty hosts takes a few hundred
// kilobytes.
const (
	MaxFile  = 16 << 20
	maxDNS   = 4096 // messages
	maxHosts = engine.MaxHosts
	maxPeers = 64 // addresses of one host
	maxChain = 64 // certificates of one peer
	maxNames = 1024
	maxText  = 500 // bytes of a text for people
	// maxForbidden: the operator's rule is asked about so many records at most.
	maxForbidden = maxHosts * dane.MaxRecords
	// maxStrength bounds the order of digests: there are 256 matching types.
	maxStrength = 256
	// maxSpan is how long a check may have taken: a plan has half a minute, and all its
	// connections have some minutes together.
	maxSpan = time.Hour
)

// ErrFile is wrapped by every error of [Read] and [File.Replay] that is about the file: it
// is none, or cannot be what was recorded.
var ErrFile = fault.New("evidence", "not a file of evidence")

// Modes by which security statuses came about.
const (
	ModeValidate = "validate"
	ModeTrustAD  = "trust-ad"
)

// A File is the evidence of one delivery's check. docs/evidence.schema.json describes its
// JSON.
type File struct {
	V int `json:"v"`
	// At is when the check ended. Planned is when it began, and ValidUntil the end of its
	// plan; zero in files of versions that did not write them: then all was at At.
	At         time.Time   `json:"at"`
	Planned    time.Time   `json:"planned,omitzero"`
	ValidUntil time.Time   `json:"valid_until,omitzero"`
	Mode       string      `json:"mode"` // ModeValidate or ModeTrustAD
	Request    Request     `json:"request"`
	TLSA       *TLSAPolicy `json:"tlsa_policy,omitempty"`
	DNS        []Message   `json:"dns"`
	STS        *Policy     `json:"sts"` // nil: MTA-STS was not looked at
	Memory     *Memory     `json:"memory,omitempty"`
	Hosts      []Host      `json:"hosts"`
	LeftOut    *LeftOut    `json:"left_out,omitempty"`
	Verdict    Verdict     `json:"verdict"` // what was concluded then
}

// A LeftOut counts what a recorder left out because the file would have been larger than
// [MaxFile]. What depends on it counts as not known in a replay.
type LeftOut struct {
	Messages int   `json:"messages,omitempty"` // DNS messages
	Chains   int   `json:"chains,omitempty"`   // chains of mail hosts
	Bytes    int64 `json:"bytes"`              // of both
}

// A TLSAPolicy is dane.UsePolicy, with the records that its function dropped.
type TLSAPolicy struct {
	Strength  []uint16 `json:"strength,omitempty"`  // matching types, strongest first
	Forbidden [][]byte `json:"forbidden,omitempty"` // SHA-256 of the RDATA
}

// A Request is what was asked, with what the sender's configuration adds to it.
type Request struct {
	engine.Request
	OwnHosts     []rfc6125.Host        `json:"own_hosts,omitempty"`
	OwnAddresses []netip.Addr          `json:"own_addresses,omitempty"`
	Exceptions   []exception.Exception `json:"exceptions,omitempty"` // those that were in force for a host
}

// A Message is one DNS question with what came back.
type Message struct {
	Name     rfc6125.Name `json:"name"`
	Type     uint16       `json:"type"`
	CD       bool         `json:"cd,omitempty"` // the question had CD set
	Server   string       `json:"server,omitempty"`
	Response []byte       `json:"response,omitempty"` // wire form
	// Failed is "timeout", "unreachable" or "malformed" where nothing came back.
	Failed string `json:"failed,omitempty"`
	Detail string `json:"detail,omitempty"`
	// GivenUp: the check did not wait for an answer. LeftOut: there was one, and it is not
	// in the file ([LeftOut]).
	GivenUp bool `json:"given_up,omitempty"`
	LeftOut bool `json:"left_out,omitempty"`
	// At is when the question was sent; zero: at the beginning of the check.
	At   time.Time `json:"at,omitzero"`
	Took int64     `json:"took_us,omitempty"` // microseconds until the answer
}

// A Policy is what MTA-STS came to.
type Policy struct {
	Row     string    `json:"row"`
	Text    string    `json:"text,omitempty"` // of the policy that applied
	Cached  bool      `json:"cached,omitempty"`
	ID      string    `json:"id,omitempty"`
	Fetched time.Time `json:"fetched,omitzero"`
	Pending bool      `json:"pending,omitempty"`
	// At is when the answer was there, Until how long it was to be used.
	At    time.Time `json:"at,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// StoreFailed says that the store of policies could not be read or written.
	StoreFailed string `json:"store_failed,omitempty"`
	// Failed is the word of sts.FetchWord where a fetch failed.
	Failed       string `json:"failed,omitempty"`
	FailedStatus int    `json:"failed_status,omitempty"` // HTTP status, if it got so far
	FailedDetail string `json:"failed_detail,omitempty"`
	// FailedNote says more than Failed.
	FailedNote sts.FetchNote `json:"failed_note,omitzero"`
	// FailedSyntax says where the policy is malformed.
	FailedSyntax *Syntax `json:"failed_syntax,omitempty"`
	// FailedAddress is the address that was tried last. FailedBefore says that the failure
	// is that of an earlier fetch, and FailedUntil until when that was not repeated.
	FailedAddress netip.AddrPort `json:"failed_address,omitzero"`
	FailedBefore  bool           `json:"failed_before,omitempty"`
	FailedUntil   time.Time      `json:"failed_until,omitzero"`
	Chain         [][]byte       `json:"chain,omitempty"` // DER, of the policy host
}

// A Syntax is sts.SyntaxError.
type Syntax struct {
	Line  int    `json:"line,omitempty"`
	Field string `json:"field,omitempty"`
	Text  string `json:"text,omitempty"`
	Why   string `json:"why"`
	Cure  string `json:"cure,omitempty"`
}

// A Memory is what was remembered of the domain ([memory.Memory]); nil: nothing is.
type Memory struct {
	Action      memory.Action `json:"action"`
	HoldSeconds int64         `json:"hold_seconds"`
	// Past includes what the plan itself proved or found missing; nil: the domain has none.
	Past *memory.Past `json:"past,omitempty"`
	// Unread: the memory could not be read.
	Unread bool `json:"unread,omitempty"`
}

// A Host is what the addresses of one host showed.
type Host struct {
	Host  string `json:"host"` // its name, or its address in brackets
	Peers []Peer `json:"peers"`
	Left  int    `json:"left,omitempty"` // addresses that were not probed
	// At is when a host was decided to which no connection was made.
	At time.Time `json:"at,omitzero"`
}

// A Peer is what one connection showed.
type Peer struct {
	Address    netip.AddrPort `json:"address"`
	Event      engine.Event   `json:"event"`
	Detail     string         `json:"detail,omitempty"`
	Ending     engine.Ending  `json:"ending,omitzero"`
	Awaited    reason.Awaited `json:"awaited,omitzero"`
	Junk       string         `json:"junk,omitempty"`
	EHLOName   string         `json:"ehlo_name,omitempty"` // where the server may have objected to it
	Untried    bool           `json:"untried,omitempty"`   // given up for want of time
	Injected   bool           `json:"injected,omitempty"`
	Code       int            `json:"code,omitempty"`
	Chain      [][]byte       `json:"chain,omitempty"` // DER, leaf first
	RawKey     []byte         `json:"raw_key,omitempty"`
	TLS        string         `json:"tls,omitempty"`
	TLSVersion uint16         `json:"tls_version,omitempty"`
	RequireTLS bool           `json:"requiretls,omitempty"`
	// Handshake and OwnTLS are those of [engine.Peer]: a handshake that was tried with other
	// settings, or only read, and why.
	Handshake engine.Handshake `json:"handshake,omitzero"`
	OwnTLS    *OwnTLS          `json:"own_tls,omitempty"`
	// OtherKey: a second connection to the address, which offered only the kind of key that
	// the first one had not shown.
	OtherKey bool `json:"other_key,omitempty"`
	// ChainLeftOut: the chain is not in the file ([LeftOut]).
	ChainLeftOut bool      `json:"chain_left_out,omitempty"`
	At           time.Time `json:"at,omitzero"` // when it was decided
}

// An OwnTLS is engine.OwnTLS.
type OwnTLS struct {
	Obstacle engine.Obstacle `json:"obstacle"`
	Detail   string          `json:"detail,omitempty"`
	Chain    [][]byte        `json:"chain,omitempty"` // DER, leaf first
	Unproved string          `json:"unproved,omitempty"`
}

// A Verdict is what was concluded, as far as it is compared.
type Verdict struct {
	Outcome   string        `json:"outcome"`
	Method    string        `json:"method"`
	Deliver   bool          `json:"deliver"`
	EveryHost bool          `json:"every_host"`
	Reason    string        `json:"reason_id"`
	Hosts     []HostVerdict `json:"hosts"`
}

// A HostVerdict is what was concluded of one host.
type HostVerdict struct {
	Host        string `json:"host"`
	Outcome     string `json:"outcome"`
	Method      string `json:"method"`
	Requirement string `json:"requirement"`
	Reason      string `json:"reason_id"`
	// Handshake is not complete where the verdict is not of a usual handshake.
	Handshake engine.Handshake `json:"handshake,omitzero"`
}

// Write prints the file as one JSON object. What [Read] would refuse is an error, and
// then what was written is not whole.
func (f *File) Write(w io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	c := &counter{w: w}
	e := json.NewEncoder(text.JSONWriter(c))
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(f)
}

// A counter lets MaxFile bytes through.
type counter struct {
	w io.Writer
	n int
}

// Write implements [io.Writer].
func (c *counter) Write(b []byte) (int, error) {
	if c.n += len(b); c.n > MaxFile {
		return 0, fmt.Errorf("%w: larger than %d bytes", ErrFile, MaxFile)
	}
	return c.w.Write(b)
}

// check refuses what cannot have been recorded.
func (f *File) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrFile, fmt.Sprintf(format, args...))
	}
	switch {
	case f.At.IsZero():
		return bad("it has no time")
	case f.Planned.After(f.At), !f.Planned.IsZero() && f.At.Sub(f.Planned) > maxSpan:
		return bad("the check began at %s and ended at %s", f.Planned.Format(time.RFC3339), f.At.Format(time.RFC3339))
	case f.Mode != ModeValidate && f.Mode != ModeTrustAD:
		return bad("mode %.20q", f.Mode)
	case len(f.DNS) > maxDNS:
		return bad("more than %d DNS messages", maxDNS)
	case len(f.Hosts) > maxHosts:
		return bad("more than %d hosts", maxHosts)
	case len(f.Verdict.Hosts) > maxHosts:
		return bad("a verdict on more than %d hosts", maxHosts)
	case bytes.IndexByte([]byte(f.Request.NextHop), '@') >= 0:
		return bad("the next hop is an address of a person")
	case len(f.Request.NextHop) > maxText:
		return bad("a next hop of %d bytes", len(f.Request.NextHop))
	case len(f.Request.Options.Names) > maxNames, len(f.Request.OwnHosts) > maxNames, len(f.Request.OwnAddresses) > maxNames, len(f.Request.Exceptions) > maxHosts:
		return bad("more names, addresses or exceptions in the request than %d", maxNames)
	case slices.Contains(f.Request.Options.Names, rfc6125.Host{}), slices.Contains(f.Request.OwnHosts, rfc6125.Host{}):
		return bad("an empty name in the request")
	case f.STS != nil && (len(f.STS.Chain) > maxChain || len(f.STS.Text) > sts.MaxPolicySize):
		return bad("a policy of more than %d bytes, or a chain of more than %d certificates", sts.MaxPolicySize, maxChain)
	case f.TLSA != nil && (len(f.TLSA.Forbidden) > maxForbidden || len(f.TLSA.Strength) > maxStrength):
		return bad("more than %d forbidden TLSA records", maxForbidden)
	}
	for i := range f.DNS {
		if err := f.DNS[i].check(); err != nil {
			return fmt.Errorf("%w: %w", ErrFile, err)
		}
	}
	for i := range f.Hosts {
		if err := f.Hosts[i].check(); err != nil {
			return fmt.Errorf("%w: %w", ErrFile, err)
		}
	}
	return nil
}

// check refuses a message that cannot have been recorded.
func (m *Message) check() error {
	ends := 0
	for _, is := range [...]bool{len(m.Response) > 0, m.Failed != "", m.LeftOut, m.GivenUp} {
		if is {
			ends++
		}
	}
	switch {
	case !m.Name.IsValid(), ends != 1:
		return errors.New("a DNS message without name, or with neither response nor failure")
	case len(m.Response) > math.MaxUint16:
		return fmt.Errorf("a DNS message of %d bytes", len(m.Response))
	case len(m.Server) > maxText, len(m.Failed) > maxText, len(m.Detail) > maxText:
		return fmt.Errorf("a text of more than %d bytes", maxText)
	case m.Took < 0, m.Took > maxSpan.Microseconds():
		return fmt.Errorf("an answer that took %d us", m.Took)
	}
	return nil
}

// check refuses a host that cannot have been recorded.
func (h *Host) check() error {
	if len(h.Host) > maxText || len(h.Peers) > maxPeers {
		return fmt.Errorf("more than %d addresses of %.80q", maxPeers, h.Host)
	}
	for _, p := range h.Peers {
		switch {
		case len(p.Chain) > maxChain:
			return fmt.Errorf("a chain of more than %d certificates", maxChain)
		case len(p.Detail) > maxText, len(p.Junk) > maxText, len(p.TLS) > maxText, len(p.RawKey) > math.MaxUint16:
			return fmt.Errorf("a text of more than %d bytes", maxText)
		}
		if err := p.checkOwnTLS(); err != nil {
			return err
		}
		if p.OtherKey && (p.Event != engine.HandshakeDone || p.Handshake != engine.HandshakeComplete || p.OwnTLS != nil) {
			return fmt.Errorf("a second certificate of a connection %q", p.Event)
		}
	}
	return nil
}

// checkOwnTLS refuses a second look at a peer that cannot have been recorded.
func (p *Peer) checkOwnTLS() error {
	switch o := p.OwnTLS; {
	case o == nil && p.Handshake == engine.HandshakeComplete:
		return nil
	case o == nil, o.Obstacle == engine.ObstacleNone,
		p.Event != engine.HandshakeFailed && p.Event != engine.HandshakeDone,
		(p.Event == engine.HandshakeDone) == (p.Handshake == engine.HandshakeComplete),
		p.Handshake == engine.HandshakeRead && p.RequireTLS:
		return fmt.Errorf("a handshake %q of a connection %q", p.Handshake, p.Event)
	case len(o.Chain) > maxChain:
		return fmt.Errorf("a chain of more than %d certificates", maxChain)
	case len(o.Detail) > maxText, len(o.Unproved) > maxText:
		return fmt.Errorf("a text of more than %d bytes", maxText)
	}
	return nil
}
