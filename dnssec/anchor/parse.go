package anchor

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/mxauth/mxauth/dnssec/proof"
	"github.com/mxauth/mxauth/rfc6125"
)

// Limits of what is read.
const (
	maxText    = 1 << 20 // octets of an anchor file; IANA's has some hundred
	maxAnchors = 1000
)

// Load reads the trust anchors of a file, see [Parse]. It opens nothing but files: a caller that
// fetches anchors has to do it by HTTPS and to look at them (RFC 7958 section 4), so a
// name that is a URL is an error. Errors wrap [ErrAnchor].
func Load(file string) ([]Anchor, error) {
	if strings.Contains(file, "://") {
		return nil, fmt.Errorf("%w: %.80q is no file: fetch it by HTTPS, check it, and give the file", ErrAnchor, file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnchor, err)
	}
	defer f.Close()
	a, err := Parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return a, nil
}

// Parse reads trust anchors in any of these forms:
//
//   - DS and DNSKEY records, one a line, in master-file form, as dig, Unbound's
//     trust-anchor-file and many others have them. TTL and class may be missing,
//     parentheses may span lines, a comment begins with ";", "//" or "#".
//   - Unbound's auto-trust-anchor-file: such records with the state of RFC 5011 in a
//     comment. Only keys that are valid, or missing for a while, count (see [State]).
//   - BIND's statements trust-anchors, trusted-keys and managed-keys.
//   - IANA's root-anchors.xml (RFC 9718).
//
// A class other than IN is an error, and so is a record of another type. A file without
// an anchor is an error. Errors wrap [ErrAnchor] and name the line where there is one.
func Parse(r io.Reader) ([]Anchor, error) {
	b, err := readAll(r)
	if err != nil {
		return nil, err
	}
	switch text := strings.TrimSpace(string(b)); {
	case strings.HasPrefix(text, "<"):
		return parseXML(b)
	case strings.Contains(text, stateMark):
		s, err := ParseState(strings.NewReader(text))
		if err != nil {
			return nil, err
		}
		if a := s.Anchors(); len(a) > 0 {
			return a, nil
		}
		return nil, fmt.Errorf("%w: no key in the file is valid", ErrAnchor)
	}
	stmts, err := statements(string(b))
	if err != nil {
		return nil, err
	}
	var out []Anchor
	for _, s := range stmts {
		a, err := s.anchor()
		if err != nil {
			return nil, err
		}
		if out = append(out, a); len(out) > maxAnchors {
			return nil, fmt.Errorf("%w: more than %d anchors", ErrAnchor, maxAnchors)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no anchor in the file", ErrAnchor)
	}
	return out, nil
}

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnchor, err)
	}
	if len(b) > maxText {
		return nil, fmt.Errorf("%w: more than %d octets", ErrAnchor, maxText)
	}
	return b, nil
}

// A statement is the words of one anchor.
type statement struct {
	line  int
	words []string
	bind  bool
}

func (s statement) errorf(format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrAnchor, s.line, fmt.Sprintf(format, args...))
}

// statements cuts text into the words of each anchor.
func statements(text string) ([]statement, error) {
	var out []statement
	var cur statement
	depth, bind := 0, false // parentheses; within the braces of a BIND statement
	sc := bufio.NewScanner(strings.NewReader(text))
	sc.Buffer(nil, maxText+1)
	for n := 1; sc.Scan(); n++ {
		for _, w := range words(sc.Text(), bind) {
			switch {
			case bind && w == "}":
				bind = false
			case bind && w == ";":
				if len(cur.words) > 0 {
					cur.bind = true
					out = append(out, cur)
				}
				cur = statement{}
			case w == ";":
				// after a closing brace
			case w == "(":
				depth++
			case w == ")":
				if depth--; depth < 0 {
					return nil, fmt.Errorf("%w: line %d: a parenthesis too many", ErrAnchor, n)
				}
			case w == "{":
				if len(cur.words) != 1 || !isBIND(cur.words[0]) {
					return nil, fmt.Errorf("%w: line %d: a brace that belongs to no list of anchors", ErrAnchor, n)
				}
				bind, cur = true, statement{}
			default:
				if len(cur.words) == 0 {
					cur.line = n
				}
				cur.words = append(cur.words, w)
			}
		}
		if !bind && depth == 0 && len(cur.words) > 0 && !(len(cur.words) == 1 && isBIND(cur.words[0])) {
			out = append(out, cur)
			cur = statement{}
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnchor, err)
	}
	if bind || depth > 0 || len(cur.words) > 0 {
		return nil, fmt.Errorf("%w: the file ends in the middle of an anchor", ErrAnchor)
	}
	return out, nil
}

func isBIND(w string) bool { return w == "trust-anchors" || w == "trusted-keys" || w == "managed-keys" }

// words cuts a line: at blanks, with quotes taken off, punctuation as words of its
// own, comments left out. In BIND's form ";" ends a statement instead of beginning a
// comment.
func words(line string, bind bool) []string {
	var out []string
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '#' || strings.HasPrefix(line[i:], "//"):
			return out
		case c == ';':
			if !bind && !(len(out) > 0 && out[len(out)-1] == "}") {
				return out
			}
			out = append(out, ";")
			i++
		case strings.IndexByte("(){}", c) >= 0:
			out = append(out, line[i:i+1])
			if c == '{' {
				bind = true
			} else if c == '}' {
				bind = false
			}
			i++
		case c == '"':
			end := strings.IndexByte(line[i+1:], '"')
			if end < 0 {
				end = len(line) - i - 1
			}
			out = append(out, line[i+1:i+1+end])
			i += min(end+2, len(line)-i)
		default:
			end := strings.IndexAny(line[i:], " \t\r;(){}\"")
			if end < 0 {
				end = len(line) - i
			}
			out = append(out, line[i:i+end])
			i += end
		}
	}
	return out
}

// anchor reads the words of one anchor.
func (s statement) anchor() (Anchor, error) {
	zone, err := rfc6125.ParseName(s.words[0])
	if err != nil {
		return Anchor{}, s.errorf("%v", err)
	}
	w := s.words[1:]
	if s.bind {
		return s.bindAnchor(zone, w)
	}
	for len(w) > 0 {
		if _, err := strconv.ParseUint(w[0], 10, 32); err == nil || strings.EqualFold(w[0], "IN") {
			w = w[1:]
			continue
		}
		break
	}
	if len(w) == 0 {
		return Anchor{}, s.errorf("no record type")
	}
	switch strings.ToUpper(w[0]) {
	case "DS":
		return s.ds(zone, w[1:])
	case "DNSKEY":
		return s.key(zone, w[1:])
	}
	return Anchor{}, s.errorf("%.20q is neither DS nor DNSKEY", w[0])
}

// bindAnchor reads `[static-key|initial-key|static-ds|initial-ds] numbers "text"`.
func (s statement) bindAnchor(zone rfc6125.Name, w []string) (Anchor, error) {
	if len(w) > 0 {
		switch w[0] {
		case "static-ds", "initial-ds":
			return s.ds(zone, w[1:])
		case "static-key", "initial-key":
			w = w[1:]
		}
	}
	return s.key(zone, w)
}

// ds reads "tag algorithm digest-type hex...".
func (s statement) ds(zone rfc6125.Name, w []string) (Anchor, error) {
	if len(w) < 4 {
		return Anchor{}, s.errorf("DS with too few fields")
	}
	tag, err1 := strconv.ParseUint(w[0], 10, 16)
	alg, err2 := algorithmNumber(w[1])
	dig, err3 := digestNumber(w[2])
	hash, err4 := hex.DecodeString(unbroken(w[3:]))
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || len(hash) == 0 {
		return Anchor{}, s.errorf("DS with a field that cannot be read")
	}
	return Anchor{Zone: zone, DS: &proof.DS{KeyTag: uint16(tag), Algorithm: alg, Digest: dig, Hash: hash}}, nil
}

// key reads "flags protocol algorithm base64...".
func (s statement) key(zone rfc6125.Name, w []string) (Anchor, error) {
	if len(w) < 4 {
		return Anchor{}, s.errorf("DNSKEY with too few fields")
	}
	flags, err1 := strconv.ParseUint(w[0], 10, 16)
	proto, err2 := strconv.ParseUint(w[1], 10, 8)
	alg, err3 := algorithmNumber(w[2])
	pub, err4 := base64.StdEncoding.DecodeString(unbroken(w[3:]))
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || len(pub) == 0 {
		return Anchor{}, s.errorf("DNSKEY with a field that cannot be read")
	}
	data := append([]byte{byte(flags >> 8), byte(flags), byte(proto), alg}, pub...)
	k, _ := proof.ParseKey(data)
	return Anchor{Zone: zone, Key: &k}, nil
}

// unbroken joins words, and what blanks part within a quoted one.
func unbroken(w []string) string { return strings.Join(strings.Fields(strings.Join(w, " ")), "") }

// algorithmNumber reads a number, or a mnemonic of RFC 4034 appendix A.1 and later.
func algorithmNumber(w string) (uint8, error) {
	switch strings.ToUpper(w) {
	case "RSAMD5":
		return 1, nil
	case "DSA":
		return 3, nil
	case "RSASHA1":
		return proof.RSASHA1, nil
	case "DSA-NSEC3-SHA1":
		return 6, nil
	case "RSASHA1-NSEC3-SHA1", "NSEC3RSASHA1":
		return proof.RSASHA1NSEC3SHA1, nil
	case "RSASHA256":
		return proof.RSASHA256, nil
	case "RSASHA512":
		return proof.RSASHA512, nil
	case "ECDSAP256SHA256":
		return proof.ECDSAP256SHA256, nil
	case "ECDSAP384SHA384":
		return proof.ECDSAP384SHA384, nil
	case "ED25519":
		return proof.ED25519, nil
	}
	n, err := strconv.ParseUint(w, 10, 8)
	return uint8(n), err
}

func digestNumber(w string) (uint8, error) {
	switch strings.ToUpper(w) {
	case "SHA1", "SHA-1":
		return proof.SHA1, nil
	case "SHA256", "SHA-256":
		return proof.SHA256, nil
	case "SHA384", "SHA-384":
		return proof.SHA384, nil
	}
	n, err := strconv.ParseUint(w, 10, 8)
	return uint8(n), err
}
