// Package tlsrpt has the words of SMTP TLS Reporting (RFC 8460) for a sender of
// mail, and hands what happened to a collector.
//
// A domain that publishes DANE or MTA-STS cannot see the deliveries that fail for
// it: those never reach its servers. RFC 8460 lets it ask senders for reports. It
// publishes a TXT record at `_smtp._tls.<domain>` ([Record]); a sender counts its
// sessions by the policy that was applied, names what failed by one of eleven result
// types ([ResultType]), and once a day sends a JSON report ([Report]).
//
// The part of this package is the vocabulary, the record, the report as data in both
// directions, and a client ([Client]) for the local datagram socket of an existing
// collector (the one that libtlsrpt, which is linked into Postfix, writes to). So an
// MTA that asks mxauth feeds the collector that it has. Aggregating over a day, and
// mailing or posting the report, is the collector's work and not done here.
//
// A report never carries anything of a message: no addresses, no local parts.
package tlsrpt
