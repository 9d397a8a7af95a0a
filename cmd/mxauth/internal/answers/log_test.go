package answers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mxauth/mxauth/cmd/mxauth/internal/answers"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// logLines reads and empties a log in JSON.
func logLines(t *testing.T, b *bytes.Buffer) (lines []map[string]any) {
	t.Helper()
	for d := json.NewDecoder(b); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

// Each answer that was looked up has one line, with what an administrator asks for: key, reply, row,
// text and how long it took. One that was kept has none.
func TestLogOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := &counted{Engine: domains(t, 300), delay: time.Second}
		a := answers.New(answers.Config{Plan: c.Plan, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		defer a.Close()
		for _, x := range []struct {
			key, level, reply, row, text string
		}{
			{"dane.example.org", "INFO", "found", "P6", "dane-only protocols=>=TLSv1.2"},
			{"plain.example.org", "INFO", "not-found", "P11", ""},
			{"none.example.org", "INFO", "not-found", "P4", ""},
		} {
			for range 3 {
				a.Answer(t.Context(), mtapolicy.Plain, x.key)
				a.Cached(mtapolicy.Plain, []byte(x.key), time.Now())
			}
			lines := logLines(t, &log)
			if len(lines) != 1 {
				t.Errorf("%s: %d lines for one lookup and five kept answers", x.key, len(lines))
				continue
			}
			l := lines[0]
			text, _ := l["text"].(string)
			if l["key"] != x.key || l["level"] != x.level || l["reply"] != x.reply || l["row"] != x.row || text != x.text || l["took"] != float64(time.Second) {
				t.Errorf("%s: %v", x.key, l)
			}
		}
	})
}

// A "try later" is logged once in ten minutes for a domain and cause, then with the number of those
// that were not; another domain has a line of its own. The last ten are kept for the status.
func TestLogOfTemps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := answers.New(answers.Config{Logger: slog.New(slog.NewJSONHandler(&log, nil)),
			Plan: func(context.Context, engine.Request) (*engine.Plan, error) { return nil, context.DeadlineExceeded }})
		defer a.Close()
		ask := func(key string) []map[string]any {
			a.Answer(t.Context(), mtapolicy.Plain, key)
			time.Sleep(answers.TempHold)
			return logLines(t, &log)
		}
		if got := ask("a.example"); len(got) != 1 || got[0]["level"] != "WARN" || got[0]["more"] != nil {
			t.Errorf("the first: %v", got)
		}
		for n := range 58 { // 9 minutes and 50 seconds in all
			if got := ask("a.example"); len(got) != 0 {
				t.Fatalf("repeated after %d: %v", n, got)
			}
		}
		if got := ask("b.example"); len(got) != 1 || got[0]["key"] != "b.example" {
			t.Errorf("another domain: %v", got)
		}
		if got := ask("a.example"); len(got) != 1 || got[0]["more"] != 58.0 {
			t.Errorf("after ten minutes: %v", got)
		}
		var keys []string
		for _, r := range a.Recent() {
			keys = append(keys, r.Key)
		}
		if want := append([]string{"a.example", "b.example"}, slices.Repeat([]string{"a.example"}, 8)...); !slices.Equal(keys, want) {
			t.Errorf("the last: %v", keys)
		}
		// What is remembered for this is bounded, whatever is asked about.
		for i := range 10_000 {
			a.Answer(t.Context(), mtapolicy.Plain, fmt.Sprintf("d%d.example", i))
		}
		if n := len(a.Recent()); n != 10 {
			t.Errorf("%d", n)
		}
	})
}
