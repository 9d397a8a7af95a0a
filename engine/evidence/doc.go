// Package evidence writes down all that a plan and its decisions rested on, so that anybody
// can decide it again, offline, on another machine, years later.
//
// A [File] holds every DNS message that was received (with the signatures in it), what
// MTA-STS came to (policy text, when it was fetched, the chain of the policy host), the
// chains that the mail hosts presented, the request with its options, and the clock. A
// [Recorder] collects it while a plan is made; [File.Replay] feeds it through the same
// validator and the same engine, under the recorded clock or another one.
//
// Nothing in a file is believed for being there: DNSSEC proofs are checked anew from the
// trust anchors of whoever replays, the policy is parsed anew, the policy host's chain and
// the mail hosts' chains are verified anew against the roots of whoever replays. What can
// not be proved is that a policy host really served the policy; the file says so by its
// origin alone. Under trust-ad the security status of answers is the resolver's word, in
// the file as it was in life.
//
// A file never holds a local part or anything of a message.
package evidence
