// Package lint says what is inconsistent, missing or about to hurt in what a domain
// publishes for the authentication of its mail, from both standards together, and what
// exactly to publish instead.
//
// What a domain shows is collected by package survey; [Check] is a pure function of that
// and returns [Finding]s. [Kinds] lists every finding that there is.
//
// A finding is advice to the owner of the domain. It never changes what the engine
// decides about a delivery.
package lint
