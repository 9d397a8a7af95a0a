package grammar

import (
	"slices"
	"strings"
)

// The source of what is refused by the rules of the policy.
const policyABNF = "RFC 8461 section 3.2, grammar"

// policyMutations are those of a policy.
func policyMutations() []Mutation {
	return slices.Concat(policyFields(), policyLines(), versionAndMode(), maxAges(), patterns(), policyExtensions())
}

// simplePolicyField is a field of that kind: sts-policy-mode, mode, enforce.
func simplePolicyField(rule, name, value string) *Node {
	return node("sts-policy-field", node(rule, leaf(name), node("sts-policy-field-delim", leaf(": ")), node(rule+"-value", leaf(value))))
}

// policyField adds a field of that kind after the first one.
func policyField(rule, name string, values ...string) edit {
	return add(rule, func(e *editor) *Node { return simplePolicyField(rule, name, turn(e, values)) })
}

// enforced makes the mode, each time it is given, one that needs an mx.
var enforced = every("sts-policy-mode-value", "enforce", "testing")

func policyFields() []Mutation {
	required := "RFC 8461 section 3.2: required"
	once := "RFC 8461 section 3.2: of a field other than mx that is repeated all but the first are ignored"
	ignored := "RFC 8461 section 3.2: unknown fields are ignored"
	var out []Mutation
	for _, f := range []struct {
		rule, name  string
		cases, more []string
		later, junk []string
	}{
		{"sts-policy-version", "version", []string{"Version", "VERSION"}, nil, []string{"STSv1"}, []string{"STSv2", "x", "stsv1"}},
		{"sts-policy-mode", "mode", []string{"Mode", "MODE"}, nil, []string{"none", "testing", "enforce"}, []string{"Enforce", "x", "enforce none"}},
		{"sts-policy-max-age", "max_age", []string{"Max_Age", "MAX_AGE"}, []string{"max-age", "maxage"}, []string{"0", "31557600"}, []string{"x", "-1", "99999999999"}},
	} {
		var junk []Field
		for _, v := range f.junk {
			junk = append(junk, Field{f.name, v})
		}
		out = append(out,
			Mutation{"no " + f.name, Forbidden, required, without(f.rule)},
			Mutation{f.name + " in another case", Forbidden, required + ", and names of fields have a case", rename(f.rule, f.name, slices.Concat(f.cases, f.more)...)},
			Mutation{f.name + " again", Valid, once, policyField(f.rule, f.name, f.later...)},
			Mutation{f.name + " again, with a value that is none", Tolerated, once, extension(f.rule, junk...)},
			Mutation{f.name + " without a value", Malformed, policyABNF, first(f.rule+"-value", "")},
			Mutation{f.name + " without a colon", Malformed, policyABNF, rename(f.rule, f.name+":", f.name+"=", f.name, f.name+" ", f.name+"\uff1a", f.name+";")},
			Mutation{f.name + ", blank before the colon", Malformed, policyABNF + ": blanks stand behind the colon", rename(f.rule, f.name, f.name+" ", f.name+"\t")},
		)
	}
	return append(out,
		Mutation{"no mx", Forbidden, required + " unless the mode is none", then(enforced, without("sts-policy-mx"))},
		Mutation{"no mx in mode none", Valid, "RFC 8461 section 3.2: mx may be missing if the mode is none", then(every("sts-policy-mode-value", "none"), without("sts-policy-mx"))},
		Mutation{"mx in another case", Forbidden, required + ", and names of fields have a case", then(enforced, rename("sts-policy-mx", "mx", "MX", "Mx"))},
		Mutation{"mx again", Valid, "RFC 8461 section 3.2: mx may be repeated", policyField("sts-policy-mx", "mx", "mx.example.org", "*.example.org")},
		Mutation{"mx without a colon", Malformed, policyABNF, rename("sts-policy-mx", "mx:", "mx=", "mx", "mx ", "mx;")},
		Mutation{"known names in another case beside them", Valid, ignored + ", and names of fields have a case",
			extension("", Field{"MODE", "none"}, Field{"Mode", "enforce"}, Field{"Version", "STSv2"}, Field{"MX", "*.evil.example"}, Field{"Max_Age", "0"}, Field{"max-age", "0"})},
		Mutation{"unknown field", Valid, ignored, extension("", Field{"x", "a: b"}, Field{"0", "\u00e9 \U0001f600"}, Field{repeated("n", 32), "1"}, Field{"a-b_c.d", "\u0085"})},
	)
}

func policyLines() []Mutation {
	ends := "RFC 8461 section 3.2, grammar: a line ends in LF or CRLF"
	empty := "RFC 8461 section 3.2, grammar: no line is empty"
	return []Mutation{
		{"lines that end in LF", Valid, ends, every("sts-policy-term", "\n")},
		{"lines that end in CRLF", Valid, ends, every("sts-policy-term", "\r\n")},
		{"last line without an end", Valid, ends, unended},
		{"last line with an end", Valid, ends, ended},
		{"lines that end in CR", Malformed, ends, every("sts-policy-term", "\r")},
		{"a line that ends otherwise", Malformed, ends, between("", "\r", "\r\r\n", "\n\r", "\f", "\v", "\x00")},
		{"a known field that ends otherwise", Malformed, ends, between("sts-policy-extension", "", " ", "; ", ", ", "\\n", "\u2028", "\u0085", ";\n", ",\r\n")},
		{"last line that ends in CR", Malformed, ends, then(unended, finish("\r", "\r\r\n", "\n\r"))},
		{"empty line", Malformed, empty, between("", "\n\n", "\r\n\r\n", "\n\r\n", "\n \n", "\n\t\r\n")},
		{"empty line in front", Malformed, empty, start("\n", "\r\n", " \n")},
		{"empty line at the end", Malformed, empty, then(ended, finish("\n", "\r\n", " ", " \n", "\t\n"))},
		{"indented line", Malformed, policyABNF + ": a line begins with a name", between("", "\n ", "\r\n\t", "\n  ")},
		{"indented first line", Malformed, policyABNF + ": a line begins with a name", start(" ", "\t")},
		{"comment", Malformed, policyABNF, start("# x\n", "// x: y\n", "; x\n", "#x: y\r\n", "<html>\n", "<!-- x: y -->\n")},
		{"byte order mark", Malformed, policyABNF, start("\ufeff")},
		{"text behind the last line", Malformed, policyABNF, then(ended, finish("x", ".\n", "\x00", "\x1a", "end of policy\n", ":", ": x", "---\n"))},
		{"NUL or end of file behind the last field", Malformed, policyABNF, then(unended, finish("\x00", "\x1a", "\x04"))},
		{"more than 64 KiB", Forbidden, "RFC 8461 section 3.3 lets a sender set such a limit; decision of the project: 64 KiB", extension("", Field{"x", repeated("y", 64<<10)})},
	}
}

func versionAndMode() []Mutation {
	return []Mutation{
		{"version that is none", Malformed, policyABNF + ": %s\"STSv1\"", first("sts-policy-version-value", "STSv2", "stsv1", "STSV1", "STSv1.0", "STSv1;", "1", `"STSv1"`, "STSv1 STSv1", "v=STSv1", "STSv")},
		{"value of mode in another case", Malformed, policyABNF + ": values in lower case", first("sts-policy-mode-value", "Enforce", "ENFORCE", "None", "Testing", "TESTING", "NONE")},
		{"mode that is none", Malformed, policyABNF, first("sts-policy-mode-value", "report", "enforced", "enforce,testing", "enforce none", `"enforce"`, "off", "0", "test", "enforce;", "en\u200bforce", "nonenone", "enforce # x")},
	}
}

func maxAges() []Mutation {
	digits := "RFC 8461 section 3.2, grammar: 1 to 10 digits"
	most := "RFC 8461 section 3.2: at most 31557600; decision of the project (vectors mta-sts, README): above it the policy is invalid"
	return []Mutation{
		{"max_age at its ends", Valid, most, first("sts-policy-max-age-value", "0", "31557600", "1", "31557599")},
		{"max_age with leading zeros", Valid, digits, first("sts-policy-max-age-value", "0000000000", "0031557600", "00604800", "0000000001")},
		{"max_age of 11 digits", Malformed, digits, first("sts-policy-max-age-value", "00000604800", "00000000000", "12345678901", repeated("9", 40), repeated("0", 11)+"1")},
		{"max_age above a year", Malformed, most, first("sts-policy-max-age-value", "31557601", "31557610", "99999999", "4294967296", "9999999999", "9223372036")},
		{"max_age with a sign", Malformed, digits, first("sts-policy-max-age-value", "+604800", "-604800", "-1", "-0", "604800-")},
		{"max_age that is no number", Malformed, digits, first("sts-policy-max-age-value", "1.5", "1e6", "0x10", "604 800", "604,800", "604_800", "1w", "604800s", "604800;", "x", `"1"`, "1/2", "1:2")},
		{"max_age in other digits", Malformed, digits, first("sts-policy-max-age-value", "\u0663\u0663", "\uff11", "\u00b2")},
	}
}

func patterns() []Mutation {
	star := "RFC 8461 sections 3.2 and 4.1: \"*.\" stands in front, for one whole label"
	domain := "RFC 8461 section 3.2, grammar: Domain of RFC 5321 section 4.1.2"
	length := "RFC 5321 section 4.5.3.1.2 and RFC 1035 section 2.3.4"
	label := repeated("a", maxLabel)
	longest := label + "." + label + "." + label + "." + repeated("a", 61) // 253
	return []Mutation{
		{"pattern with an inner asterisk", Malformed, star, one("sts-policy-mx-value", strings.Fields("mx.*.example mx*.example *mx.example m*x.example *a.example mx.example.* *.*.example *.a*.example ** *")...)},
		{"asterisk twice or alone", Malformed, star, one("sts-policy-mx-value", "*.*.example.org", "**.example.org", "*..example.org", "*.", "*", ".*.example.org", "*.*")},
		{"pattern with a dot in front", Malformed, star, one("sts-policy-mx-value", ".example.org", "..example.org")},
		{"pattern with a dot at the end", Malformed, domain + "; decision of the project (vectors mta-sts, README): no trailing dot", one("sts-policy-mx-value", "mx.example.", "*.example.", "mx.example..", "a.")},
		{"pattern with a U-label", Malformed, "RFC 8461 section 3.2: an internationalised name is written in A-labels", one("sts-policy-mx-value", "b\u00fccher.example", "*.b\u00fccher.example", "\u4f8b.example", "mx\u3002example", "\u24d0.example", "mx.\u00e9", "a\u00adb.example")},
		{"pattern with an A-label", Valid, "RFC 8461 section 3.2: an internationalised name is written in A-labels",
			policyField("sts-policy-mx", "mx", "xn--bcher-kva.example", "*.XN--BCHER-KVA.example")},
		{"pattern with an empty label", Malformed, domain, one("sts-policy-mx-value", "mx..example", "*.mx..example", ".", "..")},
		{"pattern with a hyphen at the end of a label", Malformed, domain, one("sts-policy-mx-value", "-mx.example", "mx-.example", "mx.-", "mx.example-", "*.-a.example", "-")},
		{"pattern with another sign", Malformed, domain, one("sts-policy-mx-value", strings.Fields("mx_1.example mx/example mx@example user@example.org mx.example:25 mx+a.example (mx).example \"mx.example\" mx.example; <mx.example> mx?.example [a-z].example mx\\.example mx`a mx{a")...)},
		{"several hosts in one line", Malformed, domain, one("sts-policy-mx-value", "a.example b.example", "a.example, b.example", "a.example,b.example", "a.example\tb.example", "10 mx.example")},
		{"pattern with a control character", Malformed, domain, one("sts-policy-mx-value", "mx\x00.example", "mx.example\x00", "\x7fmx.example", "mx\x01", "mx.example\x1b[0m")},
		{"pattern with bad UTF-8", Malformed, domain, one("sts-policy-mx-value", "mx\x80.example", "\xff", "mx.\xc3\xa9\xff")},
		{"pattern that is an address", Malformed, "decision of the project (vectors mta-sts, README): no IP address", one("sts-policy-mx-value", "192.0.2.1", "*.192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]", "2001:db8::1", "::1")},
		{"longest label", Valid, length, policyField("sts-policy-mx", "mx", label+".example", "*."+label)},
		{"label too long", Malformed, length, one("sts-policy-mx-value", label+"a.example", "mx."+label+"a", "*."+label+"a")},
		{"longest name", Valid, length, policyField("sts-policy-mx", "mx", longest, "*."+longest)},
		{"name too long", Malformed, length, one("sts-policy-mx-value", longest+"a", "*."+longest+"a", repeated("a.", 200)+"a")},
		{"mx without a value", Malformed, policyABNF, one("sts-policy-mx-value", "", " ", "\t")},
	}
}

func policyExtensions() []Mutation {
	name := "RFC 8461 section 3.2, grammar: names are 1 to 32 of letters, digits, \"_\", \"-\", \".\", the first a letter or digit"
	value := "RFC 8461 section 3.2, grammar: values are visible characters, ASCII or well-formed UTF-8, with spaces between them"
	return []Mutation{
		{"unknown field without a name", Malformed, name, extension("", Field{"", "y"})},
		{"name of 33 characters", Malformed, name, extension("", Field{repeated("n", 33), "y"}, Field{"a" + repeated("-", 32), "y"})},
		{"name that begins with a sign", Malformed, name, extension("", Field{"_x", "y"}, Field{"-x", "y"}, Field{".x", "y"})},
		{"name with another sign", Malformed, name, extension("", Field{"x+", "y"}, Field{"x y", "z"}, Field{"x/y", "z"}, Field{"\u00e9", "y"}, Field{"x\x00", "y"}, Field{"x@", "y"}, Field{"x[", "y"}, Field{"x`", "y"}, Field{"x{", "y"}, Field{"x ", "y"})},
		{"unknown field without a value", Malformed, value, extension("", Field{"x", ""}, Field{"x", " "}, Field{"x", "\t "})},
		{"value with a control character", Malformed, value, extension("", Field{"x", "a\x00b"}, Field{"x", "\x1f"}, Field{"x", "a\tb"}, Field{"x", "a\x7fb"}, Field{"x", "a\rb"}, Field{"x", "\x1b[31m"})},
		{"value with bad UTF-8", Malformed, value, extension("", Field{"x", "\xff"}, Field{"x", "a\xc0\x80"}, Field{"x", "\xed\xa0\x80"}, Field{"x", "\xf4\x90\x80\x80"}, Field{"x", "\xe2\x82"}, Field{"x", "\xc3"}, Field{"x", "\x80"}, Field{"x", "\xe0\x80\x80"}, Field{"x", "\xf0\x80\x80\x80"})},
	}
}
