// Package smtpdane reads delivery decisions in the form of the vectors `smtp-dane`:
// the DNSSEC state of the MX, address and TLSA lookups of a host, the chain that it
// sends, and what RFC 7672 says of it.
package smtpdane

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// FileName is the file of the scenarios in the folder.
const FileName = "scenarios.jsonl"

// maxLine bounds a line of the file.
const maxLine = 1 << 20

// Verdicts of RFC 7672.
const (
	Authenticated = "authenticated" // a usable TLSA record matches
	Fail          = "fail"          // usable TLSA records, no match: nothing is delivered to the host
	TempFail      = "tempfail"      // the host is skipped, or the mail deferred
	NoDANE        = "no-dane"       // DANE does not apply
)

// A Scenario is one line of the file.
type Scenario struct {
	ID         string   // Exim's test and recipient
	About      string   // in words
	MX         string   // the domain whose MX records name the host; "" if the domain is the host
	MXSecure   bool     // that RRset was secure
	Hosts      []string // MX hosts, all alike
	Secure     bool     // their A records were secure
	CNAME      *CNAME   // the host is an alias
	TLSAStatus string   // "secure", "insecure", "nxdomain-secure", "nxdomain-insecure", "temporary-failure", "not-looked-up"
	TLSA       []Record
	Chain      []*x509.Certificate // leaf first; nil if there is no handshake
	Require    bool                // DANE was mandatory
	RFC7672    string              // one of the verdicts
	Why        string
}

// A CNAME is an alias.
type CNAME struct {
	Target string `json:"target"`
	Secure bool   `json:"secure"`
}

// A Record is a TLSA record.
type Record struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}

// String prints the presentation format.
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.MatchingType, r.Data)
}

// line is the JSON of a scenario.
type line struct {
	ID       string  `json:"id"`
	Scenario string  `json:"scenario"`
	MX       *string `json:"mx"`
	MXSecure *bool   `json:"mx_secure"`
	Host     string  `json:"host"`
	Address  bool    `json:"address_secure"`
	CNAME    *CNAME  `json:"cname"`
	Status   string  `json:"tlsa_status"`
	TLSA     []struct {
		Usage    uint8  `json:"usage"`
		Selector uint8  `json:"selector"`
		MType    uint8  `json:"mtype"`
		Data     string `json:"data"`
	} `json:"tlsa"`
	Chain   *string `json:"chain"`
	Mode    string  `json:"exim_mode"`
	RFC7672 string  `json:"rfc7672"`
	Why     string  `json:"why"`
}

// Read reads all scenarios of a folder, with the chains that they name. A folder
// without one is an error.
func Read(dir string) ([]Scenario, error) {
	f, err := os.Open(filepath.Join(dir, FileName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadFrom(f, func(name string) ([]byte, error) {
		if name != filepath.Base(name) {
			return nil, fmt.Errorf("smtpdane: the chain %q is not in the folder", name)
		}
		return os.ReadFile(filepath.Join(dir, name))
	})
}

// ReadFrom reads scenarios, one a line; chain returns the PEM file of a name.
func ReadFrom(r io.Reader, chain func(name string) ([]byte, error)) ([]Scenario, error) {
	var all []Scenario
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	for n := 1; sc.Scan(); n++ {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		s, err := parse(sc.Bytes(), chain)
		if err != nil {
			return nil, fmt.Errorf("smtpdane: line %d: %w", n, err)
		}
		all = append(all, s)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("smtpdane: %w", err)
	}
	if len(all) == 0 {
		return nil, errors.New("smtpdane: no scenarios")
	}
	return all, nil
}

func parse(b []byte, chain func(string) ([]byte, error)) (Scenario, error) {
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return Scenario{}, err
	}
	s := Scenario{ID: l.ID, About: l.Scenario, Secure: l.Address, CNAME: l.CNAME, Require: l.Mode == "require", RFC7672: l.RFC7672, Why: l.Why}
	if l.ID == "" || l.Host == "" {
		return s, errors.New("no id or no host")
	}
	if l.MX != nil {
		s.MX, s.MXSecure = *l.MX, l.MXSecure != nil && *l.MXSecure
	}
	for _, h := range strings.Split(l.Host, "+") {
		s.Hosts = append(s.Hosts, strings.TrimSpace(h))
	}
	// "secure (at the CNAME target)" says in words where the records are.
	s.TLSAStatus, _, _ = strings.Cut(l.Status, " ")
	switch s.RFC7672 {
	case Authenticated, Fail, TempFail, NoDANE:
	default:
		return s, fmt.Errorf("no such verdict: %q", s.RFC7672)
	}
	for _, t := range l.TLSA {
		data, err := hex.DecodeString(t.Data)
		if err != nil {
			return s, err
		}
		s.TLSA = append(s.TLSA, Record{t.Usage, t.Selector, t.MType, data})
	}
	if l.Chain != nil {
		file, err := chain(*l.Chain)
		if err != nil {
			return s, err
		}
		if s.Chain, err = certificates(file); err != nil {
			return s, fmt.Errorf("%s: %w", *l.Chain, err)
		}
	}
	return s, nil
}

func certificates(file []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			break
		}
		file = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificates")
	}
	return certs, nil
}
