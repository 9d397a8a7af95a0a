// Package hostmatch reads the tables of facts about names in certificates
// (`rfc6125/`): does this pattern match this host, is this string a name, does
// this name lie in that constraint.
package hostmatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// A Row is a line of `hostmatch.jsonl`.
type Row struct {
	Source   string `json:"source"`   // repository:path@version
	Pattern  string `json:"pattern"`  // the presented identifier
	Host     string `json:"host"`     // the reference identifier
	Match    bool   `json:"match"`    // the verdict of the suite
	Via      string `json:"via"`      // "san-dns", "cn" or "matcher"
	RFC9525  bool   `json:"rfc9525"`  // the verdict to assert
	MTA      *bool  `json:"mta"`      // only where MTA practice differs
	Conflict bool   `json:"conflict"` // another suite says otherwise
	Note     string `json:"note"`
}

// A Conflict is a line of `conflicts.jsonl`: a pair about which suites disagree.
type Conflict struct {
	Pattern string   `json:"pattern"`
	Host    string   `json:"host"`
	True    []string `json:"true"`
	False   []string `json:"false"`
	RFC9525 bool     `json:"rfc9525"`
	MTA     bool     `json:"mta"`
	Why     string   `json:"why"`
}

// A NameRow is a line of `namevalid.jsonl`; a nil verdict means that the suite
// has none.
type NameRow struct {
	Source         string `json:"source"`
	Name           string `json:"name"`
	ValidReference *bool  `json:"valid_reference"`
	ValidPresented *bool  `json:"valid_presented"`
	Note           string `json:"note"`
}

// A ConstraintRow is a line of `dnsconstraint.jsonl`. Match is nil where Error
// says that one of the two is malformed.
type ConstraintRow struct {
	Source     string `json:"source"`
	Presented  string `json:"presented"`
	Constraint string `json:"constraint"`
	Subtree    string `json:"subtree"` // "permitted" or "excluded"
	Match      *bool  `json:"match"`
	Error      string `json:"error"`
	Table      string `json:"table"`
}

// Read reads one table, a JSON object a line. An unknown field is an error, so
// that no verdict is overlooked.
func Read[T Row | Conflict | NameRow | ConstraintRow](r io.Reader) ([]T, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var rows []T
	for i, line := range bytes.Split(b, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var row T
		if err := d.Decode(&row); err != nil {
			return nil, fmt.Errorf("hostmatch: line %d: %w", i+1, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
