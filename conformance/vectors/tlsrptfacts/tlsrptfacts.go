// Package tlsrptfacts reads the set "tlsrpt": TLSRPT records with what each holds, and
// reports as they were sent.
package tlsrptfacts

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
)

// A Record is a line of records.jsonl: one TXT record and whether it is valid.
type Record struct {
	Case   string            `json:"-"` // "records:12", the line's number
	Source string            `json:"source"`
	Text   string            `json:"txt"`
	Valid  bool              `json:"valid"`
	RUA    [][]string        `json:"rua"`
	Ext    map[string]string `json:"ext"`
	Note   string            `json:"note"`
}

// Records reads records.jsonl.
func Records(r io.Reader) ([]Record, error) {
	var out []Record
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		if len(sc.Bytes()) == 0 {
			continue
		}
		var rec Record
		if err := json.Unmarshal(sc.Bytes(), &rec); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		rec.Case = fmt.Sprintf("records:%d", n)
		out = append(out, rec)
	}
	return out, sc.Err()
}

// A Report is a report file of the set.
type Report struct {
	Case string // its file name
	JSON []byte
}

// Load reads a folder of the set. What is not there is empty.
func Load(dir string) (records []Record, reports []Report, err error) {
	f, err := os.Open(filepath.Join(dir, "records.jsonl"))
	if err == nil {
		records, err = Records(f)
		f.Close()
	}
	if err != nil && !os.IsNotExist(err) {
		return nil, nil, fmt.Errorf("records.jsonl: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, nil, err
	}
	sort.Strings(files)
	for _, p := range files {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, nil, err
		}
		reports = append(reports, Report{filepath.Base(p), b})
	}
	return records, reports, nil
}
