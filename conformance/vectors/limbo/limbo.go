// Package limbo reads x509-limbo's chains and this project's notes on them
// (`limbo/`).
package limbo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// A Case is one chain and its verdict.
type Case struct {
	ID                    string    `json:"id"`
	Features              []string  `json:"features"`
	Description           string    `json:"description"`
	ValidationKind        string    `json:"validation_kind"` // "SERVER"
	TrustedCerts          []string  `json:"trusted_certs"`   // PEM
	UntrustedIntermediate []string  `json:"untrusted_intermediates"`
	PeerCertificate       string    `json:"peer_certificate"`
	ValidationTime        time.Time `json:"validation_time"` // zero: any time
	ExtendedKeyUsage      []string  `json:"extended_key_usage"`
	ExpectedResult        string    `json:"expected_result"` // "SUCCESS" or "FAILURE"
	ExpectedPeerName      PeerName  `json:"expected_peer_name"`
	MaxChainDepth         *int      `json:"max_chain_depth"` // intermediates; nil: no limit

	Note Note `json:"-"`
}

// A PeerName is the reference identifier.
type PeerName struct {
	Kind  string `json:"kind"` // "DNS" or "IP"
	Value string `json:"value"`
}

// A Note is a line of `notes.jsonl`.
type Note struct {
	ID       string   `json:"id"`
	Expected string   `json:"expected"`
	Host     string   `json:"host"`
	Features []string `json:"features"`
	Go       string   `json:"go"`    // what crypto/x509 answers
	Class    string   `json:"class"` // "core", "go-differs", "ip-identity", "needs-option"
	Later    string   `json:"later"`
}

// Succeeds reports whether the chain is to be accepted.
func (c Case) Succeeds() bool { return c.ExpectedResult == "SUCCESS" }

// Read reads `limbo.json` and `notes.jsonl`, and gives each case its note. A case
// without one is an error.
func Read(suite, notes io.Reader) ([]Case, error) {
	var s struct {
		Version   int    `json:"version"`
		Testcases []Case `json:"testcases"`
	}
	if err := json.NewDecoder(suite).Decode(&s); err != nil {
		return nil, fmt.Errorf("limbo: %w", err)
	}
	b, err := io.ReadAll(notes)
	if err != nil {
		return nil, fmt.Errorf("limbo: notes: %w", err)
	}
	byID := make(map[string]Note)
	for i, line := range bytes.Split(b, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var n Note
		if err := json.Unmarshal(line, &n); err != nil {
			return nil, fmt.Errorf("limbo: notes, line %d: %w", i+1, err)
		}
		byID[n.ID] = n
	}
	for i := range s.Testcases {
		c := &s.Testcases[i]
		n, ok := byID[c.ID]
		if !ok {
			return nil, fmt.Errorf("limbo: no note on %s", c.ID)
		}
		if n.Expected != c.ExpectedResult {
			return nil, fmt.Errorf("limbo: note and case %s differ", c.ID)
		}
		c.Note = n
	}
	return s.Testcases, nil
}
