// Package dnssec asks DNS questions and says of each answer whether it can be
// believed.
//
// DNS by itself proves nothing: an attacker between us and a name server, or one who sends
// a packet in its name, writes the answer. DNSSEC (RFC 4033 to 4035) has zones sign
// their records, lets a parent vouch for the keys of its children by DS records, and
// proves what does not exist. An answer is then one of four things. It is secure if a
// chain of signatures leads from a trust anchor, in practice the keys of the root, to
// its records or to the proof of their absence. It is insecure if such a chain proves
// that the zone is not signed: ordinary DNS, true or not. It is bogus if there should be
// a chain and it does not hold. It is indeterminate if what is needed to judge cannot
// be had. DANE rests on the difference: TLSA records count only if they are secure, and
// their absence counts only if it is no lie, so bogus and indeterminate answers are
// lookup failures, after which no mail goes, never "no records" (RFC 7672 section 2.1).
//
// There are two sources of that status with one interface, [Resolver]:
//
//   - [Validator] asks any recursive resolver for the data with its signatures, and
//     proves all by itself. It trusts no one on the path, nor the resolver. It is the
//     default of mxauth's programs.
//   - [Stub] believes the AD bit of a resolver that validates. It takes less traffic
//     and no cryptography, and is as honest as that resolver and the way to it; so
//     [NewStub] accepts only one on this host, or one that proves who it is, unless the
//     operator says otherwise in as many words. [CheckValidating] finds out a resolver
//     that does not validate at all.
//
// [Cached] keeps the answers of either for as long as they hold and asks each question
// once, however many wait. Questions reach the network through an [Upstream];
// package upstream has the real ones (UDP, TCP, DNS over TLS and HTTPS), and package
// probe says what a given resolver is good for. [SystemServers] reads which resolvers
// this host is configured to use.
//
// An [Answer] has its records as RDATA in wire form, the alias chain that led to
// them with the status of every step, and the time until which it may be used. A
// failure is a [*LookupError], with what was asked, which server decided, why, and the
// RFC 8914 code that fits.
//
// What a hostile zone can make its reader spend is bounded. All lookups for one delivery,
// of the domain and of its hosts, are paid for from one [Budget] that the context carries,
// with a [Share] for each host:
//
//	b := dnssec.NewBudget("example.org", dnssec.Limits{})
//	ctx, done := b.Share("mx1.example.org").Context(ctx)
//	defer done()
//	a, err := resolver.Resolve(ctx, question) // fails with ErrBudget when the share is used up
//
// A question without a budget in its context has one of its own.
//
// The package does not resolve names from the root down; it always asks a recursive
// resolver.
package dnssec
