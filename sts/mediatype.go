package sts

import "strings"

// badMediaType says why the values of the Content-Type header do not make a policy,
// "" if they do: exactly one value, of type text/plain in any case (RFC 8461 section
// 3.2, against files that users of a web host may upload). Parameters are not
// looked at: the RFC names charset utf-8 and us-ascii and has all others ignored,
// and a body in any other encoding does not parse.
func badMediaType(values []string) string {
	switch len(values) {
	case 0:
		return "no Content-Type"
	case 1:
	default:
		return "more than one Content-Type"
	}
	t, _, _ := strings.Cut(values[0], ";")
	if !strings.EqualFold(strings.Trim(t, " \t"), "text/plain") {
		return "Content-Type is not text/plain"
	}
	return ""
}

// MediaTypeOK reports whether the value of a lone Content-Type header makes a body a
// policy (RFC 8461 section 3.2).
func MediaTypeOK(value string) bool { return badMediaType([]string{value}) == "" }
