// Package dnssecfacts reads small tables of published DNSSEC facts, one JSON object a
// line: signatures, DS digests, NSEC3 hashes and what NSEC3 records cover. Records are
// master-file lines.
package dnssecfacts

import (
	"encoding/json"
	"fmt"
	"io"
)

// A Signature is a row of signatures.jsonl.
type Signature struct {
	ID     string   `json:"id"`
	RRset  []string `json:"rrset"`
	RRSIG  string   `json:"rrsig"`
	DNSKEY []string `json:"dnskey"`
	Time   int64    `json:"time"` // Unix
	Valid  bool     `json:"valid"`
	Note   string   `json:"note"`
}

// A DS is a row of ds.jsonl.
type DS struct {
	DNSKEY string `json:"dnskey"`
	DS     string `json:"ds"`
	Match  bool   `json:"match"`
	Note   string `json:"note"`
}

// A Hash is a row of nsec3hash.jsonl.
type Hash struct {
	Name       string `json:"name"`
	Iterations uint16 `json:"iterations"`
	Salt       string `json:"salt"` // hex; "-" for none
	Hash       string `json:"hash"` // base32hex, lower case
}

// A Cover is a row of nsec3cover.jsonl.
type Cover struct {
	Owner      string `json:"owner"`
	Iterations uint16 `json:"iterations"`
	Salt       string `json:"salt"`
	Flags      uint8  `json:"flags"`
	Next       string `json:"next"`
	Name       string `json:"name"`
	Covers     bool   `json:"covers"`
	Note       string `json:"note"`
}

// Read reads all rows of a table.
func Read[T Signature | DS | Hash | Cover](r io.Reader) ([]T, error) {
	var out []T
	d := json.NewDecoder(r)
	for {
		var row T
		if err := d.Decode(&row); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("dnssecfacts: row %d: %w", len(out)+1, err)
		}
		out = append(out, row)
	}
}
