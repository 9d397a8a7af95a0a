package proof

import "math/bits"

// The cost of a signature check is about the microseconds that it takes on one core of a
// small server. Only the ratios matter: an RSA key may cost forty times as much as
// another one, and its owner chooses it.
const (
	costP256    = 90
	costP384    = 700 // Go has no assembly for it
	costEd25519 = 65
	// costUnknown is that of a key from outside of this package which does not say.
	costUnknown = 1000
	// bytesPerCost: SHA-2 without help of the processor reads as many in a microsecond.
	bytesPerCost = 256
)

// KeyCost returns the cost of checking one signature with the key, in microseconds by
// order of magnitude. A key that has a method Cost() int says it itself.
func KeyCost(k PublicKey) int {
	if c, ok := k.(interface{ Cost() int }); ok {
		return c.Cost()
	}
	return costUnknown
}

// Cost counts the multiplications modulo n: a squaring for each bit of the exponent, one
// more for each bit that is set, and about a dozen to begin with. Each takes the square of
// the length of n.
func (k *rsaKey) Cost() int {
	muls := k.e.BitLen()
	for _, w := range k.e.Bits() {
		muls += bits.OnesCount(uint(w))
	}
	words := (k.n.BitLen() + 63) / 64
	return 1 + (12+muls)*words*words/640
}

func (k *ecdsaKey) Cost() int {
	if k.size == 48 {
		return costP384
	}
	return costP256
}

func (k ed25519Key) Cost() int { return costEd25519 }
