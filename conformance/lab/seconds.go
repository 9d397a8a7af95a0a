package lab

import "time"

// Seconds is a span of time in whole seconds, positive or negative; its JSON is a number.
type Seconds int64

// Spans that worlds are described with.
const (
	Hour Seconds = 60 * 60
	Day          = 24 * Hour
)

// Duration returns s as a [time.Duration].
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }
