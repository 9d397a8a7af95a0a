package bulk

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// csvHeader names the columns.
var csvHeader = []string{"line", "domain", "mechanism", "outcome", "method", "provider", "hosts", "reason_ids", "reason", "error"}

// A CSVWriter writes rows as CSV (RFC 4180), with a header before the first.
//
// A cell that a spreadsheet takes for a formula gets an apostrophe before it: what is in a row
// comes from zones and policies of others.
type CSVWriter struct {
	w     *csv.Writer
	begun bool
}

// NewCSVWriter returns a writer to w.
func NewCSVWriter(w io.Writer) *CSVWriter { return &CSVWriter{w: csv.NewWriter(w)} }

// Write writes a row. The error is that of the writer below.
func (c *CSVWriter) Write(r *Row) error {
	var ids, hosts []string
	reason := ""
	for i, f := range r.Faults {
		if ids = append(ids, string(f.ReasonID)); i == 0 {
			reason = f.Reason
		}
	}
	for _, h := range r.Hosts {
		hosts = append(hosts, h.Host)
	}
	outcome := ""
	if r.Deliver != nil {
		outcome = r.Outcome.String()
	}
	return c.record(strconv.Itoa(r.Line), r.Domain, r.Mechanism.String(), outcome, string(r.Method), r.Provider,
		strings.Join(hosts, " "), strings.Join(ids, " "), reason, "")
}

// WriteRefused writes a line that names no domain.
func (c *CSVWriter) WriteRefused(r *Refused) error {
	return c.record(strconv.Itoa(r.Line), r.Asked, "", "", "", "", "", "", "", r.Error)
}

// End writes the header if there was no row.
func (c *CSVWriter) End() error { return c.record() }

func (c *CSVWriter) record(cells ...string) error {
	if !c.begun {
		c.begun = true
		if err := c.w.Write(csvHeader); err != nil {
			return err
		}
	}
	if len(cells) > 0 {
		for i := range cells {
			cells[i] = inert(cells[i])
		}
		if err := c.w.Write(cells); err != nil {
			return err
		}
	}
	c.w.Flush()
	return c.w.Error()
}

// inert is a cell that no spreadsheet takes for a formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(cell[0])) || strings.HasPrefix(cell, "＝") || strings.HasPrefix(cell, "＋") ||
		strings.HasPrefix(cell, "－") || strings.HasPrefix(cell, "＠") {
		return "'" + cell
	}
	return cell
}
