package upstream

import (
	"encoding/binary"

	"github.com/mxauth/mxauth/dnssec"
)

// saysBogus reports whether msg carries an extended error by which its server
// says that validation failed (RFC 8914).
func saysBogus(msg []byte) bool {
	found := false
	_ = walk(msg, func(at int) {
		if binary.BigEndian.Uint16(msg[at:]) != typeOPT {
			return
		}
		data := msg[at+10 : at+10+int(binary.BigEndian.Uint16(msg[at+8:]))]
		for len(data) >= 4 {
			code, n := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
			if len(data) < 4+n {
				return
			}
			if code == optExtendedEr && n >= 2 &&
				(dnssec.ExtendedError{Code: binary.BigEndian.Uint16(data[4:])}).SaysBogus() {
				found = true
			}
			data = data[4+n:]
		}
	})
	return found
}
