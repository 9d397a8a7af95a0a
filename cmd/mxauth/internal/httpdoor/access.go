package httpdoor

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
)

// Limits of a file of tokens.
const (
	// minToken is the length of the shortest token in bytes: what cannot be guessed has 128
	// bits, which are 32 hexadecimal digits.
	minToken = 32
	// maxToken and maxTokens bound what one request costs to compare.
	maxToken  = 512
	maxTokens = 16
	// maxTokenFile bounds the file in bytes.
	maxTokenFile = 64 << 10
)

// Access holds the bearer tokens (RFC 6750) of a file, one a line, of which a request must
// have one. Empty lines and lines that begin with "#" do not count. It may be used by many
// goroutines at once.
type Access struct {
	file   string
	hashes atomic.Pointer[[][sha256.Size]byte]
}

// OpenAccess reads a file of tokens. It fails if the file has no token, a token that is too
// short or has other characters than RFC 6750 section 2.1 allows.
func OpenAccess(file string) (*Access, error) {
	a := &Access{file: file}
	return a, a.Reload()
}

// Reload reads the file again. After an error the tokens are those of before.
func (a *Access) Reload() error {
	text, err := readFile(a.file, maxTokenFile)
	if err != nil {
		return err
	}
	hashes, err := parseTokens(text)
	if err != nil {
		return fmt.Errorf("%s: %w", a.file, err)
	}
	a.hashes.Store(&hashes)
	return nil
}

// readFile reads a file of at most so many bytes.
func readFile(name string, most int) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err == nil && len(b) > most {
		err = fmt.Errorf("%s: larger than %d bytes", name, most)
	}
	return b, err
}

// parseTokens returns the digests of the tokens of a text.
func parseTokens(text []byte) ([][sha256.Size]byte, error) {
	var out [][sha256.Size]byte
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		switch {
		case len(line) < minToken:
			return nil, fmt.Errorf("line %d: a token has at least %d characters; make one by: openssl rand -hex 32", n, minToken)
		case len(line) > maxToken:
			return nil, fmt.Errorf("line %d: a token has at most %d characters", n, maxToken)
		case !isToken(string(line)):
			return nil, fmt.Errorf("line %d: a token has letters, digits and -._~+/ only; make one by: openssl rand -hex 32", n)
		case len(out) == maxTokens:
			return nil, fmt.Errorf("line %d: more than %d tokens", n, maxTokens)
		}
		out = append(out, sha256.Sum256(line))
	}
	if len(out) == 0 {
		return nil, errors.New("there is no token in it; make one by: openssl rand -hex 32")
	}
	return out, nil
}

// isToken reports whether s is a b64token of RFC 6750 section 2.1.
func isToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return s != ""
}

// admits reports whether a request has one of the tokens. The time that it takes depends on
// the length of what was sent alone: the digests are compared, all of them, in constant time.
func (a *Access) admits(h http.Header) bool {
	values := h["Authorization"]
	if len(values) != 1 {
		return false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(token) > maxToken {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	found := 0
	for _, hash := range *a.hashes.Load() {
		found |= subtle.ConstantTimeCompare(sum[:], hash[:])
	}
	return found == 1
}
