package proof

import "crypto/sha1"

// A Budget counts the work that may still be spent on one question. It is handed down by
// pointer and only ever gets smaller. It is not safe for concurrent use. The zero
// Budget allows nothing.
type Budget struct {
	// Signatures are the public key operations, Failures those of them that may
	// end without success.
	Signatures, Failures int
	// HashRounds are the SHA-1 operations for NSEC3: iterations+1 for a name, more if the
	// salt is longer than 35 octets.
	HashRounds int
	// Digests are the DNSKEY records that may be hashed to compare them with a DS
	// record.
	Digests int
	// Pay, if it is not nil, is asked before each piece of work to pay for it from a
	// budget that several questions share. An error ends the work; it must wrap
	// [ErrBudget].
	Pay func(Work, int) error
}

// Work is a kind of work that is paid for.
type Work uint8

// Kinds of work and the units in which they are counted.
const (
	SignatureWork Work = iota // checks of signatures, in units of [KeyCost]
	DigestWork                // digests of DNSKEY records for DS records, one each
	HashWork                  // SHA-1 rounds of NSEC3 hashes, one each
)

// The budget of one question: what the longest honest answer costs, several times.
const (
	// MaxSignatures: an alias chain of 16 steps, each in a zone of its own, costs
	// three checks a step (data, DNSKEY, DS) and some for wildcards and the end.
	MaxSignatures = 100
	// MaxFailures: honest failures come from key-tag collisions and from stale
	// signatures left in a zone, a few at most. A zone whose signatures are all broken makes
	// some twenty until it is called bogus, which explains more than this limit.
	MaxFailures = 32
	// MaxHashRounds: 64 names at 151 rounds each, about a millisecond.
	MaxHashRounds = 64 * 151
	// MaxDigests: an alias chain as above through 16 zones with four DS records each,
	// several times.
	MaxDigests = 256
)

// Bounds of one RRset. A set beyond them ends the work for the question: no honest zone
// has one, and each is a way to make many checks out of few bytes (KeyTrap,
// CVE-2023-50387, whose second half multiplies DS by DNSKEY records).
const (
	// maxKeys bounds the DNSKEY records of a zone. The largest sets seen in the field, in
	// the middle of a rollover of two algorithms, hold about ten.
	maxKeys = 64
	// maxDS bounds the DS records of a zone: those of ten keys with three digests each.
	maxDS = 64
	// maxSignatures bounds the signatures over one RRset: one for each key of two
	// providers in a rollover is eight.
	maxSignatures = 32
	// maxSameTag bounds the keys that are tried for one signature. One tag and
	// algorithm shared by two keys happens once in 65536; by five never.
	maxSameTag = 4
	// maxMismatches bounds the digests of one DNSKEY set that do not match though tag
	// and algorithm do. An honest mismatch is a collision of tags, or a digest with a
	// typing error. (Unbound stops after 4.)
	maxMismatches = 8
)

// NewBudget returns the budget for one question.
func NewBudget() *Budget {
	return &Budget{Signatures: MaxSignatures, Failures: MaxFailures, HashRounds: MaxHashRounds, Digests: MaxDigests}
}

func (b *Budget) pay(w Work, n int) error {
	if b.Pay == nil {
		return nil
	}
	return b.Pay(w, n)
}

// check pays for one signature check with the key over so many bytes before it is made.
func (b *Budget) check(k PublicKey, size int) error {
	if b.Signatures <= 0 {
		return errorf(ErrBudget, "too many signature checks")
	}
	b.Signatures--
	return b.pay(SignatureWork, KeyCost(k)+size/bytesPerCost)
}

// fail pays for one that failed.
func (b *Budget) fail() error {
	if b.Failures--; b.Failures < 0 {
		return errorf(ErrBudget, "too many signatures that do not verify")
	}
	return nil
}

// hash pays for one NSEC3 hash before it is made. A round with a long salt counts as many
// as SHA-1 has blocks to go through.
func (b *Budget) hash(iterations uint16, salt int) error {
	const overhead = 1 + 8 // of the padding (RFC 3174 section 4)
	n := (int(iterations) + 1) * ((sha1.Size + salt + overhead + sha1.BlockSize - 1) / sha1.BlockSize)
	if b.HashRounds < n {
		return errorf(ErrBudget, "too many NSEC3 hashes")
	}
	b.HashRounds -= n
	return b.pay(HashWork, n)
}

// digest pays for one digest of a key before it is made.
func (b *Budget) digest() error {
	if b.Digests <= 0 {
		return errorf(ErrBudget, "too many digests of keys")
	}
	b.Digests--
	return b.pay(DigestWork, 1)
}
