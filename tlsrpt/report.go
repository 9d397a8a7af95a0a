package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mxauth/mxauth/internal/fault"
)

// ErrReport is wrapped by every error of [ParseReport].
var ErrReport = fault.New("tlsrpt", "not a report")

// MaxReport bounds a report that is read, uncompressed: 16 MiB. A large provider's
// report for one domain and day is a few hundred kilobytes.
const MaxReport = 16 << 20

// Media types of a report (RFC 8460 section 5.4).
const (
	MediaTypeJSON = "application/tlsrpt+json"
	MediaTypeGzip = "application/tlsrpt+gzip"
)

// A Report is a TLSRPT report (RFC 8460 section 4.4).
type Report struct {
	Organization string
	Start, End   time.Time // the day reported, UTC
	Contact      string
	ID           string
	Policies     []PolicyReport
}

// A PolicyReport counts the sessions of one policy.
type PolicyReport struct {
	Policy           Policy
	Success, Failure uint64 // sessions
	Failures         []FailureCount
}

// A FailureCount counts the sessions that failed in one way. Counts are not exclusive: a
// session may be counted under several (RFC 8460 section 4).
type FailureCount struct {
	Failure
	Sessions uint64
}

type jsonReport struct {
	Organization string `json:"organization-name"`
	Range        struct {
		Start string `json:"start-datetime"`
		End   string `json:"end-datetime"`
	} `json:"date-range"`
	Contact  string       `json:"contact-info"`
	ID       string       `json:"report-id"`
	Policies []jsonPolicy `json:"policies"`
}

type jsonPolicy struct {
	Policy struct {
		Type    PolicyType `json:"policy-type"`
		Strings []string   `json:"policy-string,omitempty"`
		Domain  string     `json:"policy-domain"`
		MXHosts stringList `json:"mx-host,omitempty"`
	} `json:"policy"`
	Summary struct {
		Success uint64 `json:"total-successful-session-count"`
		Failure uint64 `json:"total-failure-session-count"`
	} `json:"summary"`
	Failures []jsonFailure `json:"failure-details,omitempty"`
}

type jsonFailure struct {
	Type        ResultType `json:"result-type"`
	SendingIP   string     `json:"sending-mta-ip,omitempty"`
	MXHost      string     `json:"receiving-mx-hostname,omitempty"`
	MXHelo      string     `json:"receiving-mx-helo,omitempty"`
	ReceivingIP string     `json:"receiving-ip,omitempty"`
	Sessions    uint64     `json:"failed-session-count"`
	Info        string     `json:"additional-information,omitempty"`
	Reason      string     `json:"failure-reason-code,omitempty"`
}

// stringList takes a list, or a lone string as some senders write mx-host (erratum 6241
// of RFC 8460: it is a list).
type stringList []string

func (l *stringList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = stringList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// MarshalJSON prints the report as I-JSON (RFC 8460 section 4.4, RFC 7493).
func (r Report) MarshalJSON() ([]byte, error) {
	var j jsonReport
	j.Organization, j.Contact, j.ID = r.Organization, r.Contact, r.ID
	j.Range.Start, j.Range.End = r.Start.UTC().Format(time.RFC3339), r.End.UTC().Format(time.RFC3339)
	j.Policies = []jsonPolicy{} // TLSRPT-4-02: RFC 8460 section 4
	for _, p := range r.Policies {
		var q jsonPolicy
		q.Policy.Type, q.Policy.Strings = p.Policy.Type, p.Policy.Strings
		q.Policy.Domain, q.Policy.MXHosts = p.Policy.Domain, p.Policy.MXHosts
		q.Summary.Success, q.Summary.Failure = p.Success, p.Failure
		for _, f := range p.Failures {
			q.Failures = append(q.Failures, jsonFailure{
				f.Type, f.SendingIP, f.MXHost, f.MXHelo, f.ReceivingIP, f.Sessions, f.Info, f.ReasonCode,
			})
		}
		j.Policies = append(j.Policies, q)
	}
	return json.Marshal(j)
}

// ParseReport reads a report, gzip-compressed or not. What real senders do and RFC 8460
// does not allow is let through where the meaning is plain: times without an offset
// (taken as UTC), a lone string as mx-host, unknown fields, unknown result types. Errors
// wrap [ErrReport].
func ParseReport(b []byte) (Report, error) {
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return Report{}, fmt.Errorf("%w: %w", ErrReport, err)
		}
		if b, err = io.ReadAll(io.LimitReader(z, MaxReport+1)); err != nil {
			return Report{}, fmt.Errorf("%w: %w", ErrReport, err)
		}
	}
	if len(b) > MaxReport {
		return Report{}, fmt.Errorf("%w: larger than %d octets", ErrReport, MaxReport)
	}
	var j jsonReport
	if err := json.Unmarshal(b, &j); err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrReport, err)
	}
	r := Report{Organization: j.Organization, Contact: j.Contact, ID: j.ID}
	var err error
	if r.Start, err = parseTime(j.Range.Start); err != nil {
		return Report{}, err
	}
	if r.End, err = parseTime(j.Range.End); err != nil {
		return Report{}, err
	}
	if j.Policies == nil {
		return Report{}, fmt.Errorf("%w: no policies", ErrReport)
	}
	for _, p := range j.Policies {
		if !p.Policy.Type.IsValid() {
			return Report{}, fmt.Errorf("%w: policy-type %.40q", ErrReport, p.Policy.Type)
		}
		q := PolicyReport{
			Policy:  Policy{p.Policy.Type, p.Policy.Strings, p.Policy.Domain, p.Policy.MXHosts},
			Success: p.Summary.Success, Failure: p.Summary.Failure,
		}
		for _, f := range p.Failures {
			q.Failures = append(q.Failures, FailureCount{
				Failure{f.Type, f.SendingIP, f.MXHost, f.MXHelo, f.ReceivingIP, f.Info, f.Reason}, f.Sessions,
			})
		}
		r.Policies = append(r.Policies, q)
	}
	return r, nil
}

func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	t, err := time.Parse("2006-01-02T15:04:05", s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: date-range: %.40q", ErrReport, s)
	}
	return t, nil
}

// Compress returns the JSON of the report gzip-compressed, as it is sent (RFC 8460
// section 5.2).
func (r Report) Compress() ([]byte, error) {
	b, err := r.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// FileName is the name of the report as a file (RFC 8460 section 5.1): sender, policy
// domain, begin and end as Unix times, and the report's id. Characters of the id that
// the grammar does not allow, which is all but letters and digits, are left out. sender
// and domain are in A-labels.
func (r Report) FileName(sender, domain string, compressed bool) string {
	id := strings.Map(func(c rune) rune {
		if c < 0x80 && (isAlpha(byte(c)) || isDigit(byte(c))) {
			return c
		}
		return -1
	}, r.ID)
	name := fmt.Sprintf("%s!%s!%d!%d", sender, domain, r.Start.Unix(), r.End.Unix())
	if id != "" {
		name += "!" + id
	}
	if compressed {
		return name + ".json.gz"
	}
	return name + ".json"
}
