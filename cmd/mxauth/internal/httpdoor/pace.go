package httpdoor

import (
	"net/http"
	"time"
)

// AnswerTime is how long a request may take until its answer begins.
const AnswerTime = answerTime

// A Pace lets each client begin as many checks as POST /v1/check does, for handlers of
// [Config].Page. It may be used by many goroutines at once.
type Pace struct {
	l   *limiter
	now func() time.Time
}

// NewPace returns a Pace; a nil now is time.Now.
func NewPace(now func() time.Time) *Pace {
	if now == nil {
		now = time.Now
	}
	return &Pace{newLimiter(), now}
}

// Take begins a check of the client of a request. It returns 0, or after which time the
// client may begin one.
func (p *Pace) Take(r *http.Request) (wait time.Duration) { return p.l.take(clientOf(r), p.now()) }
