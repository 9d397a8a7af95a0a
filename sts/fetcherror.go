package sts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
)

// ErrFetch is wrapped by every failure to fetch a policy. Whatever the kind, RFC
// 8461 section 3.3 makes the sender go on with an unexpired cached policy, or without
// any if there is none.
var ErrFetch = fault.New("sts", "policy fetch failed")

// What a fetch failed by. Each wraps [ErrFetch]; a policy that does not parse wraps
// [ErrPolicy] as well.
var (
	ErrFetchDNS       = fmt.Errorf("%w: dns", ErrFetch)                 // no address known, or the lookup failed
	ErrFetchAddress   = fmt.Errorf("%w: address not allowed", ErrFetch) // special-purpose, see Config.Allow
	ErrFetchTCP       = fmt.Errorf("%w: connect", ErrFetch)
	ErrFetchTLS       = fmt.Errorf("%w: tls", ErrFetch)         // handshake, the certificate aside
	ErrFetchWebPKI    = fmt.Errorf("%w: certificate", ErrFetch) // chain, dates or name
	ErrFetchHTTP      = fmt.Errorf("%w: http", ErrFetch)        // the response is malformed or breaks off
	ErrFetchStatus    = fmt.Errorf("%w: http status", ErrFetch) // not 200
	ErrFetchRedirect  = fmt.Errorf("%w: redirect", ErrFetch)    // 3xx, never followed
	ErrFetchMediaType = fmt.Errorf("%w: media type", ErrFetch)  // not text/plain
	ErrFetchSize      = fmt.Errorf("%w: too large", ErrFetch)   // more than MaxPolicySize
	ErrFetchTimeout   = fmt.Errorf("%w: timeout", ErrFetch)     // Config.Timeout is over
	ErrFetchSyntax    = fmt.Errorf("%w: %w", ErrFetch, ErrPolicy)
)

// A FetchNote says more about a failure than its kind, for advice. The zero FetchNote says
// nothing.
type FetchNote uint8

// Notes.
const (
	NoteEncoding FetchNote = iota + 1 // ErrFetchMediaType: compressed, though that was not asked for
	NoteHeader                        // ErrFetchHTTP: the response header is too large
	NoteAlert                         // ErrFetchTLS: the host ended the handshake with an alert
)

var noteWords = [...]string{"", "encoding", "header", "alert"}

// MarshalText prints "encoding", "header" or "alert"; "" for the zero FetchNote.
func (n FetchNote) MarshalText() ([]byte, error) {
	if int(n) >= len(noteWords) {
		return nil, fault.Errorf("sts", "no such note: %d", n)
	}
	return []byte(noteWords[n]), nil
}

// UnmarshalText reads what [FetchNote.MarshalText] prints.
func (n *FetchNote) UnmarshalText(b []byte) error {
	i := slices.Index(noteWords[:], string(b))
	if i < 0 {
		return fault.Errorf("sts", "no such note: %.20q (one of %q)", b, noteWords[1:])
	}
	*n = FetchNote(i)
	return nil
}

// What keeps a fetch from having an outcome. Neither wraps [ErrFetch], because neither
// says anything about the domain: RFC 8461 section 3.3 lets a sender go on without a
// policy after a failed fetch, not after one that it has not made (row S13).
var (
	ErrNoTurn  = fault.New("sts", "no turn for the policy fetch") // a limit or the end of this program
	ErrPending = fault.New("sts", "policy fetch under way")
)

// fetchKinds are the kinds with the stable words by which they are kept in a store
// and named in logs and metrics. A word is never reused for something else.
var fetchKinds = [...]struct {
	word string
	kind error
}{
	{"dns", ErrFetchDNS},
	{"address", ErrFetchAddress},
	{"tcp", ErrFetchTCP},
	{"tls", ErrFetchTLS},
	{"webpki", ErrFetchWebPKI},
	{"http", ErrFetchHTTP},
	{"status", ErrFetchStatus},
	{"redirect", ErrFetchRedirect},
	{"media-type", ErrFetchMediaType},
	{"size", ErrFetchSize},
	{"timeout", ErrFetchTimeout},
	{"syntax", ErrFetchSyntax},
	{"no-turn", ErrNoTurn},
	{"pending", ErrPending},
}

// FetchWord returns the stable word for what a fetch failed by: "dns", "address",
// "tcp", "tls", "webpki", "http", "status", "redirect", "media-type", "size",
// "timeout" or "syntax", or "no-turn" or "pending"; "" if err wraps none of the kinds. There is a fixed set of
// them, so they serve as metric labels.
func FetchWord(err error) string {
	for _, k := range fetchKinds {
		if errors.Is(err, k.kind) {
			return k.word
		}
	}
	return ""
}

// FetchKind returns the kind of a word of [FetchWord]; [ErrFetch] for any
// other word.
func FetchKind(word string) error { return fetchKind(word) }

func fetchKind(word string) error {
	for _, k := range fetchKinds {
		if k.word == word {
			return k.kind
		}
	}
	return ErrFetch
}

// A FetchError is a failed fetch with its evidence. It wraps Kind and Cause.
type FetchError struct {
	Host   rfc6125.Host   // the policy host
	Kind   error          // one of the kinds above
	Addr   netip.AddrPort // the address that was tried last; zero if none was
	Status int            // the HTTP status; 0 if the fetch did not get so far
	Note   FetchNote
	// Location is where a redirect points; what the peer sent, cut. "" if it sent none.
	Location string
	Detail   string // for people, safe for a terminal
	// Until is the end of the back-off for the id: until then it is not fetched
	// again (RFC 8461 section 3.3). Zero if the failure began none.
	Until time.Time
	// Repeated: this is the failure of an earlier fetch. Until its back-off is over
	// nothing is tried; if Until is zero it is over, and the fetch is under way again.
	Repeated bool
	Cause    error // may be nil
}

// Error returns kind, host, address and detail in one line that is safe for a terminal.
func (e *FetchError) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.Error() + ": " + e.Host.String())
	if e.Addr.IsValid() {
		b.WriteString(" (" + e.Addr.String() + ")")
	}
	switch {
	case e.Detail != "":
		b.WriteString(": " + e.Detail)
	case e.Cause != nil:
		b.WriteString(": " + safeText(e.Cause.Error()))
	}
	switch {
	case e.Repeated && e.Until.IsZero():
		b.WriteString(" (being tried again)")
	case e.Repeated:
		fmt.Fprintf(&b, " (not tried again before %s)", e.Until.UTC().Format(time.RFC3339))
	}
	return b.String()
}

// Unwrap returns Kind and Cause.
func (e *FetchError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// plainCause is an error of the network in plain words; "" for another error.
func plainCause(err error) string {
	var n net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the end of the body"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the connection was closed without an answer"
	case errors.As(err, &n) && n.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no complete answer in time"
	}
	return ""
}

// maxDetail bounds a text for people that may hold what a peer has sent.
const maxDetail = 300

// safeText makes s fit for a terminal: what is not printable ASCII is escaped, and
// the whole is cut.
func safeText(s string) string {
	q := fmt.Sprintf("%+q", s[:min(len(s), maxDetail)])
	return strings.ReplaceAll(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`), `\\`, `\`)
}
