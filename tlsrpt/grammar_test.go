package tlsrpt_test

import (
	"testing"

	"github.com/mxauth/mxauth/conformance/grammar"
	"github.com/mxauth/mxauth/tlsrpt"
)

// TestGrammar holds the parser against records that are derived from the grammar of RFC
// 8460, valid ones with their meaning and nearly valid ones.
func TestGrammar(t *testing.T) {
	grammar.Check(t, grammar.TLSRPTRecord(), 1, func(c grammar.Case) (grammar.Meaning, error) {
		r, err := tlsrpt.SelectRecord(c.Set)
		if _, alone := tlsrpt.ParseRecord(c.Text); len(c.Set) == 1 && (alone == nil) != (err == nil) {
			t.Errorf("selected: %v, read alone: %v: %s", err, alone, c)
		}
		m := grammar.Meaning{RUA: r.RUA, Destinations: r.Destinations()}
		for _, f := range r.Ext {
			m.Ext = append(m.Ext, grammar.Field(f))
		}
		return m, err
	})
}
