package evidence

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limits of the parts of a file while it is decoded, in bytes of JSON and in values. A
// value costs up to 200 times as much memory as the two characters that it takes in the
// file ({}), so both are checked before a part is decoded, and one part is decoded at a time.
const (
	maxScalar        = 128       // a time, a word, a number
	maxMessageJSON   = 128 << 10 // 64 KiB of DNS message in base64, and its texts
	maxMessageValues = 64
	maxHostJSON      = 3 << 20 // a few hundred KiB of certificates for each of 8 addresses
	maxHostValues    = 8192    // maxPeers connections with maxChain certificates each
	maxPolicyJSON    = 1 << 20 // 64 KiB of policy, escaped, and a chain
	maxOtherJSON     = 1 << 20 // request, memory, verdict
	maxOtherValues   = 10000   // maxForbidden digests
)

// errLimit: a part of the file is larger than what is ever recorded.
var errLimit = errors.New("more than is ever recorded")

// Read reads a file. An unknown field, another version, or more than the limits allow is an
// error that wraps [ErrFile]. Limits are checked while the file is decoded: it takes little
// more memory than the file has bytes, whatever is in it.
func Read(r io.Reader) (*File, error) {
	d := &decoder{r: bufio.NewReaderSize(r, 64<<10)}
	f := &File{}
	err := d.file(f)
	switch {
	case d.failed != nil:
		return nil, d.failed // reading failed, which says nothing about the file
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return f, f.check()
}

// A decoder takes a file apart without holding more of it than one part.
type decoder struct {
	r      *bufio.Reader
	n      int    // bytes that were read
	part   []byte // the part that was copied last
	failed error  // of the reader
}

// file decodes the whole.
func (d *decoder) file(f *File) error {
	seen := map[string]bool{}
	err := d.object(func(key string) error {
		if seen[key] {
			return fmt.Errorf("%.40q occurs twice", key)
		}
		seen[key] = true
		switch key {
		case "v":
			if err := d.into(&f.V, maxScalar, 1); err != nil {
				return err
			}
			if f.V != Version {
				return fmt.Errorf("its version is not %d", Version)
			}
			return nil
		case "at":
			return d.into(&f.At, maxScalar, 1)
		case "planned":
			return d.into(&f.Planned, maxScalar, 1)
		case "valid_until":
			return d.into(&f.ValidUntil, maxScalar, 1)
		case "mode":
			return d.into(&f.Mode, maxScalar, 1)
		case "request":
			return d.into(&f.Request, maxOtherJSON, maxOtherValues)
		case "tlsa_policy":
			return d.into(&f.TLSA, maxOtherJSON, maxOtherValues)
		case "dns":
			return d.list(maxDNS, "DNS messages", func() error {
				var m Message
				if err := d.into(&m, maxMessageJSON, maxMessageValues); err != nil {
					return err
				}
				f.DNS = append(f.DNS, m)
				return m.check()
			})
		case "sts":
			return d.into(&f.STS, maxPolicyJSON, maxOtherValues)
		case "memory":
			return d.into(&f.Memory, maxOtherJSON, maxOtherValues)
		case "hosts":
			return d.list(maxHosts, "hosts", func() error {
				var h Host
				if err := d.into(&h, maxHostJSON, maxHostValues); err != nil {
					return err
				}
				f.Hosts = append(f.Hosts, h)
				return h.check()
			})
		case "left_out":
			return d.into(&f.LeftOut, maxScalar, 16)
		case "verdict":
			return d.into(&f.Verdict, maxOtherJSON, maxOtherValues)
		}
		return fmt.Errorf("unknown field %.40q", key)
	})
	if err != nil {
		return err
	}
	if f.V != Version {
		return fmt.Errorf("its version is not %d", Version)
	}
	switch _, err := d.token(); err {
	case io.EOF:
		return nil
	case nil:
		return errors.New("something follows the object")
	default:
		return err
	}
}

// read returns the next byte. More than MaxFile bytes are an error.
func (d *decoder) read() (byte, error) {
	c, err := d.r.ReadByte()
	if err != nil {
		if err != io.EOF {
			d.failed = err
		}
		return 0, err
	}
	if d.n++; d.n > MaxFile {
		return 0, fmt.Errorf("larger than %d bytes", MaxFile)
	}
	return c, nil
}

// unread takes the last byte back.
func (d *decoder) unread() {
	d.n--
	_ = d.r.UnreadByte() // one was read
}

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// token returns the next byte that is not blank.
func (d *decoder) token() (byte, error) {
	for {
		c, err := d.read()
		if err != nil || !blank(c) {
			return c, err
		}
	}
}

// want reads the next byte that is not blank, which has to be one of those.
func (d *decoder) want(these string) (byte, error) {
	c, err := d.token()
	if err == nil && bytes.IndexByte([]byte(these), c) < 0 {
		err = fmt.Errorf("%q in place of one of %q", c, these)
	}
	return c, unexpected(err)
}

// unexpected says that a file that ends in the middle is cut off.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// object calls one for each member of an object, with its value to be read next.
func (d *decoder) object(one func(key string) error) error {
	if _, err := d.want("{"); err != nil {
		return err
	}
	return d.members('}', func() error {
		var key string
		if err := d.into(&key, maxScalar, 1); err != nil {
			return err
		}
		if _, err := d.want(":"); err != nil {
			return err
		}
		return one(key)
	})
}

// list calls one for each element of a list of at most so many; null is an empty list.
func (d *decoder) list(most int, what string, one func() error) error {
	c, err := d.want("[n")
	if err != nil {
		return err
	}
	if c == 'n' {
		d.unread()
		var null any
		return d.into(&null, maxScalar, 1)
	}
	n := 0
	return d.members(']', func() error {
		if n++; n > most {
			return fmt.Errorf("more than %d %s", most, what)
		}
		return one()
	})
}

// members calls one at the beginning of each member up to the closing byte.
func (d *decoder) members(end byte, one func() error) error {
	c, err := d.token()
	if err != nil {
		return unexpected(err)
	}
	if c == end {
		return nil
	}
	d.unread()
	for {
		if err := one(); err != nil {
			return unexpected(err)
		}
		c, err := d.want("," + string(end))
		if err != nil || c == end {
			return err
		}
	}
}

// into decodes the next value into v, strictly. A value of more bytes, or of more values
// within it, than given is an error, and is not decoded.
func (d *decoder) into(v any, most, values int) error {
	if err := d.copy(most, values); err != nil {
		return unexpected(err)
	}
	dec := json.NewDecoder(bytes.NewReader(d.part))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return unexpected(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("not JSON")
	}
	return nil
}

// copy copies the next value into d.part without decoding it. What comes out is not
// checked to be JSON: it ends where the brackets do.
func (d *decoder) copy(most, values int) error {
	d.part = d.part[:0]
	c, err := d.token()
	if err != nil {
		return err
	}
	depth, n, inText, escaped := 0, 1, false, false
	for {
		if d.part = append(d.part, c); len(d.part) > most {
			return errLimit
		}
		switch {
		case escaped:
			escaped = false
		case inText && c == '\\':
			escaped = true
		case c == '"':
			inText = !inText
		case inText:
		case c == '[' || c == '{':
			depth++
			n++
		case c == ']' || c == '}':
			depth--
		case c == ',':
			n++
		}
		if n > values {
			return errLimit
		}
		if depth == 0 && !inText && (c == '"' || c == ']' || c == '}') {
			return nil
		}
		if c, err = d.read(); err != nil {
			return err
		}
		if depth == 0 && !inText && (blank(c) || c == ',' || c == ']' || c == '}') {
			d.unread() // after a number or a word
			return nil
		}
	}
}
