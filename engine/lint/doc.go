// Package lint says what is inconsistent, missing or about to hurt in what a domain
// publishes for the authentication of its mail, from both standards together, and what
// exactly to publish instead.
//
// [Collect] looks at a domain as a sender would: it makes a plan, connects to every host,
// and asks in addition for what a plan leaves out (TLSA records where DANE does not
// apply, the TLSRPT record). What it saw is a [Snapshot]; [Check] is a pure function of it
// and returns [Finding]s. [Kinds] lists every finding that there is.
//
// A finding is advice to the owner of the domain. It never changes what the engine
// decides about a delivery.
package lint
