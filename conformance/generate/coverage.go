package generate

import (
	"fmt"
	"slices"
)

// What [Lacking] wants to be there, in two thousand questions.
const (
	leastCommon = 10
	leastRare   = 1
)

// common are marks that many questions have.
var common = []string{
	"absent-name", "empty-non-terminal", "wildcard", "wildcard-without-type", "cname", "dname", "opt-out-span",
	"too-many-iterations", "denied-by/nsec", "denied-by/nsec3", "denied-by/opt-out", "denied-by/unsigned",
	"denied-by/compact", "denied-by/narrow", "wildcard-empty", "cased", "moved",
	"zone/secure", "zone/insecure", "zone/bogus", "alias-into/secure", "alias-into/insecure", "alias-into/bogus",
	"denial/of-what-is-there",
}

// rare are the marks of every single fault and peculiarity.
func rare() (out []string) {
	for _, f := range spotFaults {
		out = append(out, "set/"+string(f), "delegation/set/"+string(f))
	}
	for _, f := range linkFaults {
		out = append(out, "link/"+string(f))
	}
	for _, f := range proofFaults {
		out = append(out, "denial/"+string(f))
	}
	for k := range dsKinds {
		if k != DSGood {
			out = append(out, "ds/"+string(k))
		}
	}
	for k := range keyFaults {
		out = append(out, "keys/"+string(k))
	}
	for _, f := range zoneFaults {
		out = append(out, "zone-wide/"+string(f))
	}
	for _, f := range soaFaults {
		out = append(out, "soa/"+string(f))
	}
	for _, f := range []ChainFault{UnknownHash, UnknownFlags} {
		out = append(out, "chain/"+string(f))
	}
	for _, a := range Algorithms {
		out = append(out, fmt.Sprintf("algorithm/%d", a))
	}
	slices.Sort(out)
	return out
}

// Lacking lists which shapes, algorithms and faults the questions with these truths are
// too few of. It is for two thousand questions or more.
func Lacking(truths []Truth) (out []string) {
	counts := map[string]int{}
	for _, t := range truths {
		marks := slices.Clone(t.Marks)
		slices.Sort(marks)
		for _, m := range slices.Compact(marks) {
			counts[m]++
		}
	}
	times := len(truths) / 2000
	check := func(marks []string, least int) {
		for _, m := range marks {
			if counts[m] < least*times {
				out = append(out, fmt.Sprintf("%s: %d of %d", m, counts[m], least*times))
			}
		}
	}
	check(common, leastCommon)
	check(rare(), leastRare)
	return out
}
