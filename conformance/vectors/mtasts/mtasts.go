// Package mtasts reads the published facts about MTA-STS: TXT records, policies,
// MX patterns, fetch outcomes and media types. Each file holds one JSON object a
// line; the README of the files says what the fields mean.
package mtasts

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrEmpty: the input holds no row at all, which never counts as a pass.
var ErrEmpty = errors.New("mtasts: no rows")

// maxLine bounds one row; the longest known policy row is a few kilobytes.
const maxLine = 1 << 20

// A Record is a row of records.jsonl.
type Record struct {
	Line     int      `json:"-"`
	Source   string   `json:"source"`
	TXT      []string `json:"txt"` // each the joined character-strings
	Valid    bool     `json:"valid"`
	RFC8461  *bool    `json:"rfc8461"`
	ID       string   `json:"rfc8461_id"`
	Conflict bool     `json:"conflict"`
	Note     string   `json:"note"`
}

// Fields are what a policy holds as RFC 8461 reads it.
type Fields struct {
	Version string            `json:"version"`
	Mode    string            `json:"mode"`
	MaxAge  int64             `json:"max_age"` // seconds
	MX      []string          `json:"mx"`
	Ext     map[string]string `json:"ext"`
}

// A Policy is a row of policies.jsonl.
type Policy struct {
	Line     int     `json:"-"`
	Source   string  `json:"source"`
	Body     []byte  `json:"-"` // policy, or policy_b64 decoded
	Text     *string `json:"policy"`
	Base64   string  `json:"policy_b64"`
	Valid    bool    `json:"valid"`
	RFC8461  *bool   `json:"rfc8461"`
	Fields   *Fields `json:"fields"`
	Conflict bool    `json:"conflict"`
	Note     string  `json:"note"`
}

// A Match is a row of mxmatch.jsonl.
type Match struct {
	Line     int    `json:"-"`
	Source   string `json:"source"`
	Pattern  string `json:"pattern"`
	Host     string `json:"host"`
	Match    bool   `json:"match"`
	RFC8461  *bool  `json:"rfc8461"`
	Conflict bool   `json:"conflict"`
	Note     string `json:"note"`
}

// A Fetch is a row of fetch.jsonl: what a policy host, or DNS, did.
type Fetch struct {
	Line        int     `json:"-"`
	Source      string  `json:"source"`
	Status      int     `json:"status"`
	Body        *string `json:"body"`
	BodyBytes   int     `json:"body_bytes"` // a body of this many octets, content not given
	ContentType *string `json:"content_type"`
	// HasContentType: the row is about the header; with a nil ContentType it was absent.
	HasContentType bool   `json:"-"`
	Transfer       string `json:"transfer"` // "chunked", or ""
	Cert           string `json:"cert"`     // in words
	Host           string `json:"host"`
	Location       string `json:"location"`
	DNS            string `json:"dns"`    // "", "timeout", "SERVFAIL", "NXDOMAIN"
	Result         string `json:"result"` // "ok", "no-policy", "fetch-error" or "policy-invalid"
	Note           string `json:"note"`
}

// A ContentType is a row of contenttype.jsonl.
type ContentType struct {
	Line        int    `json:"-"`
	Source      string `json:"source"`
	ContentType string `json:"content_type"`
	Accept      bool   `json:"accept"`
}

// ReadRecords reads records.jsonl. Every row must hold a verdict.
func ReadRecords(r io.Reader) ([]Record, error) {
	return read(r, func(row *Record, n int, _ []byte) error {
		row.Line = n
		return verdict(row.RFC8461)
	})
}

// ReadPolicies reads policies.jsonl and fills Body.
func ReadPolicies(r io.Reader) ([]Policy, error) {
	return read(r, func(row *Policy, n int, _ []byte) (err error) {
		row.Line = n
		switch {
		case row.Text != nil && row.Base64 == "":
			row.Body = []byte(*row.Text)
		case row.Text == nil && row.Base64 != "":
			if row.Body, err = base64.StdEncoding.DecodeString(row.Base64); err != nil {
				return err
			}
		default:
			return errors.New("exactly one of policy and policy_b64 is wanted")
		}
		if err := verdict(row.RFC8461); err != nil {
			return err
		}
		if *row.RFC8461 && row.Fields == nil {
			return errors.New("a valid policy without fields")
		}
		return nil
	})
}

// ReadMatches reads mxmatch.jsonl.
func ReadMatches(r io.Reader) ([]Match, error) {
	return read(r, func(row *Match, n int, _ []byte) error {
		row.Line = n
		return verdict(row.RFC8461)
	})
}

// ReadFetches reads fetch.jsonl.
func ReadFetches(r io.Reader) ([]Fetch, error) {
	return read(r, func(row *Fetch, n int, line []byte) error {
		row.Line = n
		row.HasContentType = bytes.Contains(line, []byte(`"content_type"`))
		switch row.Result {
		case "ok", "no-policy", "fetch-error", "policy-invalid":
			return nil
		}
		return fmt.Errorf("unknown result %q", row.Result)
	})
}

// ReadContentTypes reads contenttype.jsonl.
func ReadContentTypes(r io.Reader) ([]ContentType, error) {
	return read(r, func(row *ContentType, n int, _ []byte) error {
		row.Line = n
		return nil
	})
}

func verdict(b *bool) error {
	if b == nil {
		return errors.New("no field rfc8461")
	}
	return nil
}

// read reads one T a line, blank lines aside, and finishes each with done.
func read[T any](r io.Reader, done func(row *T, line int, text []byte) error) ([]T, error) {
	var out []T
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	n := 0
	for sc.Scan() {
		n++
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		var row T
		err := json.Unmarshal(sc.Bytes(), &row)
		if err == nil {
			err = done(&row, n, sc.Bytes())
		}
		if err != nil {
			return nil, fmt.Errorf("mtasts: line %d: %w", n, err)
		}
		out = append(out, row)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("mtasts: line %d: %w", n+1, err)
	}
	if len(out) == 0 {
		return nil, ErrEmpty
	}
	return out, nil
}
