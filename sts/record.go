package sts

import (
	"strings"

	"github.com/mxauth/mxauth/internal/fault"
)

// ErrNoRecord: there is not exactly one well-formed STS record. The sender acts as
// if the domain had none (RFC 8461 section 3.1); a cached policy stays.
var ErrNoRecord = fault.New("sts", "no record")

// recordVersion begins every STS record, in exactly this case (RFC 8461 section 3.1).
const recordVersion = "v=STSv1"

// maxID is the longest id of a record (RFC 8461 section 3.1).
const maxID = 32

// A Record is an MTA-STS TXT record (RFC 8461 section 3.1). The zero Record is none.
type Record struct {
	ID   string  // 1 to 32 ASCII letters and digits; compared exactly
	Ext  []Field // unknown fields, in order
	Text string  // as found
}

// String prints the record in its canonical form, which [ParseRecord] reads back
// to the same ID and Ext.
func (r Record) String() string {
	var b strings.Builder
	b.WriteString(recordVersion + "; id=" + r.ID + ";")
	for _, f := range r.Ext {
		b.WriteString(" " + f.Name + "=" + f.Value + ";")
	}
	return b.String()
}

// A Field is an extension field of a record or a policy.
type Field struct{ Name, Value string }

// ParseRecord picks and reads the STS record among the TXT records of a name, each
// with its character-strings joined (RFC 8461 section 3.1). Texts that do not begin
// with `v=STSv1`, optional blanks (erratum 6285) and a semicolon are dropped before
// they are counted; exactly one must be left, and fit the grammar. An error wraps
// [ErrNoRecord] and says why: a [*SyntaxError] if the one record is malformed.
func ParseRecord(txt []string) (Record, error) {
	found := -1
	for i, s := range txt {
		if !isRecord(s) {
			continue
		}
		if found >= 0 { // STS-3.1-06: RFC 8461 section 3.1
			return Record{}, &SyntaxError{
				Text: cutText(s), Why: "more than one STS record", Kind: ErrNoRecord,
				Cure: "publish exactly one TXT record that begins with \"v=STSv1;\"",
			}
		}
		found = i
	}
	if found < 0 {
		if len(txt) == 0 {
			return Record{}, ErrNoRecord
		}
		return Record{}, &SyntaxError{
			Text: cutText(txt[0]), Why: "no TXT record begins with \"v=STSv1;\"", Kind: ErrNoRecord,
			Cure: "publish a TXT record such as \"v=STSv1; id=20240101T000000;\"",
		}
	}
	return parseRecord(txt[found])
}

// isRecord reports whether s begins as an STS record does.
func isRecord(s string) bool {
	if !strings.HasPrefix(s, recordVersion) { // STS-3.1-04: RFC 8461 section 3.1
		return false
	}
	for i := len(recordVersion); i < len(s); i++ {
		if s[i] == ';' {
			return true
		}
		if !isWSP(s[i]) {
			return false
		}
	}
	return false
}

// parseRecord reads a text for which isRecord holds:
//
//	"v=STSv1" 1*(delim field) [delim]     delim = *WSP ";" *WSP
func parseRecord(text string) (Record, error) {
	r := Record{Text: text}
	bad := func(field, what, why, cure string) (Record, *SyntaxError) {
		return Record{}, &SyntaxError{Field: field, Text: cutText(what), Why: why, Cure: cure, Kind: ErrNoRecord}
	}
	for rest := text[strings.IndexByte(text, ';'):]; rest != ""; {
		// rest begins with the semicolon of a delimiter.
		rest = rest[1:]
		for rest != "" && isWSP(rest[0]) {
			rest = rest[1:]
		}
		if rest == "" {
			break // the one delimiter that may end a record
		}
		var field string
		if i := strings.IndexByte(rest, ';'); i >= 0 {
			field, rest = rest[:i], rest[i:]
			for field != "" && isWSP(field[len(field)-1]) {
				field = field[:len(field)-1]
			}
			if field == "" {
				return bad("", text, "empty field between two semicolons", "remove the second semicolon")
			}
		} else {
			field, rest = rest, ""
			if isWSP(field[len(field)-1]) {
				return bad("", field, "blanks at the end without a semicolon", "remove them, or end the record with a semicolon")
			}
		}
		name, value, ok := strings.Cut(field, "=")
		switch {
		case !ok:
			return bad("", field, "field without \"=\"", "write it as name=value, or remove it")
		case !validFieldName(name):
			return bad("", name, "field name is not 1 to 32 of letters, digits, \"_\", \"-\", \".\", beginning with a letter or digit", "")
		case name == "id" && r.ID == "":
			if !validID(value) {
				return bad("id", value, "id is not 1 to 32 ASCII letters and digits", "use a date such as id=20240101T000000")
			}
			r.ID = value
		default:
			// A repeated id is read as what it also is by the grammar, an
			// extension: the first counts.
			if !validRecordValue(value) {
				return bad(name, value, "value is not visible ASCII without \"=\" and \";\"", "")
			}
			r.Ext = append(r.Ext, Field{name, value}) // STS-3.2-10: RFC 8461 section 3.2
		}
	}
	if r.ID == "" {
		r, err := bad("id", text, "no id", "add a field such as id=20240101T000000, new with every change of the policy")
		err.missing = true
		return r, err
	}
	return r, nil
}

func validID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) {
			return false
		}
	}
	return true
}

// validRecordValue reports whether s is 1*(%x21-3A / %x3C / %x3E-7E); the semicolon
// cannot occur here.
func validRecordValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == '=' || s[i] == ';' {
			return false
		}
	}
	return s != ""
}
