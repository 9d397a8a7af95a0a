package httpdoor

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// A limitedContext ends answerTime after it was made, or with its parent. Its timer is not
// started before somebody waits for it: an answer that is kept is given without one, which
// would cost more than the rest of it.
type limitedContext struct {
	context.Context // the parent
	deadline        time.Time

	mu      sync.Mutex // guards all below
	started context.Context
	cancel  context.CancelFunc
}

// limited returns the context in which the answer to r is found. Call stop at the end.
func limited(r *http.Request) (ctx context.Context, stop func()) {
	l := &limitedContext{Context: r.Context(), deadline: time.Now().Add(answerTime)}
	return l, l.stop
}

// start starts the timer, and returns the context that has it.
func (l *limitedContext) start() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started == nil {
		l.started, l.cancel = context.WithDeadline(l.Context, l.deadline)
	}
	return l.started
}

func (l *limitedContext) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel != nil {
		l.cancel()
	}
}

// Deadline, Done, Err and Value implement [context.Context].
func (l *limitedContext) Deadline() (time.Time, bool) { return l.deadline, true }

func (l *limitedContext) Done() <-chan struct{} { return l.start().Done() }

func (l *limitedContext) Err() error {
	if !time.Now().Before(l.deadline) {
		return l.start().Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started != nil {
		return l.started.Err()
	}
	return l.Context.Err()
}

// Value asks the context with the timer as soon as there is one: [context.Cause] finds its
// cause so.
func (l *limitedContext) Value(key any) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started != nil {
		return l.started.Value(key)
	}
	return l.Context.Value(key)
}
