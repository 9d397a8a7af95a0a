// Package upstream carries DNS messages to recursive resolvers and brings the
// answers back: it is the one place where mxauth's DNS meets the network.
//
// A resolver is reached in one of three ways. Plain DNS goes over UDP, from a
// fresh socket with a fresh random id for every packet, and over TCP where the
// answer was truncated or UDP stays silent (RFC 7766). DNS over TLS keeps a small
// pool of connections on which many questions are under way at once (RFC 7858),
// always in the strict profile of RFC 8310: the server proves its name, its
// address or its key, or nothing is sent. DNS over HTTPS posts to one configured
// URI and to no other (RFC 8484).
//
// Several servers may be given. They are tried in the order given, those that
// failed lately last; what has not answered after a while is not given up but
// joined by the next attempt, and the first answer wins. One deadline holds for
// the question as a whole. A validator's question goes to a server that takes the DNSSEC
// records from its answers only if no other one answers: such an answer proves
// nothing, and would keep the next server from being asked.
//
// What this package promises of an answer is little: that it answers this
// question, and that its records can be separated. Whether its content is true
// is not known here. Over plain DNS anyone on the path could have written it, and
// over TLS the server still could: [github.com/mxauth/mxauth/dnssec] has the
// validator that need not trust either, and the stub for a resolver that is
// trusted.
package upstream
