package explain

import (
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/tlsrpt"
)

// Info is what is true of a reason in every case, and the sentence of each case.
type Info struct {
	ID reason.ID
	// Text is the sentence of a case, with the names of it in braces: "The mail host {host}
	// has no address." Variants replace it where the evidence asks for another.
	Text       string
	Variants   map[variant]string
	About      string            // what the reason means, without the names of a case
	RFC        string            // section of the rule: "7672 s.2.2"
	ResultType tlsrpt.ResultType // RFC 8460 section 4.3; "" where none exists
	Code       string            // enhanced status code (RFC 3463); "" where the message may go
	Sender     string            // what the sender's administrator can do
	Recipient  string            // what the recipient's administrator can do
}

// Reasons lists every reason that can come out, in the order of the documentation: next
// hop, host, requirement, connection, certificate, message. The slice is the caller's.
func Reasons() []Info {
	var all []Info
	for _, part := range table {
		all = append(all, part...)
	}
	return all
}

// About returns the entry of id; ok is false if there is none.
func About(id reason.ID) (info Info, ok bool) {
	i, ok := byID[id]
	if !ok {
		return Info{}, false
	}
	return *i, true
}

// table is the table in its parts.
var table = [...][]Info{nextHopReasons, hostReasons, requirementReasons, connectionReasons, ownReasons, certificateReasons, messageReasons}

var byID = index()

func index() map[reason.ID]*Info {
	m := make(map[reason.ID]*Info)
	for _, part := range table {
		for i := range part {
			m[part[i].ID] = &part[i]
		}
	}
	return m
}
