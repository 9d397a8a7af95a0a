// Package dnsjava reads the recordings of dnsjava's validating resolver: all messages
// that it got from a recursive server on the way from a question to the root key, as
// text, and the table that says the result of each.
package dnsjava

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// A Case is one row of index.jsonl.
type Case struct {
	File    string `json:"file"`
	Date    string `json:"date"` // RFC 3339: the time of validation
	QName   string `json:"qname"`
	QType   string `json:"qtype"`
	AD      bool   `json:"ad"`
	Rcode   string `json:"rcode"`
	Verdict string `json:"verdict"` // secure, insecure, bogus
	EDE     string `json:"ede"`
	Reason  string `json:"reason"`
}

// A Message is one recorded response. Records are master-file lines.
type Message struct {
	Rcode      string // NOERROR
	QName      string
	QType      string
	Answer     []string
	Authority  []string
	Additional []string
}

// ReadIndex reads index.jsonl.
func ReadIndex(r io.Reader) ([]Case, error) {
	var out []Case
	d := json.NewDecoder(r)
	for {
		var c Case
		if err := d.Decode(&c); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("dnsjava: row %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
}

// Time returns Date as a time.
func (c Case) Time() (time.Time, error) {
	t, err := time.Parse(time.RFC3339, c.Date)
	if err != nil {
		return time.Time{}, fmt.Errorf("dnsjava: %w", err)
	}
	return t, nil
}

var (
	headerLine   = regexp.MustCompile(`^;; ->>HEADER<<- .*status: (\S+), id:`)
	questionLine = regexp.MustCompile(`^;;\s+(\S+), type = (\S+), class = IN`)
)

// Read reads a recording.
func Read(r io.Reader) ([]Message, error) {
	var out []Message
	var section *[]string
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimRight(sc.Text(), " \t\r")
		if m := headerLine.FindStringSubmatch(line); m != nil {
			out = append(out, Message{Rcode: m[1]})
			section = nil
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("dnsjava: line %d: no message before it", n)
		}
		msg := &out[len(out)-1]
		switch {
		case strings.HasPrefix(line, ";; ANSWERS"):
			section = &msg.Answer
		case strings.HasPrefix(line, ";; AUTHORITY"):
			section = &msg.Authority
		case strings.HasPrefix(line, ";; ADDITIONAL"):
			section = &msg.Additional
		case strings.HasPrefix(line, ";"):
			if m := questionLine.FindStringSubmatch(line); m != nil {
				msg.QName, msg.QType = m[1], m[2]
			}
		default:
			if section == nil {
				return nil, fmt.Errorf("dnsjava: line %d: a record outside a section", n)
			}
			*section = append(*section, line)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("dnsjava: %w", err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("dnsjava: no message")
	}
	return out, nil
}
