// Package tlsfloor holds what a web or DNS server must have at least: cipher suites with
// forward secrecy, and keys of RFC 9325 section 4.5. crypto/tls asks for less where a
// program sets tlsrsakex or rsa1024min (//go:debug, GODEBUG), which hold for the whole
// process. What uses this package is not changed by them.
//
//	cfg := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: tlsfloor.Suites()}
//	...
//	if err := tlsfloor.CheckKeys(path); err != nil {
package tlsfloor

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// minRSABits is the smallest RSA key (RFC 9325 section 4.5). Public authorities have
// issued no smaller one since 2014.
const minRSABits = 2048

// ErrKey is wrapped by the errors of [CheckKeys].
var ErrKey = errors.New("the key is too small")

// Suites lists the cipher suites of TLS 1.2: those of crypto/tls with ECDHE. TLS 1.3 has
// its own.
func Suites() []uint16 {
	var out []uint16
	for _, s := range tls.CipherSuites() {
		out = append(out, s.ID)
	}
	return out
}

// CheckKeys fails if one of the certificates has an RSA key of fewer than 2,048 bits.
func CheckKeys(path []*x509.Certificate) error {
	for _, c := range path {
		if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
			return fmt.Errorf("%w: RSA with %d bits, fewer than %d", ErrKey, k.N.BitLen(), minRSABits)
		}
	}
	return nil
}
