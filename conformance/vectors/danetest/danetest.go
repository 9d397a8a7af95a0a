// Package danetest reads OpenSSL's DANE verification vectors (`danetest/`): blocks of
// TLSA records and a chain, each with the verdict and the depth of the match.
package danetest

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A Record is one TLSA record of a block.
type Record struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}

// Verdicts of X509_verify_cert that the blocks expect.
const (
	OK           = 0
	NoIssuer     = 20
	NameMismatch = 62
	NoMatch      = 65
)

// A Block is one case of `danetest.in` or `dane-cross.in`.
type Block struct {
	Number       int // the first block is 1
	Records      []Record
	Chain        [][]byte // DER, leaf first
	NoNameChecks bool     // name checks are off for DANE-EE
	Result       int      // one of the verdicts
	Depth        int      // of the match in the verified chain; -1 for none
}

// Read reads a file of blocks.
func Read(r io.Reader) ([]Block, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	var blocks []Block
	for in.Scan() {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		b, err := readBlock(in, line)
		if err != nil {
			return nil, fmt.Errorf("danetest: block %d: %w", len(blocks)+1, err)
		}
		b.Number = len(blocks) + 1
		blocks = append(blocks, b)
	}
	return blocks, in.Err()
}

// readBlock reads what follows the header line.
func readBlock(in *bufio.Scanner, header string) (Block, error) {
	var n [5]int
	f := strings.Fields(header)
	if len(f) != len(n) {
		return Block{}, fmt.Errorf("header %.40q", header)
	}
	for i := range n {
		v, err := strconv.Atoi(f[i])
		if err != nil {
			return Block{}, fmt.Errorf("header %.40q", header)
		}
		n[i] = v
	}
	b := Block{NoNameChecks: n[2] != 0, Result: n[3], Depth: n[4]}
	for range n[0] {
		if !in.Scan() {
			return Block{}, io.ErrUnexpectedEOF
		}
		r, err := readRecord(in.Text())
		if err != nil {
			return Block{}, err
		}
		b.Records = append(b.Records, r)
	}
	for range n[1] {
		der, err := readCertificate(in)
		if err != nil {
			return Block{}, err
		}
		b.Chain = append(b.Chain, der)
	}
	return b, nil
}

// readRecord reads `usage selector mtype hex`, blanks allowed in the hex.
func readRecord(line string) (Record, error) {
	f := strings.Fields(line)
	if len(f) < 4 {
		return Record{}, fmt.Errorf("record %.40q", line)
	}
	var n [3]uint8
	for i := range n {
		v, err := strconv.ParseUint(f[i], 10, 8)
		if err != nil {
			return Record{}, fmt.Errorf("record %.40q", line)
		}
		n[i] = uint8(v)
	}
	data, err := hex.DecodeString(strings.Join(f[3:], ""))
	if err != nil {
		return Record{}, fmt.Errorf("record %.40q: %w", line, err)
	}
	return Record{n[0], n[1], n[2], data}, nil
}

// readCertificate skips text up to the next PEM certificate and reads it.
func readCertificate(in *bufio.Scanner) ([]byte, error) {
	var text bytes.Buffer
	for in.Scan() {
		line := strings.TrimSpace(in.Text())
		if text.Len() == 0 && !strings.HasPrefix(line, "-----BEGIN") {
			continue
		}
		text.WriteString(line + "\n")
		if strings.HasPrefix(line, "-----END") {
			p, _ := pem.Decode(text.Bytes())
			if p == nil {
				return nil, fmt.Errorf("certificate that is no PEM")
			}
			return p.Bytes, nil
		}
	}
	return nil, io.ErrUnexpectedEOF
}

// Verdicts of an Expect row.
const (
	// of Generic
	Match           = "match"
	GenericNoMatch  = "no-match"
	GenericName     = "name-mismatch"
	ChainIncomplete = "chain-incomplete"
	// of SMTP
	Authenticated = "authenticated"
	Fail          = "fail"
	Unusable      = "unusable"
)

// An Expect is a row of `expect.jsonl`: what a block means by RFC 6698 and 7671, and
// for SMTP.
type Expect struct {
	File       string `json:"file"`
	Case       int    `json:"case"` // Number of the block
	BaseDomain string `json:"base_domain"`
	TLSA       []struct {
		Usage    uint8 `json:"usage"`
		Selector uint8 `json:"selector"`
		MType    uint8 `json:"mtype"`
	} `json:"tlsa"`
	Certs          int    `json:"certs"`
	NoEENameChecks bool   `json:"no_ee_name_checks"`
	OpenSSLError   int    `json:"openssl_error"`
	MatchDepth     int    `json:"match_depth"`
	Generic        string `json:"generic"`
	SMTP           string `json:"smtp"`
	Why            string `json:"why"`
}

// ReadExpect reads `expect.jsonl`. An unknown field or verdict is an error.
func ReadExpect(r io.Reader) ([]Expect, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var rows []Expect
	for {
		var e Expect
		if err := d.Decode(&e); err == io.EOF {
			return rows, nil
		} else if err != nil {
			return nil, fmt.Errorf("danetest: row %d: %w", len(rows)+1, err)
		}
		switch e.Generic {
		case Match, GenericNoMatch, GenericName, ChainIncomplete:
		default:
			return nil, fmt.Errorf("danetest: row %d: generic %q", len(rows)+1, e.Generic)
		}
		switch e.SMTP {
		case Authenticated, Fail, Unusable:
		default:
			return nil, fmt.Errorf("danetest: row %d: smtp %q", len(rows)+1, e.SMTP)
		}
		rows = append(rows, e)
	}
}
