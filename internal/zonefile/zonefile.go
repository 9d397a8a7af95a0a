// Package zonefile prints the data of records as a zone file has it (RFC 1035 section 5.1):
//
//	_mta-sts.example.org. IN TXT "v=STSv1; id=20260501;"
package zonefile

import (
	"fmt"
	"strings"
)

// maxString is how many bytes go into one string of a TXT record. The limit is 255
// (RFC 1035 section 3.3.14); forms of DNS providers count escapes as well.
const maxString = 200

// TXT returns the data of a TXT record with this text: one or more quoted strings, in which
// quotes, backslashes and bytes that do not print are escaped.
func TXT(text string) string {
	var b strings.Builder
	for {
		n := min(len(text), maxString)
		b.WriteByte('"')
		for _, c := range []byte(text[:n]) {
			switch {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, "\\%03d", c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		if text = text[n:]; text == "" {
			return b.String()
		}
		b.WriteByte(' ')
	}
}
