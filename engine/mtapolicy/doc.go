// Package mtapolicy renders a plan in the words of a mail server that asks before it
// delivers: Postfix and sendmail ask once per domain, Exim once per host.
//
// Postfix reads a TLS policy table. A reply for a domain with an enforced MTA-STS policy:
//
//	secure match=mx1.example.org:mx2.example.org servername=hostname protocols=>=TLSv1.2
//
// and for a domain whose mail hosts have TLSA records:
//
//	dane-only protocols=>=TLSv1.2
//
// One reply speaks for all hosts of a domain, so it cannot always say what the plan says
// of each. Where the reply lets a connection through that the plan forbids, or holds a
// message that the plan would let go, the reply names a [Deviation].
//
// Everything here is a pure function of the plan: no lookup, no clock, no state.
package mtapolicy

import (
	"fmt"

	"github.com/mxauth/mxauth/engine/reason"
)

// A Kind says which of the three answers of a table lookup a reply is. The zero Kind is
// TryLater.
type Kind uint8

// Kinds of replies.
const (
	TryLater Kind = iota // the mail server keeps the message in its queue (TEMP)
	Found                // Text holds the policy (OK)
	NotFound             // the mail server's own default holds (NOTFOUND)
)

// String returns "try-later", "found" or "not-found".
func (k Kind) String() string {
	switch k {
	case Found:
		return "found"
	case NotFound:
		return "not-found"
	}
	return "try-later"
}

// MarshalText prints k as [Kind.String] does.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what [Kind.MarshalText] prints.
func (k *Kind) UnmarshalText(b []byte) error {
	for _, o := range []Kind{TryLater, Found, NotFound} {
		if o.String() == string(b) {
			*k = o
			return nil
		}
	}
	return fmt.Errorf("mtapolicy: no such kind of reply: %.20q", b)
}

// A Row is the rule that chose the reply, P1 to P12 for Postfix.
type Row string

// Rows of Postfix and sendmail. The first one that fits decides.
const (
	P1  Row = "P1"  // the key is no domain, host or address literal
	P2  Row = "P2"  // audit mode, or level opportunistic
	P3  Row = "P3"  // exceptions cover every host
	P4  Row = "P4"  // no such domain, null MX, mail loop, or no host has an address
	P5  Row = "P5"  // the MX lookup failed, the request was refused, or no host may be used now
	P6  Row = "P6"  // every usable host must match TLSA records
	P7  Row = "P7"  // some usable host must match TLSA records, and another host needs another method or none
	P8a Row = "P8a" // every usable host must use TLS, and nothing else
	P8b Row = "P8b" // TLSA records decide host by host
	P9  Row = "P9"  // MTA-STS
	P10 Row = "P10" // WebPKI with configured names
	P11 Row = "P11" // nothing is demanded
	P12 Row = "P12" // none of these: a bug
)

// A Form is the dialect of the mail server.
type Form uint8

// Forms.
const (
	// Plain is understood by every Postfix that has TLS policy tables.
	Plain Form = iota
	// Extended adds the attributes of Postfix 3.10 and later: what TLSRPT needs to report
	// on an MTA-STS policy, and the patterns of its MX hosts.
	Extended
	// Sendmail is the map "sts" of sendmail 8.18, which does DANE by itself.
	Sendmail
	// PerHost is the line that Exim reads; only [Exim] makes it.
	PerHost
)

// String returns "plain", "extended", "sendmail" or "exim".
func (f Form) String() string {
	switch f {
	case PerHost:
		return "exim"
	case Extended:
		return "extended"
	case Sendmail:
		return "sendmail"
	}
	return "plain"
}

// Options of a reply that the plan does not hold. The zero value is the default.
type Options struct {
	Form Form
	// NoMinTLS leaves the attribute protocols out, for Postfix before 3.6, which does not
	// know the form ">=TLSv1.2". TLS 1.2 is then a setting of the mail server.
	NoMinTLS bool
	// HoldTLS says that the engine's memory runs with action "defer": where every host has
	// spoken TLS before, TLS is demanded although no policy does.
	HoldTLS bool
}

// A DeviationID is the stable word of a deviation; docs/deviations.md has one row for
// each.
type DeviationID string

// Deviations. The first group lets a connection through that the plan forbids or checks
// less of it, the second holds a message, or leaves a host unused, where the plan would
// let it go.
const (
	WeakerTLSAHost       DeviationID = "tlsa-host-used"        // dane-only uses every host whose TLSA records match, also one that the plan excludes
	WeakerSTSUnchecked   DeviationID = "sts-unchecked"         // dane-and-sts = both: MTA-STS is not checked
	WeakerTLSAUnchecked  DeviationID = "tlsa-unchecked"        // half-dane+sts: the TLSA records are not checked
	WeakerOldInsecureMX  DeviationID = "old-insecure-mx"       // Postfix before 3.6.17, 3.7.13, 3.8.8, 3.9.2 with another default than dane ignores "dane" where the MX is unsigned
	WeakerNextHopName    DeviationID = "half-dane-nexthop"     // usage 2 where the MX is unsigned: the name of the next hop counts as well
	WeakerTADates        DeviationID = "ta-dates"              // usage 2: the certificate of the authority may have expired
	WeakerTACommonName   DeviationID = "ta-common-name"        // no-cn-id: with usage 2 a certificate without DNS names passes by its Common Name
	WeakerCommonName     DeviationID = "common-name"           // a certificate without DNS names passes by its Common Name
	WeakerSharedName     DeviationID = "shared-name"           // a host that the plan excludes passes if its certificate carries the name of a usable one
	WeakerAudit          DeviationID = "audit-host-used"       // audit mode: a host is used although a lookup failed or an option excludes it
	StrongerAudit        DeviationID = "audit-dane"            // audit mode: the default level dane goes on refusing
	StrongerException    DeviationID = "exception-partly"      // an exception that does not cover all hosts has no effect
	StrongerHostUnused   DeviationID = "host-unused"           // a usable host is not used together with hosts with TLSA records
	StrongerInsecureMX   DeviationID = "insecure-mx-checked"   // TLSA records of an unsigned MX are checked although the options do not ask for it
	StrongerDefaultLevel DeviationID = "default-level-applies" // the default level dane checks TLSA records that the plan does not look at
	StrongerTLSDemanded  DeviationID = "tls-demanded"          // TLS is demanded of a host that may do without
)

// A Deviation says that the reply cannot say all that the plan says.
type Deviation struct {
	ID DeviationID `json:"id"`
	// Weaker: the mail server checks less than the plan demands. Otherwise it is stricter.
	Weaker bool   `json:"weaker"`
	Host   string `json:"host,omitempty"` // the host it is about; "" for all
}

// weakerIDs are the deviations that check less than the plan.
var weakerIDs = map[DeviationID]bool{
	WeakerTLSAHost: true, WeakerSTSUnchecked: true, WeakerTLSAUnchecked: true, WeakerOldInsecureMX: true,
	WeakerNextHopName: true, WeakerTADates: true, WeakerTACommonName: true, WeakerAudit: true, WeakerEximHalfDANE: true,
	WeakerEximAgility: true, WeakerEximPurpose: true, WeakerCommonName: true, WeakerSharedName: true,
}

// A Reply is the answer to the mail server. The zero Reply is TryLater without a text.
type Reply struct {
	Kind Kind `json:"kind"`
	// Text is the policy of a Found reply, or one clause with host and cause of a TryLater
	// reply: printable ASCII, at most 180 bytes there. It is empty for NotFound.
	Text string `json:"text,omitempty"`
	Row  Row    `json:"row"`
	// Reason is the id of the engine's reason for a TryLater reply; "" if there is none.
	Reason     reason.ID   `json:"reason,omitempty"`
	Deviations []Deviation `json:"deviations,omitempty"`
	// Would is the row that had fitted without audit mode; "" in every other reply.
	Would Row `json:"would,omitempty"`
}

// deviate adds a deviation once.
func (r *Reply) deviate(id DeviationID, host string) {
	d := Deviation{ID: id, Weaker: weakerIDs[id], Host: host}
	for _, o := range r.Deviations {
		if o == d {
			return
		}
	}
	r.Deviations = append(r.Deviations, d)
}
