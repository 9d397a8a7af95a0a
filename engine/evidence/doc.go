// Package evidence records everything a plan and its decisions rest on, so that it can be
// decided again, offline, on another machine, years later.
//
// A [File] holds every DNS message that was received (with the signatures in it), the
// MTA-STS result (policy text, when it was fetched, the chain of the policy host), the
// chains that the mail hosts presented, the request with its options, and when each of
// these was. A [Recorder] collects it while a plan is made; [File.Replay] feeds it through
// the same validator and the same engine, by the recorded times or as of another one.
//
// A replay proves again what can be proved: DNSSEC signatures from the trust anchors of the
// reader, and certificate chains from the reader's certification authorities. It lists that
// in [Replayed.Proved], and in [Replayed.Rests] what it takes from the file without a
// proof. No file can prove the time, the text of an MTA-STS policy (HTTPS leaves no proof
// of it), or that a host has the private key of its certificate (nor does TLS); chains are
// public, so one in the file only shows that such a certificate exists. An answer that
// rests on DANE therefore proves whose certificate it was; one that rests on MTA-STS is the
// word of the author of the file. Files recorded under trust-ad, in which any DNS status
// is the file's word, are an error unless the reader allows them.
//
// Files come from anywhere. Every list and text is bounded while it is decoded, connections
// to addresses that the plan does not have are ignored, and what is missing counts as not
// known: it can make the verdict weaker, never stronger.
//
// A file never holds a local part or anything of a message.
package evidence
