// Package explain puts plans and decisions of package engine into words:
//
//	d := e.Decide(plan, 0, peer, now)
//	w := explain.Decision(d)
//	fmt.Println(w.Code, w.Text)
//	// 4.7.5 mx.example.org shows a key and certificate that match none of its signed
//	// TLSA records (3 1 1 0a1b2c...); it may be somebody else.
//
// Package engine decides in data: a [engine.Reason] is the id of the rule and what the
// rule saw. This package has the only table from that id to a sentence with the names of
// the case, the RFC section, the result type of RFC 8460, the enhanced status code and
// the advice for both administrators ([Reasons], docs/reasons.md). It also lists step by
// step what was looked up and compared ([Plan], [Host], [Steps]), and makes the entries of
// a TLSRPT report ([Report]).
//
// All texts are one line and safe for a terminal. Nothing here changes an outcome.
package explain

//go:generate go test -run ^TestReasonsPage$ . -update
