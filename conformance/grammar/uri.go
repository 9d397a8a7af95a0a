package grammar

import "strings"

// The rules of RFC 3986 appendix A for a URI, without the characters that must be
// percent-encoded in a TLSRPT record ("!", "," and ";").
func uriRules() rules {
	pchar := func() *choice {
		return or(often(6, ref("unreserved")), ref("pct-encoded"), ref("sub-delims"), lit(":"), lit("@"))
	}
	return rules{
		"URI":           {is: seq{ref("scheme"), lit(":"), ref("hier-part"), maybe(ref("query-part")), maybe(ref("fragment-part"))}},
		"scheme":        {is: seq{alpha, many(0, or(often(4, alpha), digit, lit("+"), lit("-"), lit(".")))}},
		"hier-part":     {is: or(seq{lit("//"), ref("authority"), ref("path-abempty")}, ref("path-absolute"), ref("path-rootless"), lit(""))},
		"authority":     {is: seq{maybe(ref("userinfo-part")), or(ref("IP-literal"), often(3, ref("reg-name"))), maybe(ref("port-part"))}},
		"userinfo-part": {is: seq{many(0, or(often(6, ref("unreserved")), ref("pct-encoded"), ref("sub-delims"), lit(":"))), lit("@")}},
		"IP-literal":    {is: or(lit("[2001:db8::1]"), lit("[v1.x]"))}, // two of all that there are
		"reg-name":      {is: many(0, or(often(6, ref("unreserved")), ref("pct-encoded"), ref("sub-delims")))},
		"port-part":     {is: seq{lit(":"), many(0, digit)}},
		"path-abempty":  {is: many(0, seq{lit("/"), many(0, pchar())})},
		"path-absolute": {is: seq{lit("/"), maybe(seq{many(1, pchar()), many(0, seq{lit("/"), many(0, pchar())})})}},
		"path-rootless": {is: seq{many(1, pchar()), many(0, seq{lit("/"), many(0, pchar())})}},
		"query-part":    {is: seq{lit("?"), many(0, or(often(4, pchar()), lit("/"), lit("?")))}},
		"fragment-part": {is: seq{lit("#"), many(0, or(often(4, pchar()), lit("/"), lit("?")))}},
		"pct-encoded":   {is: seq{lit("%"), ref("HEXDIG"), ref("HEXDIG")}},
		"HEXDIG":        {is: or(digit, chars('A', 'F'), chars('a', 'f'))}, // ABNF's "A" is "a" as well
		"unreserved":    {is: or(often(8, alpha), often(2, digit), anyOf("-._~"))},
		"sub-delims":    {is: anyOf("$&'()*+=")},
	}
}

// The rules of the destinations that RFC 8460 section 3 knows: a mailto URI with one address
// (RFC 6068 section 2) and an https URI (RFC 9110 section 4.2.2). That their domain is one of
// two labels or more is a decision of the project (vectors tlsrpt, README). No top-level
// domain is a number, and not every label that begins as an A-label is one: those that cannot
// be names are left out.
func destinationRules() rules {
	return rules{
		"mailtoURI":  {is: seq{nocase("mailto:", "MAILTO:", "MailTo:"), ref("local-part"), lit("@"), ref("public-name"), maybe(ref("query-part")), maybe(ref("fragment-part"))}},
		"local-part": {is: seq{ref("mail-atom"), many(0, seq{lit("."), ref("mail-atom")})}},
		"mail-atom":  {is: many(1, or(often(8, alpha), often(2, digit), anyOf("$'*+-_~"), ref("pct-encoded")))},
		"https-URI": {is: seq{
			nocase("https://", "HTTPS://", "Https://"), ref("public-name"), maybe(ref("port-part")), ref("path-abempty"), maybe(ref("query-part")), maybe(ref("fragment-part")),
		}},
		"public-name": {is: ref("Domain"), not: func(s string) bool {
			dot := strings.LastIndexByte(s, '.')
			return dot < 0 || strings.Trim(s[dot+1:], "0123456789") == "" || strings.Contains("."+strings.ToLower(s), ".xn--")
		}},
	}
}

// schemeOf is that of a URI, in lower case.
func schemeOf(uri string) string {
	scheme, _, _ := strings.Cut(uri, ":")
	return strings.ToLower(scheme)
}
