package engine

import (
	"cmp"
	"iter"
	"math/rand/v2"
	"strings"
)

// maxOrders bounds the orders of one plan that are kept: all of three equal hosts, or
// of two pairs of equal ones.
const maxOrders = 6

func byName(a, b Host) int       { return strings.Compare(a.Name.String(), b.Name.String()) }
func byPreference(a, b Host) int { return cmp.Compare(a.Preference, b.Preference) }

// shuffleTies draws the order of hosts of one preference (RFC 5321 section 5.1);
// shuffle may be nil.
func shuffleTies(hosts []Host, shuffle func(int, func(i, j int))) {
	for tied := range ties(hosts) {
		if shuffle != nil {
			shuffle(len(tied), func(i, j int) { tied[i], tied[j] = tied[j], tied[i] })
			continue
		}
		// rand.Shuffle by hand, which wants a function on the heap.
		for i := len(tied) - 1; i > 0; i-- {
			if j := rand.IntN(i + 1); j != i {
				tied[i], tied[j] = tied[j], tied[i]
			}
		}
	}
}

// arrangeTies puts hosts of one preference into one of their [orders], of the number
// n: each n below that number gives another order.
func arrangeTies(hosts []Host, n int) {
	for tied := range ties(hosts) {
		for i := len(tied) - 1; i > 0; i-- {
			if j := n % (i + 1); j != i {
				tied[i], tied[j] = tied[j], tied[i]
			}
			n /= i + 1
		}
	}
}

// orders counts the orders in which hosts of one preference can be arranged, no further than
// to some number beyond [maxOrders].
func orders(hosts []Host) int {
	n := 1
	for tied := range ties(hosts) {
		for i := 2; i <= len(tied) && n <= maxOrders; i++ {
			n *= i
		}
	}
	return n
}

// ties yields the runs of hosts of one preference, of at least two.
func ties(hosts []Host) iter.Seq[[]Host] {
	return func(yield func([]Host) bool) {
		for len(hosts) > 0 {
			n := 1
			for n < len(hosts) && hosts[n].Preference == hosts[0].Preference {
				n++
			}
			if n > 1 && !yield(hosts[:n]) {
				return
			}
			hosts = hosts[n:]
		}
	}
}
