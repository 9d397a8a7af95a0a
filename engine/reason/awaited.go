package reason

import "github.com/mxauth/mxauth/engine/internal/enum"

// An Awaited is the reply of a mail server that did not come. The zero Awaited is
// AwaitedNothing.
type Awaited uint8

// Values of Awaited.
const (
	AwaitedNothing    Awaited = iota // each came, or there was no connection
	AwaitedGreeting                  // the greeting
	AwaitedEHLO                      // the reply to EHLO before TLS
	AwaitedSTARTTLS                  // the reply to STARTTLS
	AwaitedEHLOInside                // the reply to EHLO inside TLS
)

var awaitedWords = [...]string{"", "greeting", "ehlo", "starttls", "ehlo-inside-tls"}

// String returns "greeting", "ehlo", "starttls" or "ehlo-inside-tls"; "" for
// AwaitedNothing.
func (a Awaited) String() string { return enum.Word(awaitedWords[:], int(a)) }

// MarshalText prints a as [Awaited.String] does.
func (a Awaited) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what [Awaited.MarshalText] prints.
func (a *Awaited) UnmarshalText(b []byte) error {
	i, err := enum.Index("reason", "awaited reply", awaitedWords[:], string(b))
	*a = Awaited(i)
	return err
}
