// Package bettertls reads the chains of the BetterTLS name-constraint suite
// (`bettertls/`).
package bettertls

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// What a verifier is to answer.
const (
	OK     = "OK"
	Error  = "ERROR"
	WeakOK = "WEAK-OK" // may or may not verify
)

// A Case is a line of `nameconstraints.jsonl`. The one trusted root is in
// `root.pem`.
type Case struct {
	ID              int       `json:"id"`
	Host            string    `json:"host"`
	Time            time.Time `json:"time"`
	Expect          string    `json:"expect"`
	Descriptions    []string  `json:"descriptions"`
	CN              *string   `json:"cn"`
	SANs            []string  `json:"sans"`
	NameConstraints struct {
		Blacklist []string `json:"blacklist"` // excluded subtrees
		Whitelist []string `json:"whitelist"` // permitted subtrees
	} `json:"name_constraints"`
	Leaf          string   `json:"leaf"`          // PEM
	Intermediates []string `json:"intermediates"` // PEM
	Go            string   `json:"go"`            // what crypto/x509 answers
}

// Read reads `nameconstraints.jsonl`.
func Read(r io.Reader) ([]Case, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var cases []Case
	for i, line := range bytes.Split(b, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var c Case
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("bettertls: line %d: %w", i+1, err)
		}
		switch c.Expect {
		case OK, Error, WeakOK:
		default:
			return nil, fmt.Errorf("bettertls: line %d: expects %q", i+1, c.Expect)
		}
		cases = append(cases, c)
	}
	return cases, nil
}
