package grammar

import (
	"math/rand/v2"
	"slices"
)

// STSRecord is the grammar of the TXT record at _mta-sts (RFC 8461 section 3.1).
func STSRecord() *Language {
	r := rules{
		"sts-text-record": {is: seq{ref("sts-version"), many(1, seq{ref("sts-field-delim"), ref("sts-field")}), maybe(ref("sts-field-delim"))}},
		"sts-field":       {is: or(ref("sts-id"), ref("sts-extension"))},
		"sts-field-delim": {is: seq{blanks(), lit(";"), blanks()}},
		"sts-version":     {is: lit("v=STSv1")},
		// The RFC has no name for the value, which mutations want to name.
		"sts-id":        {is: seq{lit("id="), ref("sts-id-value")}},
		"sts-id-value":  {is: times(1, 32, or(often(2, alpha), digit))},
		"sts-extension": {is: seq{ref("sts-ext-name"), lit("="), ref("sts-ext-value")}},
		"sts-ext-name":  {is: seq{or(often(3, alpha), digit), times(0, 31, nameTail())}, not: oneOf("id")},
		"sts-ext-value": {is: visible()},
	}
	sh := shape{
		field: "sts-field", delim: "sts-field-delim", ext: "sts-extension", extName: "sts-ext-name", extValue: "sts-ext-value",
		is: "=", end: "; ",
	}
	t := txt{
		shape: sh, version: "sts-version", text: "v=STSv1", other: "v=STSv2", lower: "v=stsv1", upper: "V=STSv1",
		required: "sts-id", name: "id", source: "RFC 8461 section 3.1",
	}
	return newLanguage(Language{
		Name: "sts-text-record", Mutations: slices.Concat(t.mutations(), idMutations()),
		rules: r, start: "sts-text-record", shape: sh,
		draw: func(rng *rand.Rand) map[string][]int { return drawFields(rng, "sts-text-record#1", "sts-field#1", 2) },
		read: readRecord,
	})
}

// drawFields picks the number of fields of a TXT record and their kinds: alternative 0,
// which is required, once and now and then again; alternative 1, the extensions.
func drawFields(rng *rand.Rand, number, kind string, most int) map[string][]int {
	kinds := []int{0}
	for range rng.IntN(most) {
		kinds = append(kinds, 0)
	}
	for range rng.IntN(4) {
		kinds = append(kinds, 1)
	}
	rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	return map[string][]int{number: {len(kinds)}, kind: kinds}
}

// readRecord: of several ids the first counts, and the others are by the grammar what
// extensions are.
func readRecord(tree *Node) (m Meaning, lacks string) {
	for _, f := range tree.all("sts-field") {
		switch id := f.text("sts-id-value"); {
		case id == "":
			m.Ext = append(m.Ext, Field{f.text("sts-ext-name"), f.text("sts-ext-value")})
		case m.ID == "":
			m.ID = id
		default:
			m.Ext = append(m.Ext, Field{"id", id})
		}
	}
	if m.ID == "" {
		lacks = "lacks an id"
	}
	return m, lacks
}
