package dnssec

import "context"

// An Upstream carries one DNS message to a recursive resolver and brings back the
// answer to it. Both are in wire form (RFC 1035 section 4), without the length
// octets of TCP. [github.com/mxauth/mxauth/dnssec/upstream] has the real ones.
//
// The query's id is the caller's; an implementation may send another one and must
// bring the answer back under the caller's. An implementation guarantees that the
// response answers this query: QR set, the id, and the question section equal (case
// aside). A truncated UDP answer has been asked again over TCP, so TC is not seen.
// It does not look at the rcode except to try the next server after SERVFAIL,
// REFUSED, NOTIMP or FORMERR, and then returns the best response that it got.
//
// Errors wrap [ErrTimeout], [ErrUnreachable] or [ErrMalformed], and ctx's cause if
// ctx ended it. Exchange may be called by many goroutines at once.
type Upstream interface {
	Exchange(ctx context.Context, query []byte) (Response, error)
}

// A Response is the answer of an [Upstream].
type Response struct {
	Message []byte // wire form; the caller may keep it
	Server  string // where it came from, for people: "127.0.0.1:53", "tls://192.0.2.1"
}
