package grammar

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// maxMaxAge is the upper end of max_age (RFC 8461 section 3.2).
const maxMaxAge = 31557600

// STSPolicy is the grammar of a policy (RFC 8461 section 3.2).
func STSPolicy() *Language {
	delim := ref("sts-policy-field-delim")
	r := join(domainRules(), utf8Rules(), rules{
		"sts-policy-record": {is: seq{
			ref("sts-policy-field"), blanks(),
			many(0, seq{ref("sts-policy-term"), ref("sts-policy-field"), blanks()}),
			maybe(ref("sts-policy-term")),
		}},
		"sts-policy-field": {is: or(ref("sts-policy-version"), ref("sts-policy-mode"), ref("sts-policy-max-age"),
			ref("sts-policy-mx"), ref("sts-policy-extension"))},
		"sts-policy-field-delim":   {is: seq{lit(":"), blanks()}},
		"sts-policy-term":          {is: or(lit("\n"), lit("\r\n"))},
		"sts-policy-version":       {is: seq{ref("sts-policy-version-field"), delim, ref("sts-policy-version-value")}},
		"sts-policy-version-field": {is: lit("version")},
		"sts-policy-version-value": {is: lit("STSv1")},
		"sts-policy-mode":          {is: seq{ref("sts-policy-mode-field"), delim, ref("sts-policy-mode-value")}},
		"sts-policy-mode-field":    {is: lit("mode")},
		"sts-policy-mode-value":    {is: or(lit("testing"), often(2, lit("enforce")), lit("none"))},
		"sts-policy-mx":            {is: seq{ref("sts-policy-mx-field"), delim, ref("sts-policy-mx-value")}},
		"sts-policy-mx-field":      {is: lit("mx")},
		"sts-policy-mx-value":      {is: seq{maybe(lit("*.")), ref("Domain")}},
		"sts-policy-max-age":       {is: seq{ref("sts-policy-max-age-field"), delim, ref("sts-policy-max-age-value")}},
		"sts-policy-max-age-field": {is: lit("max_age")},
		// Ten digits reach further than the prose (erratum 7282), which decides. Leading
		// zeros fill them at times.
		"sts-policy-max-age-value": {is: times(1, 10, or(digit, often(2, lit("0")))), not: tooOld},
		"sts-policy-extension":     {is: seq{ref("sts-policy-ext-name"), delim, ref("sts-policy-ext-value")}},
		"sts-policy-ext-name": {
			is:  seq{ref("sts-policy-alphanum"), times(0, 31, or(often(4, ref("sts-policy-alphanum")), lit("_"), lit("-"), lit(".")))},
			not: oneOf("version", "mode", "mx", "max_age"),
		},
		"sts-policy-ext-value": {is: seq{ref("sts-policy-vchar"), maybe(seq{many(0, or(lit(" "), often(6, ref("sts-policy-vchar")))), ref("sts-policy-vchar")})}},
		"sts-policy-alphanum":  {is: or(often(3, alpha), digit)},
		"sts-policy-vchar":     {is: or(often(9, chars(0x21, 0x7e)), ref("UTF8-2"), ref("UTF8-3"), ref("UTF8-4"))},
	})
	return newLanguage(Language{
		Name: "sts-policy-record", Mutations: policyMutations(), rules: r, start: "sts-policy-record",
		never: []string{"sts-policy-record#2 fewest"}, // one field alone cannot be all that are required
		shape: shape{
			field: "sts-policy-field", delim: "sts-policy-term",
			ext: "sts-policy-extension", extName: "sts-policy-ext-name", extValue: "sts-policy-ext-value",
			is: ": ", end: "\n",
		},
		draw: drawPolicy, read: readPolicy,
	})
}

func tooOld(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err != nil || n > maxMaxAge
}

// Alternatives of sts-policy-field and of the mode.
const (
	altVersion = iota
	altMode
	altMaxAge
	altMX
	altExt

	altNone = 2
)

// drawPolicy picks the required fields once, mx at least once unless the mode is none, in
// any order, with extensions and repeated fields between them.
func drawPolicy(rng *rand.Rand) map[string][]int {
	mode := rng.IntN(3)
	kinds := []int{altVersion, altMode, altMaxAge}
	mx := rng.IntN(4)
	if mode != altNone {
		mx++
	}
	for range mx {
		kinds = append(kinds, altMX)
	}
	for range rng.IntN(3) {
		kinds = append(kinds, altExt)
	}
	if rng.IntN(4) == 0 {
		kinds = append(kinds, rng.IntN(3))
	}
	rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	return map[string][]int{
		"sts-policy-record#2":     {len(kinds) - 1},
		"sts-policy-field#1":      kinds,
		"sts-policy-mode-value#1": {mode},
	}
}

// readPolicy: of a field other than mx the first counts (RFC 8461 section 3.2); a later one
// means no more than an extension.
func readPolicy(tree *Node) (m Meaning, lacks string) {
	seen := map[string]bool{}
	for _, f := range tree.all("sts-policy-field") {
		kind := f.Kids[0]
		name, value := kind.Kids[0].Text(), kind.Kids[len(kind.Kids)-1].Text()
		first := !seen[kind.Rule]
		seen[kind.Rule] = true
		switch {
		case kind.Rule == "sts-policy-mx":
			m.MX = append(m.MX, strings.ToLower(value))
		case kind.Rule == "sts-policy-extension" || !first:
			m.Ext = append(m.Ext, Field{name, value})
		case kind.Rule == "sts-policy-mode":
			m.Mode = value
		case kind.Rule == "sts-policy-max-age":
			m.MaxAge, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	for _, rule := range []string{"sts-policy-version", "sts-policy-mode", "sts-policy-max-age"} {
		if !seen[rule] {
			lacks = "lacks " + rule
		}
	}
	if m.Mode != "none" && len(m.MX) == 0 {
		lacks = "lacks an mx"
	}
	return m, lacks
}
