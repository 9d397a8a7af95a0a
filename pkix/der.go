package pkix

// A reader of DER that does just enough for name constraints: it takes apart
// elements without reflection or allocation. crypto/x509 has parsed the whole
// certificate already; these are the parts that it does not hand out.

// Tags of DER elements.
const (
	tagOID         = 0x06
	tagUTF8        = 0x0c
	tagPrintable   = 0x13
	tagT61         = 0x14
	tagIA5         = 0x16
	tagSequence    = 0x30
	tagSet         = 0x31
	tagPermitted   = 0xa0 // permittedSubtrees, minimum [0] is 0x80
	tagExcluded    = 0xa1
	tagConstructed = 0x20
	classContext   = 0x80
)

// element takes the first element off b. ok is false if b does not begin with a
// whole element with a tag of one octet and a length in its shortest form; the
// tag is then 0, which begins no element of a certificate.
func element(b []byte) (tag byte, body, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return 0, nil, nil, false
	}
	n, at := int(b[1]), 2
	if n >= 0x80 {
		octets := n & 0x7f
		if octets == 0 || octets > 3 || len(b) < 2+octets || b[2] == 0 {
			return 0, nil, nil, false
		}
		n = 0
		for _, c := range b[2 : 2+octets] {
			n = n<<8 | int(c)
		}
		if n < 0x80 {
			return 0, nil, nil, false
		}
		at += octets
	}
	if len(b)-at < n {
		return 0, nil, nil, false
	}
	return b[0], b[at : at+n], b[at+n:], true
}

// inside returns the body of b if it is one element with this tag and no more.
func inside(b []byte, tag byte) ([]byte, bool) {
	t, body, rest, ok := element(b)
	return body, ok && t == tag && len(rest) == 0
}
