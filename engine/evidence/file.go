package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/rfc6125"
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
)

// ErrFile is wrapped by every error of [Read] and [File.Replay] that is about the file: it
// is none, or can not be what was recorded.
var ErrFile = errors.New("evidence: not a file of evidence")

// Modes by which security statuses came about.
const (
	ModeValidate = "validate"
	ModeTrustAD  = "trust-ad"
)

// A File is the evidence of one delivery's check. docs/evidence.schema.json describes its
// JSON.
type File struct {
	V int `json:"v"`
	// At is the clock: plan and decisions were made then.
	At      time.Time `json:"at"`
	Mode    string    `json:"mode"` // ModeValidate or ModeTrustAD
	Request Request   `json:"request"`
	DNS     []Message `json:"dns"`
	STS     *Policy   `json:"sts"` // nil: MTA-STS was not looked at
	Memory  *Memory   `json:"memory,omitempty"`
	Hosts   []Host    `json:"hosts"`
	Verdict Verdict   `json:"verdict"` // what was concluded then
}

// A Request is what was asked, in the words of the options.
type Request struct {
	NextHop        string       `json:"next_hop"`
	Smarthost      bool         `json:"smarthost,omitempty"`
	Port           uint16       `json:"port,omitempty"`
	Level          engine.Level `json:"level"`
	RequireTLS     bool         `json:"requiretls,omitempty"`
	TLSRequiredNo  bool         `json:"tls_required_no,omitempty"`
	NullReturnPath bool         `json:"null_return_path,omitempty"`
	TLSRPTReport   bool         `json:"tlsrpt_report,omitempty"`
	Options        Options      `json:"options"`
	OwnHosts       []string     `json:"own_hosts,omitempty"`
	OwnAddresses   []netip.Addr `json:"own_addresses,omitempty"`
	Exceptions     []Exception  `json:"exceptions,omitempty"` // those that were in force for a host
}

// An Exception is engine.Exception.
type Exception struct {
	ID     string        `json:"id"`
	Domain string        `json:"domain"`
	MXHost string        `json:"mx,omitempty"`
	Method string        `json:"method,omitempty"`
	Effect engine.Effect `json:"effect"`
	Reason string        `json:"reason"`
	Author string        `json:"author"`
	Ends   time.Time     `json:"ends"`
}

// Options are engine.Options without functions.
type Options struct {
	InsecureMX      engine.InsecureMX      `json:"insecure_mx"`
	DANEAndSTS      engine.DANEAndSTS      `json:"dane_and_sts"`
	STSUndetermined engine.STSUndetermined `json:"sts_undetermined"`
	RefuseMXAlias   bool                   `json:"refuse_mx_alias,omitempty"`
	NoCNID          bool                   `json:"no_cn_id,omitempty"`
	NoClearFallback bool                   `json:"no_clear_fallback,omitempty"`
	Audit           bool                   `json:"audit,omitempty"`
	NoAddressDefer  bool                   `json:"no_address_defer,omitempty"`
	LowerAll        bool                   `json:"lower_all,omitempty"`
	Names           []string               `json:"names,omitempty"`
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
}

// A Policy is what MTA-STS came to.
type Policy struct {
	Row     string    `json:"row"`
	Text    string    `json:"text,omitempty"` // of the policy that applied
	Cached  bool      `json:"cached,omitempty"`
	ID      string    `json:"id,omitempty"`
	Fetched time.Time `json:"fetched,omitzero"`
	Pending bool      `json:"pending,omitempty"`
	// Failed is the word of sts.FetchWord where a fetch failed.
	Failed       string   `json:"failed,omitempty"`
	FailedStatus int      `json:"failed_status,omitempty"` // HTTP status, if it got so far
	FailedDetail string   `json:"failed_detail,omitempty"`
	Chain        [][]byte `json:"chain,omitempty"` // DER, of the policy host
}

// A Memory is what was remembered of the domain ([engine.Memory]); nil: nothing is.
type Memory struct {
	Action      engine.MemoryAction `json:"action"`
	HoldSeconds int64               `json:"hold_seconds"`
	// Past includes what the plan itself proved or found missing; nil: the domain has none.
	Past *engine.Past `json:"past,omitempty"`
}

// A Host is what the addresses of one host showed.
type Host struct {
	Host  string `json:"host"` // its name, or its address in brackets
	Peers []Peer `json:"peers"`
	Left  int    `json:"left,omitempty"` // addresses that were not probed
}

// A Peer is what one connection showed.
type Peer struct {
	Address    netip.AddrPort `json:"address"`
	Event      engine.Event   `json:"event"`
	Detail     string         `json:"detail,omitempty"`
	Untried    bool           `json:"untried,omitempty"` // given up for want of time
	Injected   bool           `json:"injected,omitempty"`
	Code       int            `json:"code,omitempty"`
	Chain      [][]byte       `json:"chain,omitempty"` // DER, leaf first
	RawKey     []byte         `json:"raw_key,omitempty"`
	TLS        string         `json:"tls,omitempty"`
	TLSVersion uint16         `json:"tls_version,omitempty"`
	RequireTLS bool           `json:"requiretls,omitempty"`
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
}

// Write prints the file as one JSON object.
func (f *File) Write(w io.Writer) error {
	e := json.NewEncoder(text.JSONWriter(w))
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(f)
}

// Read reads a file. An unknown field, another version, or more than the limits allow is an
// error that wraps [ErrFile].
func Read(r io.Reader) (*File, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%w: larger than %d octets", ErrFile, MaxFile)
	}
	var head struct {
		V *int `json:"v"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if head.V == nil || *head.V != Version {
		return nil, fmt.Errorf("%w: its version is not %d", ErrFile, Version)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	f := &File{}
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something stands behind the object", ErrFile)
	}
	return f, f.check()
}

// check refuses what can not have been recorded.
func (f *File) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrFile, fmt.Sprintf(format, args...))
	}
	switch {
	case f.At.IsZero():
		return bad("it has no time")
	case f.Mode != ModeValidate && f.Mode != ModeTrustAD:
		return bad("mode %.20q", f.Mode)
	case len(f.DNS) > maxDNS:
		return bad("more than %d DNS messages", maxDNS)
	case len(f.Hosts) > maxHosts:
		return bad("more than %d hosts", maxHosts)
	case bytes.IndexByte([]byte(f.Request.NextHop), '@') >= 0:
		return bad("the next hop is an address of a person")
	}
	for _, m := range f.DNS {
		if !m.Name.IsValid() || (m.Failed == "") == (len(m.Response) == 0) {
			return bad("a DNS message without name, or with neither response nor failure")
		}
	}
	for _, h := range f.Hosts {
		if len(h.Peers) > maxPeers {
			return bad("more than %d addresses of %.80q", maxPeers, h.Host)
		}
		for _, p := range h.Peers {
			if len(p.Chain) > maxChain {
				return bad("a chain of more than %d certificates", maxChain)
			}
		}
	}
	return nil
}
