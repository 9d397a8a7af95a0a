package sts

import (
	"crypto/x509"
	"time"

	"github.com/mxauth/mxauth/pkix"
	"github.com/mxauth/mxauth/rfc6125"
)

// VerifyMX judges the chain that an MX host has presented, leaf first, as RFC 8461 section
// 4.2 asks: a path to one of roots, valid at the time at, and a DNS-ID that matches the
// name in the MX record. A Common Name never counts. An error is a [*pkix.Error].
func VerifyMX(chain []*x509.Certificate, roots *pkix.Roots, mx rfc6125.Host, at time.Time) (pkix.ServerResult, error) {
	return pkix.VerifyServer(pkix.Request{Chain: chain, Roots: roots, At: at}, []rfc6125.Reference{rfc6125.NewReference(mx)})
}
