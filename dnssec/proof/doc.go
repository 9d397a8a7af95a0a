// Package proof holds the proofs of DNSSEC as pure functions: signatures over
// RRsets, keys vouched for by DS records or trust anchors, and the denial of names
// and types by NSEC and NSEC3 (RFC 4033 to 4035, 5155, 6840).
//
// What protects whom: a zone signs its RRsets and signs also that what is not
// there is not there. Anyone who has a key of the zone can check both, wherever the
// records came from. This package checks one such statement at a time. It does no
// I/O, has no clock and keeps no state; which zone a name belongs to, and whose
// keys may be believed, is the business of package dnssec above it.
//
// All work is paid for from a [Budget], a value that is handed down through
// everything that is done for one question. A proof that fails says so by an error
// that wraps one of the sentinels of this package; [ErrBudget] alone means that the
// work has to end, all others that this one attempt failed.
package proof

import (
	"errors"
)

// Why a proof failed. The order is that of interest: where several signatures or
// records failed, the error reported is the one that comes last here.
var (
	ErrUnsigned     = errors.New("no signature")
	ErrSigner       = errors.New("signed by a zone that cannot hold it")
	ErrLabels       = errors.New("signature names more labels than the owner has")
	ErrAlgorithm    = errors.New("unsupported algorithm")
	ErrNoKey        = errors.New("the zone has no key that fits the signature")
	ErrKey          = errors.New("unusable key")
	ErrKeySize      = errors.New("key size out of bounds")
	ErrNotYetValid  = errors.New("signature is not valid yet")
	ErrExpired      = errors.New("signature has expired")
	ErrBadSignature = errors.New("signature does not verify")
	// ErrBudget ends all work for a question: it would cost more than any honest
	// zone makes it cost (KeyTrap, CVE-2023-50387; CVE-2023-50868).
	ErrBudget = errors.New("out of budget")
)

// Why keys or a denial were not proved.
var (
	// ErrNoDS: no DS record, or anchor, has an algorithm and a digest that are
	// supported. The zone counts as unsigned (RFC 4035 section 5.2).
	ErrNoDS = errors.New("no DS record with supported algorithm and digest")
	// ErrNoMatch: supported DS records, or anchors, are there and fit no key.
	ErrNoMatch = errors.New("no key fits a DS record")
	// ErrRevoked: the only keys that fit have the REVOKE bit (RFC 5011 section 2.1).
	ErrRevoked = errors.New("the key that fits is revoked")
	// ErrNotDenied: the NSEC or NSEC3 records do not prove what is claimed.
	ErrNotDenied = errors.New("the NSEC or NSEC3 records do not prove it")
)

// rank orders the errors of signatures by how much they explain.
func rank(err error) int {
	for i, e := range [...]error{ErrUnsigned, ErrSigner, ErrLabels, ErrAlgorithm, ErrNoKey, ErrKey,
		ErrKeySize, ErrNotYetValid, ErrExpired, ErrBadSignature, ErrBudget} {
		if errors.Is(err, e) {
			return i + 1
		}
	}
	return 0
}

// worse returns the one of two errors that explains more.
func worse(a, b error) error {
	if a == nil || rank(b) > rank(a) {
		return b
	}
	return a
}
