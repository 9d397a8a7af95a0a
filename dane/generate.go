package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// A Recipe says which record to make of a certificate or key. The zero Recipe, "0 0 0",
// makes nothing; [Recommended] has those to begin with.
type Recipe struct {
	Usage        Usage
	Selector     Selector
	MatchingType MatchingType
}

// Recommended returns "2 0 1" for DANETA and "3 1 1" for every other usage. The digest
// of a key survives a renewal of the certificate for the same key, that of an
// authority's certificate pins its constraints too (RFC 7671 sections 5.1 and 5.2.1),
// and SHA2-256 is what every client knows.
func Recommended(u Usage) Recipe {
	if u == DANETA {
		return Recipe{DANETA, Cert, SHA2_256}
	}
	return Recipe{DANEEE, SPKI, SHA2_256}
}

// String prints the three numbers: "3 1 1".
func (r Recipe) String() string {
	return Record{Usage: r.Usage, Selector: r.Selector, MatchingType: r.MatchingType}.Numbers()
}

// check returns an error if r makes no record that SMTP can use.
func (r Recipe) check() error {
	switch {
	case r.Usage == PKIXTA || r.Usage == PKIXEE:
		return fmt.Errorf("%w: usage %s is not used for SMTP (RFC 7672 section 3.1.3)", ErrRecord, r.Usage)
	case r.Usage > DANEEE:
		return fmt.Errorf("%w: unknown usage %d", ErrRecord, r.Usage)
	case r.Selector > SPKI:
		return fmt.Errorf("%w: unknown selector %d", ErrRecord, r.Selector)
	case r.MatchingType > SHA2_512:
		return fmt.Errorf("%w: unknown matching type %d", ErrRecord, r.MatchingType)
	}
	return nil
}

// Generate makes the TLSA record of a certificate: for usage 3 that of the server, for
// usage 2 that of an authority. Errors wrap [ErrRecord].
func Generate(r Recipe, c *x509.Certificate) (Record, error) {
	if c == nil {
		return Record{}, fmt.Errorf("%w: no certificate", ErrRecord)
	}
	if err := r.check(); err != nil {
		return Record{}, err
	}
	return r.fromCertificate(c.Raw, c.RawSubjectPublicKeyInfo)
}

// GenerateFromDER is [Generate] for a certificate that crypto/x509 need not parse.
func GenerateFromDER(r Recipe, der []byte) (Record, error) {
	if err := r.check(); err != nil {
		return Record{}, err
	}
	c := pkix.Read(der)
	if why := c.Unread(pkix.FieldStructure); why != "" {
		return Record{}, fmt.Errorf("%w: %s", ErrRecord, why)
	}
	return r.fromCertificate(c.Raw(), c.SPKI())
}

func (r Recipe) fromCertificate(raw, spki []byte) (Record, error) {
	if r.Selector == SPKI {
		return r.of(spki)
	}
	return r.of(raw)
}

// GenerateFromKey makes the TLSA record of a DER SubjectPublicKeyInfo; the selector
// must be SPKI. Errors wrap [ErrRecord].
func GenerateFromKey(r Recipe, spki []byte) (Record, error) {
	if err := r.check(); err != nil {
		return Record{}, err
	}
	if r.Selector != SPKI {
		return Record{}, fmt.Errorf("%w: selector Cert(0) needs a certificate, not a key alone", ErrRecord)
	}
	if fullUnusable(Record{Selector: SPKI, Data: string(spki)}) != NoFault {
		return Record{}, fmt.Errorf("%w: the key is no SubjectPublicKeyInfo", ErrRecord)
	}
	return r.of(spki)
}

func (r Recipe) of(der []byte) (Record, error) {
	data := der
	switch r.MatchingType {
	case SHA2_256:
		d := sha256.Sum256(der)
		data = d[:]
	case SHA2_512:
		d := sha512.Sum512(der)
		data = d[:]
	}
	if len(data) > maxData {
		return Record{}, fmt.Errorf("%w: %d octets are more than RDATA holds", ErrRecord, len(data))
	}
	return Record{r.Usage, r.Selector, r.MatchingType, string(data)}, nil
}

// An Entry is a record with its owner name, to be printed in the forms
// that name servers and programs read.
type Entry struct {
	Owner  rfc6125.Name // see [Owner]
	TTL    time.Duration
	Record Record
}

// Zone prints a line of a zone file: "_25._tcp.mx.example.org. 3600 IN TLSA 3 1 1 ab..".
// A TTL below a second is left out.
func (e Entry) Zone() string { return e.prefix() + "TLSA " + e.Record.String() }

// Generic prints a line of a zone file for a name server that does not know TLSA (RFC
// 3597): "_25._tcp.mx.example.org. 3600 IN TYPE52 \# 35 0301..".
func (e Entry) Generic() string { return e.prefix() + "TYPE52 " + e.Record.Generic() }

func (e Entry) prefix() string {
	s := e.Owner.FQDN() + " "
	if e.TTL >= time.Second {
		s += strconv.FormatInt(int64(e.TTL/time.Second), 10) + " "
	}
	return s + "IN "
}

// entryText is an Entry as JSON.
type entryText struct {
	Owner        string `json:"owner"`
	TTL          int64  `json:"ttl,omitempty"` // seconds
	Type         string `json:"type"`
	Usage        uint8  `json:"usage"`
	Selector     uint8  `json:"selector"`
	MatchingType uint8  `json:"matching_type"`
	Data         string `json:"data"` // hex
}

// MarshalJSON prints an object with owner, ttl (seconds, left out if none), type, usage,
// selector and matching_type as numbers, and data in hex.
func (e Entry) MarshalJSON() ([]byte, error) {
	return json.Marshal(entryText{e.Owner.FQDN(), int64(e.TTL / time.Second), "TLSA",
		uint8(e.Record.Usage), uint8(e.Record.Selector), uint8(e.Record.MatchingType), hex.EncodeToString([]byte(e.Record.Data))})
}

// UnmarshalJSON reads what [Entry.MarshalJSON] prints. Errors wrap [ErrRecord],
// [rfc6125.ErrName] or are those of encoding/json.
func (e *Entry) UnmarshalJSON(b []byte) error {
	var t entryText
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return err
	}
	owner, err := rfc6125.ParseName(t.Owner)
	if err != nil {
		return err
	}
	data, err := hex.DecodeString(t.Data)
	if err != nil || len(data) > maxData || t.Type != "TLSA" || t.TTL < 0 || t.TTL > maxTTL {
		return fmt.Errorf("%w: %.100q", ErrRecord, b)
	}
	*e = Entry{owner, time.Duration(t.TTL) * time.Second, Record{Usage(t.Usage), Selector(t.Selector), MatchingType(t.MatchingType), string(data)}}
	return nil
}

// maxTTL is the largest TTL, in seconds (RFC 2181 section 8).
const maxTTL = 1<<31 - 1
