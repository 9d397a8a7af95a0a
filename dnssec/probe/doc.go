// Package probe finds out what a recursive resolver is good for: whether mxauth can
// validate through it, and whether its own verdict, the AD bit, may be believed.
//
// The two need different things. A validator needs a resolver that passes on what it is
// given: signatures, keys, DS records and denials, large answers, and bogus data too
// when it is asked not to check (CD). A stub needs one that validates, refuses what is
// bogus, and says of nothing unsigned that it is authentic. Neither can be seen from one
// ordinary answer: a forwarder that strips signatures, a resolver whose validation was
// switched off, and one that sets AD on everything all resolve names as one wishes.
//
// So each server is asked by itself a handful of questions about three zones: one that
// is signed, one that is not, and one that is broken on purpose. The result is a list
// of findings, each good, doubtful, bad or unknown, with what to change in which file,
// and a verdict.
package probe
