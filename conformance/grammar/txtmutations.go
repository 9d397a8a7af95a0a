package grammar

import (
	"slices"
	"strings"
)

// txt is what the two TXT records have in common: a version, and fields name=value parted
// by semicolons, one of which is required.
type txt struct {
	shape
	version                   string // rule
	text, other, lower, upper string // the version, and such as are none
	required, name            string // rule and name of the field
	source                    string // the section of the RFC
	plain                     edit   // makes values such as the grammar has in extensions as well; nil: they are
}

func repeated(s string, n int) string { return strings.Repeat(s, n) }

// mutations are those of both records.
func (t txt) mutations() []Mutation {
	return slices.Concat(t.versions(), t.fields(), t.delimiters(), extensionFaults(t.source), t.sets())
}

func (t txt) versions() []Mutation {
	says := t.source + ", grammar: the record begins with the version in exactly that case"
	return []Mutation{
		{"version of another number", Malformed, says, first(t.version, t.other, t.text+"0", t.text+".1", t.text[:len(t.text)-1])},
		{"version in another case", Malformed, says, first(t.version, t.lower, t.upper)},
		{"blank in the version", Malformed, says, first(t.version, strings.Replace(t.text, "=", " =", 1), strings.Replace(t.text, "=", "= ", 1))},
		{"no version", Malformed, says, first(t.version, "")},
		{"something before the version", Malformed, says, start(" ", "\t", "\ufeff", "\x00", "x=y; ", ";", "\"", "\n")},
		{"the whole in quotes", Malformed, says, then(unended, start(`"`), finish(`"`))},
	}
}

func (t txt) fields() []Mutation {
	grammar := t.source + ", grammar"
	return []Mutation{
		{"no " + t.name, Forbidden, t.source + ": the field is required", then(extension("", Field{"x", "y"}), without(t.required))},
		{"no field", Malformed, grammar + ": one field at the least", func(e *editor) bool {
			e.tree.Kids = e.tree.Kids[:1]
			return finish("", ";", " ; ")(e)
		}},
		{t.name + " in another case", Forbidden, t.source + ": the field is required, and its name has a case",
			then(t.simple(), rename(t.required, t.name, strings.ToUpper(t.name), strings.ToUpper(t.name[:1])+t.name[1:]))},
		{t.name + " in another case beside it", Valid, t.source + ": unknown fields are ignored", extension("", Field{strings.ToUpper(t.name), "x"})},
		{"blank before the equals sign", Malformed, grammar, rename(t.required, t.name, t.name+" ", t.name+"\t")},
		{"blank behind the equals sign", Malformed, grammar, rename(t.required, t.name+"=", t.name+"= ", t.name+"=\t")},
		{"colon for the equals sign", Malformed, grammar, then(t.simple(), rename(t.required, t.name+"=", t.name+":"))},
		{"two equals signs", Malformed, grammar, then(t.simple(), rename(t.required, t.name+"=", t.name+"=="))},
		{"field without a name", Malformed, grammar, rename(t.required, t.name, "")},
		{"unknown field", Valid, t.source + ": unknown fields are ignored",
			extension("", Field{"x", "y"}, Field{"X-1.a_b", "<>!~:"}, Field{repeated("n", 32), "1"}, Field{"v", t.text[2:]}, Field{"0", "0"})},
	}
}

// simple makes all values of the required field such as have no equals sign.
func (t txt) simple() edit {
	if t.plain != nil {
		return t.plain
	}
	return func(*editor) bool { return true }
}

func (t txt) delimiters() []Mutation {
	grammar := t.source + ", grammar"
	return []Mutation{
		{"no semicolon", Malformed, grammar, between(t.required, "")},
		{"another delimiter than the semicolon", Malformed, grammar, then(t.simple(), between("", ",", " ", "\t", " , ", ":", "\n", "&", "\uff1b"))},
		{"two semicolons", Malformed, grammar + ": no empty field", between("", ";;", "; ;", ";\t;", " ; ; ")},
		{"two semicolons at the end", Malformed, grammar + ": one delimiter may end the record", then(ended, finish(";", " ;", ";;;"))},
		{"no semicolon at the end", Valid, grammar, unended},
		{"semicolon at the end", Valid, grammar, ended},
		{"blanks behind the last semicolon", Valid, grammar, then(ended, finish(" ", "\t \t"))},
		{"line end behind the text", Malformed, grammar + ": blanks are SP and HTAB", then(unended, finish("\n", "\r\n", "\r", "\f", "\v", "\u00a0"))},
		{"line end behind the last semicolon", Malformed, grammar + ": blanks are SP and HTAB", then(ended, finish("\n", "\r\n", "\r", "\f", "\v", "\u00a0"))},
		{"text behind the last semicolon", Malformed, grammar, then(ended, finish("x", " x", "=", " = ", " x y=z", "\x00", "\x1a"))},
		{"text behind the last field", Malformed, grammar, then(unended, finish(" x", "\tx", " (comment)", "\x00", "\x1a", "\x7f", "\xff"))},
	}
}

// extensionFaults are those of an extension in a TXT record.
func extensionFaults(source string) []Mutation {
	name := source + ", grammar: names are 1 to 32 of letters, digits, \"_\", \"-\", \".\", the first a letter or digit"
	value := source + ", grammar: values are visible ASCII without \"=\" and \";\""
	return []Mutation{
		{"unknown field without a name", Malformed, name, extension("", Field{"", "y"}, Field{" ", "y"})},
		{"name of 33 characters", Malformed, name, extension("", Field{repeated("n", 33), "y"}, Field{"a" + repeated("-", 32), "y"})},
		{"name that begins with a sign", Malformed, name, extension("", Field{"_x", "y"}, Field{"-x", "y"}, Field{".x", "y"})},
		{"name with another sign", Malformed, name, extension("", Field{"x+", "y"}, Field{"x y", "z"}, Field{"x/y", "z"}, Field{"\u00e9", "y"}, Field{"x\x00", "y"}, Field{"x@", "y"}, Field{"x[", "y"}, Field{"x`", "y"}, Field{"x{", "y"}, Field{"x:", "y"})},
		{"unknown field without a value", Malformed, value, extension("", Field{"x", ""}, Field{"x", " "})},
		{"value with an equals sign", Malformed, value, extension("", Field{"x", "a=b"}, Field{"x", "="}, Field{"x", "a="})},
		{"value with a blank", Malformed, value, extension("", Field{"x", "a b"}, Field{"x", "a\tb"}, Field{"x", " a"})},
		{"value with a control character", Malformed, value, extension("", Field{"x", "a\x00b"}, Field{"x", "\x1f"}, Field{"x", "a\x7f"}, Field{"x", "a\rb"}, Field{"x", "a\nb"})},
		{"value that is not ASCII", Malformed, value, extension("", Field{"x", "\u00e9"}, Field{"x", "\x80"}, Field{"x", "a\xff"})},
		{"value in quotes with a blank", Malformed, value, extension("", Field{"x", `"a b"`})},
	}
}

// sets are about the records at one name.
func (t txt) sets() []Mutation {
	drops := t.source + ": texts that do not begin as a record are dropped before counting"
	return []Mutation{
		{"another TXT record beside", Valid, drops, beside("v=spf1 -all", "", "x", t.other+"; id=a", t.upper+"; id=a", t.lower+"; id=a",
			" "+t.text+"; id=a", t.text, t.text+"0; id=a", t.text+" ", t.text+" id=a; x=y", t.text+"\n; id=a", "\ufeff"+t.text+"; id=a")},
		{"another record beside", Forbidden, t.source + ": exactly one is left, or there is none", beside(t.text+"; id=other", t.text+";", t.text+" ; x", t.text+"\t;;")},
	}
}
