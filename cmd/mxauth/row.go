package main

import (
	"net/netip"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/internal/text"
	"github.com/mxauth/mxauth/tlsrpt"
)

// rowVersion is the "v" of every JSON object that check prints; it changes when a
// field changes its meaning, not when one is added.
const rowVersion = 1

// A checkRow is the JSON object of one domain; docs/check.schema.json describes it.
type checkRow struct {
	V          int               `json:"v"`
	Domain     string            `json:"domain"` // as asked
	Outcome    string            `json:"outcome"`
	Method     string            `json:"method"`
	Deliver    bool              `json:"deliver"`
	Via        string            `json:"via"`
	EveryHost  bool              `json:"every_host"`
	Reason     string            `json:"reason"`
	ReasonID   string            `json:"reason_id"`
	RFC        string            `json:"rfc"`
	ResultType tlsrpt.ResultType `json:"result_type"`
	Code       string            `json:"code,omitempty"` // RFC 3463, of what may not go
	Findings   []findingRow      `json:"findings,omitempty"`
	Hosts      []hostRow         `json:"hosts"`
	Why        []explain.Step    `json:"why"`
	Replay     *replayRow        `json:"replay,omitempty"` // of mxauth replay
}

// An errorRow takes the place of a domain that could not be looked at: the text
// is no domain.
type errorRow struct {
	V      int    `json:"v"`
	Domain string `json:"domain"`
	Error  string `json:"error"`
}

// A hostRow is one MX host: the weakest of its addresses that could be reached.
type hostRow struct {
	Host        string            `json:"host"`
	Preference  uint16            `json:"preference"`
	Outcome     string            `json:"outcome"`
	Method      string            `json:"method"`
	Deliver     bool              `json:"deliver"`
	Requirement string            `json:"requirement"`
	SNI         string            `json:"sni"`
	Reason      string            `json:"reason"`
	ReasonID    string            `json:"reason_id"`
	RFC         string            `json:"rfc"`
	ResultType  tlsrpt.ResultType `json:"result_type"`
	Code        string            `json:"code,omitempty"`
	Waived      bool              `json:"waived,omitempty"`    // a policy forbids it, and audit or the message's own wish let it go
	Exception   string            `json:"exception,omitempty"` // id of the exception by which alone the message may go
	TLS         string            `json:"tls,omitempty"`
	Handshake   engine.Handshake  `json:"handshake,omitzero"`
	Presented   []string          `json:"presented,omitempty"`
	Expected    []string          `json:"expected,omitempty"`
	Addresses   []addressRow      `json:"addresses,omitempty"`
	Findings    []findingRow      `json:"findings,omitempty"`
}

// An addressRow is one address of a host, or one of two certificates that it has shown.
// They are given where they differ, and where there are two certificates.
type addressRow struct {
	Address    netip.Addr        `json:"address"`
	Key        string            `json:"key,omitempty"` // "RSA", "ECDSA", "Ed25519": of one of two certificates
	Outcome    string            `json:"outcome"`
	Method     string            `json:"method"`
	Deliver    bool              `json:"deliver"`
	Reason     string            `json:"reason"`
	ReasonID   string            `json:"reason_id"`
	RFC        string            `json:"rfc"`
	ResultType tlsrpt.ResultType `json:"result_type"`
	Handshake  engine.Handshake  `json:"handshake,omitzero"`
}

// A findingRow is a further reason, such as what a policy in mode testing would have
// refused.
type findingRow struct {
	Reason     string            `json:"reason"`
	ReasonID   string            `json:"reason_id"`
	RFC        string            `json:"rfc"`
	ResultType tlsrpt.ResultType `json:"result_type"`
}

// row makes the JSON object of a verdict.
func (v *verdict) row() any {
	if v.err != nil {
		return errorRow{rowVersion, v.asked, text.Escape(errorText(v.err))}
	}
	return v.checkRow()
}

// checkRow makes that of a domain that was looked at.
func (v *verdict) checkRow() checkRow {
	s := v.Summary
	said := explain.Summary(v.Plan, s)
	r := checkRow{
		V: rowVersion, Domain: v.asked,
		Outcome: s.Outcome.String(), Method: string(s.Method), Deliver: s.Deliver,
		EveryHost: s.EveryHost,
		Reason:    said.Text, ReasonID: string(s.Reason.ID), RFC: said.RFC, ResultType: said.ResultType,
		Code: said.Code, Findings: findings(v.Plan.Findings),
		Hosts: []hostRow{}, Why: explain.Plan(v.Plan),
	}
	for i, h := range v.Plan.Hosts {
		d := v.Hosts[i].Decision
		if r.Via == "" && d.Deliver {
			r.Via = h.String()
		}
		row := hostRowOf(h, d)
		if v.Hosts[i].Differ() || v.Hosts[i].Paired() {
			for _, a := range v.Hosts[i].Addresses {
				ad := a.Decision
				said := explain.Decision(ad)
				row.Addresses = append(row.Addresses, addressRow{
					a.Address, explain.KeyOf(&ad.Peer), ad.Outcome.String(), string(ad.Method), ad.Deliver,
					said.Text, string(ad.Reason.ID), said.RFC, said.ResultType, ad.Peer.Handshake,
				})
			}
		}
		row.TLS = v.tls(i)
		r.Hosts = append(r.Hosts, row)
		r.Why = append(r.Why, explain.Host(&v.Plan.Hosts[i])...)
		r.Why = append(r.Why, explain.Steps(v.Plan, i, d)...)
	}
	if r.Why == nil {
		r.Why = []explain.Step{}
	}
	return r
}

// hostRowOf makes the row of a host, without its addresses and the version of TLS.
func hostRowOf(h engine.Host, d engine.Decision) hostRow {
	said := explain.Decision(d)
	row := hostRow{
		Host: h.String(), Preference: h.Preference,
		Outcome: d.Outcome.String(), Method: string(d.Method), Deliver: d.Deliver,
		Requirement: h.Requirement.String(), SNI: h.SNI,
		Reason: said.Text, ReasonID: string(d.Reason.ID), RFC: said.RFC, ResultType: said.ResultType,
		Code: said.Code, Waived: d.Waived, Handshake: d.Peer.Handshake,
		Presented: d.Presented, Expected: d.Expected, Findings: findings(d.Details),
	}
	if d.Exception != nil {
		row.Exception = d.Exception.ID
	}
	return row
}

// findings makes the JSON form of further reasons.
func findings(reasons []engine.Reason) (out []findingRow) {
	for _, r := range reasons {
		said := explain.Reason(r)
		out = append(out, findingRow{said.Text, string(r.ID), said.RFC, said.ResultType})
	}
	return out
}
