package socketmap

import (
	"errors"
	"fmt"
	"strconv"
)

// MaxRequest is the longest request in bytes: a map name and a key. Postfix sends no key
// longer than a domain name and a port; its own limit for replies is 100,000.
const MaxRequest = 10_000

// ErrNetstring is wrapped by every error about bytes that are no netstring.
var ErrNetstring = errors.New("socketmap: not a netstring")

// maxLengthDigits is the number of digits of [MaxRequest].
const maxLengthDigits = 5

// cut takes the first netstring off b: its content and what follows it. The content points
// into b. With need > 0 it is not complete: at least that many bytes of b are needed, which
// is known as soon as the length is. An error wraps [ErrNetstring].
func cut(b []byte) (content, rest []byte, need int, err error) {
	n := 0
	for i, c := range b {
		switch {
		case c == ':' && i > 0:
			end := i + 1 + n
			if end >= len(b) {
				return nil, b, end + 1, nil
			}
			if b[end] != ',' {
				return nil, nil, 0, fmt.Errorf("%w: no comma at its end", ErrNetstring)
			}
			return b[i+1 : end : end], b[end+1:], 0, nil
		case c < '0' || c > '9':
			return nil, nil, 0, fmt.Errorf("%w: %q in its length", ErrNetstring, c)
		case i > 0 && n == 0:
			return nil, nil, 0, fmt.Errorf("%w: a length with a leading zero", ErrNetstring)
		case i >= maxLengthDigits:
			return nil, nil, 0, fmt.Errorf("%w: longer than %d bytes", ErrNetstring, MaxRequest)
		}
		n = n*10 + int(c-'0')
		if n > MaxRequest {
			return nil, nil, 0, fmt.Errorf("%w: longer than %d bytes", ErrNetstring, MaxRequest)
		}
	}
	return nil, b, len(b) + 1, nil
}

// appendNetstring adds the netstring of a prefix and a text.
func appendNetstring(dst []byte, prefix, text string) []byte {
	dst = strconv.AppendInt(dst, int64(len(prefix)+len(text)), 10)
	dst = append(dst, ':')
	dst = append(dst, prefix...)
	dst = append(dst, text...)
	return append(dst, ',')
}
