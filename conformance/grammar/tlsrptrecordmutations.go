package grammar

import "strings"

// list is the value of a rua field.
func list(uris ...string) *Node {
	n := node("tlsrpt-uris")
	for i, u := range uris {
		if i > 0 {
			n.Kids = append(n.Kids, leaf(","))
		}
		n.Kids = append(n.Kids, node("tlsrpt-uri", leaf(u)))
	}
	return n
}

// oneList gives one rua field another list.
func oneList(uris ...string) edit {
	return func(e *editor) bool {
		*e.one("tlsrpt-uris") = *list(uris...)
		return true
	}
}

// simpleRUA makes every list one that has no equals sign.
func simpleRUA(e *editor) bool {
	for _, n := range e.tree.all("tlsrpt-uris") {
		*n = *list("mailto:a@example.org")
	}
	return true
}

// ruaMutations are about the destinations of a TLSRPT record.
func ruaMutations() []Mutation {
	uri := "RFC 8460 section 3, grammar: a URI of RFC 3986"
	encoded := "RFC 8460 section 3: \"!\", \",\" and \";\" inside a URI are percent-encoded"
	public := "decision of the project (vectors tlsrpt, README): a destination has an address or host that mail or HTTPS can reach"
	listed := "RFC 8460 section 3, grammar: URIs parted by commas"
	bound := "decision of the project: a bound that no real record comes near"
	many := make([]string, maxURIs+1)
	for i := range many {
		many[i] = "mailto:a@example.org"
	}
	return []Mutation{
		{"URI without a scheme", Malformed, uri, one("tlsrpt-uri", strings.Fields("noscheme a@example.org /path //example.org/x :x mailto 1x:y -x:y x_y:z example.org?x:y #x")...)},
		{"URI with a blank or control character", Malformed, uri, one("tlsrpt-uri", "mailto:a b@example.org", "https://example.org/a\tb", "mailto:a@example.org\x00", "x:\x7f", "x:\r\n")},
		{"URI that is not ASCII", Malformed, uri, one("tlsrpt-uri", "mailto:\u00e9@example.org", "https://example.org/\u00e9", "x:\x80", "mailto:a@b\u00fccher.example")},
		{"URI with a character that none has", Malformed, uri, one("tlsrpt-uri", strings.Fields("<mailto:a@example.org> \"mailto:a@example.org\" https://example.org/{x} x:a|b x:\\ x:^ x:` x:<y x:\"y x:}")...)},
		{"URI with brackets outside an address", Malformed, uri, one("tlsrpt-uri", strings.Fields("https://example.org/[x] x:[y] x:y?[z] x://a@b]/ x:y#[ x://[::1]a/ x://[zz]/ x://[::1/ x://a[::1]/")...)},
		{"URI with a bad percent-encoding", Malformed, uri, one("tlsrpt-uri", strings.Fields("mailto:a%zz@example.org mailto:a%2@example.org https://example.org/% x:%g0 x:%0g x:y?% x:y#%1 https://example.org/?%x x://%/")...)},
		{"URI with two fragments", Malformed, uri, one("tlsrpt-uri", "https://example.org/#a#b", "mailto:a@example.org#x#y", "x:#a#")},
		{"URI with a port that is no number", Malformed, uri, one("tlsrpt-uri", "https://example.org:port/", "https://example.org:44x/", "https://example.org:-1/", "x://a:b:1/")},
		{"bare exclamation point", Malformed, encoded, one("tlsrpt-uri", "mailto:a!b@example.org", "mailto:a@example.org!10m", "https://example.org/!")},
		{"bare comma", Malformed, encoded, one("tlsrpt-uri", "mailto:a,b@example.org", "https://example.org/a,b")},
		{"bare semicolon", Malformed, encoded, one("tlsrpt-uri", "mailto:a;b@example.org", "https://example.org/a;b")},
		{"encoded separators", Valid, encoded, oneList("mailto:a%2Cb%3Bc%21@example.org", "https://example.org/%2c%3b%21")},
		{"mailto without an address", Malformed, public, one("tlsrpt-uri", strings.Fields("mailto: mailto:a mailto:@example.org mailto:example.org mailto:?to=a@example.org mailto:a@ mailto://a@example.org")...)},
		{"mailto to no mail domain", Malformed, public, one("tlsrpt-uri", strings.Fields("mailto:a@localhost mailto:a@[192.0.2.1] mailto:a@192.0.2.1 mailto:a@example..org mailto:a@-x.example mailto:a@.example mailto:a@b@example.org")...)},
		{"https to no public host", Malformed, public, one("tlsrpt-uri", strings.Fields("https://localhost/ https: https:/ https:// https:///x https:example.org https://192.0.2.1/ https://[2001:db8::1]/ https://a..example/ https://-a.example/")...)},
		{"other scheme alone", Valid, "RFC 8460 section 3: a URI of any scheme; reports go by mailto and https only", oneList("ftp://example.org/x")},
		{"same URI twice", Valid, listed, oneList("mailto:a@example.org", "mailto:a@example.org")},
		{"rua without a value", Malformed, listed, one("tlsrpt-uris", "", " ", ",", ", ,")},
		{"empty place in a list", Malformed, listed, one("tlsrpt-uris", ",mailto:a@example.org", "mailto:a@example.org,", "mailto:a@example.org,,x:y", "mailto:a@example.org, ,x:y")},
		{"list parted by blanks", Malformed, listed, one("tlsrpt-uris", "mailto:a@example.org mailto:b@example.org", "mailto:a@example.org\tx:y")},
		{"one destination too many", Forbidden, bound, oneList(many...)},
		{"record of more than 4096 octets", Forbidden, bound, extension("", Field{"x", repeated("y", 4097)})},
		{"blanks at the end without a semicolon", Tolerated, "vectors tlsrpt, records: such records are met, and are taken", then(unended, finish(" ", "\t", "  \t"))},
	}
}
