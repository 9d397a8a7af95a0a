// Package tlsawild reads TLSA records as they were published, with the chains that
// they pin, and rows of presentation format (`tlsa-wild/`).
package tlsawild

import (
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
)

// A Set is a row of `tlsa.jsonl`: a TLSA RRset and the chain of its host.
type Set struct {
	Source   string `json:"source"`
	Owner    string `json:"owner"`
	Host     string `json:"host"`
	Chain    string `json:"chain"`     // PEM file next to the table
	DropLeaf bool   `json:"drop_leaf"` // remove the first certificate
	TLSA     []struct {
		Usage    uint8  `json:"usage"`
		Selector uint8  `json:"selector"`
		MType    uint8  `json:"mtype"`
		Data     string `json:"data"` // hex
		Matches  []int  `json:"matches_chain_index"`
	} `json:"tlsa"`
	Verdict string `json:"verdict"` // "authenticated" or "fail"
	Leaf    string `json:"leaf"`
	By      string `json:"by"`
	Note    string `json:"note"`
}

// A Row is a row of `gnutls.jsonl`: RDATA with a certificate, and GnuTLS's verdicts.
type Row struct {
	Source       string   `json:"source"`
	Name         string   `json:"name"`
	RData        []string `json:"rdata"` // hex
	Secure       bool     `json:"secure"`
	Bogus        bool     `json:"bogus"`
	LoadResult   string   `json:"load_result"`
	VerifyResult *string  `json:"verify_result"`
	Status       *string  `json:"status"`
	Cert         string   `json:"cert"` // PEM; "" for none
	CA           string   `json:"ca"`   // PEM; "" for none
	Note         string   `json:"note"`
}

// GnuTLSTime is the Unix time at which the rows of `gnutls.jsonl` are judged.
const GnuTLSTime = 1461671166

// A Text is a row of `presentation.jsonl`.
type Text struct {
	Source string `json:"source"`
	Text   string `json:"text"` // type and RDATA
	Valid  bool   `json:"valid"`
	RData  string `json:"rdata"` // hex; "" if not valid
	Note   string `json:"note"`
}

// Read reads one table, a JSON object a row. An unknown field is an error.
func Read[T Set | Row | Text](r io.Reader) ([]T, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var rows []T
	for {
		var row T
		if err := d.Decode(&row); err == io.EOF {
			return rows, nil
		} else if err != nil {
			return nil, fmt.Errorf("tlsawild: row %d: %w", len(rows)+1, err)
		}
		rows = append(rows, row)
	}
}

// Bytes reads the RDATA of a row.
func (r Row) Bytes() ([][]byte, error) {
	var out [][]byte
	for _, s := range r.RData {
		b, err := hex.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("tlsawild: %q: %w", r.Name, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// Certificates reads the certificates of PEM text, as DER, in order.
func Certificates(text []byte) [][]byte {
	var out [][]byte
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return out
		}
		if b.Type == "CERTIFICATE" {
			out = append(out, b.Bytes)
		}
	}
}
