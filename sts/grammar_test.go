package sts_test

import (
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/grammar"
	"github.com/mxauth/mxauth/sts"
)

func grammarFields(fields []sts.Field) []grammar.Field {
	var out []grammar.Field
	for _, f := range fields {
		out = append(out, grammar.Field(f))
	}
	return out
}

// TestGrammar holds both parsers against texts that are derived from the grammars of RFC
// 8461, valid ones with their meaning and nearly valid ones.
func TestGrammar(t *testing.T) {
	t.Run("record", func(t *testing.T) {
		grammar.Check(t, grammar.STSRecord(), 1, func(c grammar.Case) (grammar.Meaning, error) {
			r, err := sts.ParseRecord(c.Set)
			if err == nil {
				// What is printed reads back to the same.
				r, err = sts.ParseRecord([]string{r.String()})
			}
			return grammar.Meaning{ID: r.ID, Ext: grammarFields(r.Ext)}, err
		})
	})
	t.Run("policy", func(t *testing.T) {
		grammar.Check(t, grammar.STSPolicy(), 1, func(c grammar.Case) (grammar.Meaning, error) {
			p, err := sts.ParsePolicy([]byte(c.Text))
			if err == nil {
				p, err = sts.ParsePolicy([]byte(p.String()))
			}
			m := grammar.Meaning{Mode: p.Mode.String(), MaxAge: int64(p.MaxAge / time.Second), Ext: grammarFields(p.Ext)}
			for _, x := range p.MX {
				m.MX = append(m.MX, x.String())
			}
			return m, err
		})
	})
}
