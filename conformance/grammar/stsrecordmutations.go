package grammar

import "strings"

// idMutations are about the id of an STS record.
func idMutations() []Mutation {
	id := "RFC 8461 section 3.1, grammar: 1 to 32 letters and digits"
	// The grammar of a record has no rule for a second id but that it is, like any
	// name=value, an extension; the RFC says nothing of it.
	second := "RFC 8461 section 3.1 is silent; decision of the project: the first id counts, a later one is read as an extension"
	return []Mutation{
		{"id without a value", Malformed, id, first("sts-id-value", "", " ")},
		{"id of 32 characters", Valid, id, first("sts-id-value", repeated("a", 32), repeated("0", 32))},
		{"id of 33 characters", Malformed, id, first("sts-id-value", repeated("a", 33), repeated("0", 33), repeated("Z9", 20))},
		{"id with a sign", Malformed, id, first("sts-id-value", strings.Fields("2020-01-01 a_b a.b a:b a+b a/b \"a\" @ [ ` { < -1 a,b a*")...)},
		{"id with a blank", Malformed, id, first("sts-id-value", "a b", " a", "a\tb")},
		{"id that is not ASCII", Malformed, id, first("sts-id-value", "\u00e9", "\u0663", "\uff11", "a\xff", "a\u200b")},
		{"id with a control character", Malformed, id, first("sts-id-value", "a\x00", "\x00a", "a\x7f", "a\r", "a\nb")},
		{"second id", Valid, second, add("sts-id", func(e *editor) *Node {
			return node("sts-field", node("sts-id", leaf("id="), node("sts-id-value", leaf("other"))))
		})},
		{"second id that is none", Tolerated, second, extension("sts-id", Field{"id", "a_b"}, Field{"id", repeated("a", 33)}, Field{"id", "-"})},
		{"second id without a value", Malformed, "RFC 8461 section 3.1, grammar: no field has an empty value", extension("sts-id", Field{"id", ""})},
		{"second id with a blank", Malformed, "RFC 8461 section 3.1, grammar: no field has a blank in its value", extension("sts-id", Field{"id", "a b"})},
		{"blanks at the end without a semicolon", Malformed, "RFC 8461 section 3.1, grammar: blanks stand beside a semicolon only", then(unended, finish(" ", "\t", "  \t"))},
	}
}
