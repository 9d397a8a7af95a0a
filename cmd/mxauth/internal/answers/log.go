package answers

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mxauth/mxauth/engine/mtapolicy"
	"github.com/mxauth/mxauth/internal/text"
)

// Limits of what is logged of TryLater replies.
const (
	// tempQuiet is how long the same domain and cause are not logged again.
	tempQuiet = 10 * time.Minute
	// maxTemps bounds the pairs of domain and cause that are remembered for it.
	maxTemps = 4096
	// maxRecent is how many TryLater replies [Answers.Recent] returns.
	maxRecent = 10
)

// A Temp is a TryLater reply that was given.
type Temp struct {
	Key   string    `json:"key"`
	Cause string    `json:"cause"`
	At    time.Time `json:"at"`
}

// A tempLog remembers what was said of TryLater replies.
type tempLog struct {
	said   map[[2]string]*tempCount
	recent []Temp // the newest last
}

type tempCount struct {
	since time.Time
	more  int // since then, and not logged
}

// note says in a log line and in Recent whether the reply of an event is to be logged, and
// how many like it were not.
func (l *tempLog) note(e *Event, now time.Time) (log bool, more int) {
	l.recent = append(l.recent, Temp{Key: e.Key, Cause: e.Reply.Text, At: now})
	if len(l.recent) > maxRecent {
		l.recent = slices.Delete(l.recent, 0, 1)
	}
	if l.said == nil {
		l.said = map[[2]string]*tempCount{}
	}
	cause := string(e.Reply.Reason)
	if cause == "" {
		cause = e.Reply.Text
	}
	id := [2]string{strings.ToLower(e.Key), cause}
	if c := l.said[id]; c != nil {
		if now.Sub(c.since) < tempQuiet {
			c.more++
			return false, 0
		}
		more = c.more
	}
	if len(l.said) >= maxTemps {
		for k, c := range l.said {
			if now.Sub(c.since) >= tempQuiet {
				delete(l.said, k)
			}
		}
		if len(l.said) >= maxTemps {
			clear(l.said)
		}
	}
	l.said[id] = &tempCount{since: now}
	return true, more
}

// Recent returns the last TryLater replies, the newest first.
func (a *Answers) Recent() []Temp {
	a.tempsMu.Lock()
	defer a.tempsMu.Unlock()
	out := slices.Clone(a.temps.recent)
	slices.Reverse(out)
	return out
}

// note logs a cold answer and reports every one to the observers.
func (a *Answers) note(e *Event) {
	if e.Warm {
		a.c.Warm(e.Form, e.Reply.Kind)
		return
	}
	a.c.Observe(*e)
	attrs := []slog.Attr{
		slog.String("key", e.Key), slog.String("form", e.Form.String()), slog.String("reply", e.Reply.Kind.String()),
		slog.String("row", string(e.Reply.Row)), slog.Duration("took", e.Took),
	}
	if e.Reply.Text != "" {
		attrs = append(attrs, slog.String("text", text.Cut(e.Reply.Text, maxLogged)))
	}
	if e.Reply.Reason != "" {
		attrs = append(attrs, slog.String("reason", string(e.Reply.Reason)))
	}
	if e.Reply.Would != "" {
		attrs = append(attrs, slog.String("would", string(e.Reply.Would)))
	}
	var ids []string
	for _, d := range e.Reply.Deviations {
		if id := string(d.ID); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		attrs = append(attrs, slog.String("deviations", strings.Join(ids, ",")))
	}
	level := slog.LevelInfo
	switch {
	case e.Reply.Row == mtapolicy.P12:
		level = slog.LevelError
	case e.Reply.Kind == mtapolicy.TryLater:
		level = slog.LevelWarn
		a.tempsMu.Lock()
		log, more := a.temps.note(e, a.c.Now())
		a.tempsMu.Unlock()
		if !log {
			return
		}
		if more > 0 {
			attrs = append(attrs, slog.Int("more", more))
		}
	}
	a.c.Logger.LogAttrs(context.Background(), level, "answered", attrs...)
}

// maxLogged is how much of a reply goes into a log line.
const maxLogged = 300
