package grammar

import (
	"net/netip"
	"slices"
)

// Sets of RFC 5234 appendix B.1.
var (
	alpha = chars('A', 'Z', 'a', 'z')
	digit = chars('0', '9')
	wsp   = anyOf(" \t")
)

// blanks are *WSP.
func blanks() *repeat { return many(0, wsp) }

// nameTail is what follows the first character in the name of an extension.
func nameTail() *choice { return or(often(4, alpha), often(2, digit), lit("_"), lit("-"), lit(".")) }

// visible is the value of an extension in a TXT record: 1*(%x21-3A / %x3C / %x3E-7E).
func visible() *repeat {
	return many(1, or(often(8, chars(0x21, 0x3a)), lit("<"), often(8, chars(0x3e, 0x7e))))
}

// Limits of a name in RFC 5321 section 4.5.3.1.2 and RFC 1035 section 2.3.4; in text form
// 253 octets are left.
const (
	maxLabel = 63
	maxHost  = 253
)

// domainRules are Domain of RFC 5321 section 4.1.2 within the limits of length. In an mx
// pattern and in a report's destination an address is no name of a host: the project's
// decision (vectors mta-sts, README).
func domainRules() rules {
	return rules{
		"Domain":     {is: seq{ref("sub-domain"), many(0, seq{lit("."), ref("sub-domain")})}, not: noHost},
		"sub-domain": {is: seq{ref("Let-dig"), maybe(ref("Ldh-str"))}},
		"Let-dig":    {is: or(often(4, alpha), digit)},
		"Ldh-str":    {is: seq{times(0, maxLabel-2, or(often(6, alpha), often(2, digit), lit("-"))), ref("Let-dig")}},
	}
}

func noHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return len(s) > maxHost || err == nil
}

// utf8Rules are those of RFC 3629 section 4 for what is no ASCII.
func utf8Rules() rules {
	tail := func() expr { return chars(0x80, 0xbf) }
	return rules{
		"UTF8-2": {is: seq{chars(0xc2, 0xdf), tail()}},
		"UTF8-3": {is: or(
			seq{chars(0xe0, 0xe0), chars(0xa0, 0xbf), tail()},
			seq{chars(0xe1, 0xec), tail(), tail()},
			seq{chars(0xed, 0xed), chars(0x80, 0x9f), tail()},
			seq{chars(0xee, 0xef), tail(), tail()},
		)},
		"UTF8-4": {is: or(
			seq{chars(0xf0, 0xf0), chars(0x90, 0xbf), tail(), tail()},
			seq{chars(0xf1, 0xf3), tail(), tail(), tail()},
			seq{chars(0xf4, 0xf4), chars(0x80, 0x8f), tail(), tail()},
		)},
	}
}

// oneOf excludes names that are not for extensions: the grammar calls those "other" or
// "unknown" fields.
func oneOf(names ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(names, s) }
}
