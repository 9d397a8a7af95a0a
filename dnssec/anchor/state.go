package anchor

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/dnssec/proof"
)

// stateMark begins the comment in which Unbound keeps a key's state.
const stateMark = ";;state="

// ParseState reads an RFC 5011 state in the form of Unbound's auto-trust-anchor-file:
// DNSKEY records, each with its state in a comment:
//
//	. 172800 IN DNSKEY 257 3 8 AwEAA... ;;state=2 [  VALID  ] ;;count=0 ;;lastchange=1502438004
//
// and comments about the whole file (";;last_success: 1502438004 ..."). A key without
// a state is valid, as Unbound has it. All keys have to be of one zone. Errors wrap
// [ErrAnchor].
func ParseState(r io.Reader) (State, error) {
	b, err := readAll(r)
	if err != nil {
		return State{}, err
	}
	var s State
	sc := bufio.NewScanner(strings.NewReader(string(b)))
	sc.Buffer(nil, maxText+1)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, ";") {
			if v, ok := number(line, ";;last_success:"); ok {
				s.Seen = time.Unix(v, 0).UTC()
			}
			continue
		}
		k, a, err := stateLine(n, line)
		if err != nil {
			return State{}, err
		}
		if len(s.Keys) == 0 {
			s.Zone = a.Zone
		}
		switch {
		case a.Zone != s.Zone:
			return State{}, fmt.Errorf("%w: line %d: keys of two zones", ErrAnchor, n)
		case len(s.Keys) >= maxKeys:
			return State{}, fmt.Errorf("%w: more than %d keys", ErrAnchor, maxKeys)
		}
		s.Keys = append(s.Keys, k)
	}
	if err := sc.Err(); err != nil {
		return State{}, fmt.Errorf("%w: %w", ErrAnchor, err)
	}
	if len(s.Keys) == 0 {
		return State{}, fmt.Errorf("%w: no key in the file", ErrAnchor)
	}
	return s, nil
}

func stateLine(n int, line string) (KeyState, Anchor, error) {
	stmts, err := statements(line)
	if err != nil || len(stmts) != 1 {
		return KeyState{}, Anchor{}, fmt.Errorf("%w: line %d: not one record", ErrAnchor, n)
	}
	stmts[0].line = n
	a, err := stmts[0].anchor()
	if err != nil {
		return KeyState{}, Anchor{}, err
	}
	if a.Key == nil {
		return KeyState{}, Anchor{}, fmt.Errorf("%w: line %d: a state is kept of keys, not of digests", ErrAnchor, n)
	}
	k := KeyState{Key: *a.Key, Status: Valid}
	if v, ok := number(line, stateMark); ok {
		if v < int64(Start) || v > int64(Removed) {
			return KeyState{}, Anchor{}, fmt.Errorf("%w: line %d: no such state: %d", ErrAnchor, n, v)
		}
		k.Status = Status(v)
	} else if strings.Contains(line, stateMark) {
		return KeyState{}, Anchor{}, fmt.Errorf("%w: line %d: a state that is no number", ErrAnchor, n)
	}
	if v, ok := number(line, ";;lastchange="); ok {
		k.Since = time.Unix(v, 0).UTC()
	}
	if k.Key.Revoked() {
		// Unbound keeps a revoked key with its bit; a state has keys as they were before.
		if k.Status == Valid || k.Status == Missing || k.Status == AddPend {
			return KeyState{}, Anchor{}, fmt.Errorf("%w: line %d: a key with the REVOKE bit that is not revoked", ErrAnchor, n)
		}
		k.Key, _ = proof.ParseKey(k.Key.Unrevoked())
	}
	return k, a, nil
}

// number finds the decimal number after a mark.
func number(line, mark string) (int64, bool) {
	_, rest, ok := strings.Cut(line, mark)
	if !ok {
		return 0, false
	}
	rest = strings.TrimLeft(rest, " ")
	end := 0
	for end < len(rest) && '0' <= rest[end] && rest[end] <= '9' {
		end++
	}
	v, err := strconv.ParseInt(rest[:end], 10, 64)
	return v, err == nil
}

// MarshalText prints the state in the form that [ParseState] reads, for the one process that
// keeps it.
func (s State) MarshalText() ([]byte, error) {
	var b strings.Builder
	if !s.Seen.IsZero() {
		fmt.Fprintf(&b, ";;last_success: %d\n", s.Seen.Unix())
	}
	for _, k := range s.Keys {
		fmt.Fprintf(&b, "%s %d IN DNSKEY %d %d %d %s ;;state=%d [ %s ] ;;count=0 ;;lastchange=%d\n",
			s.Zone.FQDN(), int64(k.TTL/time.Second), k.Key.Flags, k.Key.Protocol, k.Key.Algorithm,
			base64.StdEncoding.EncodeToString(k.Key.Data[4:]), uint8(k.Status), k.Status, max(k.Since.Unix(), 0))
	}
	return []byte(b.String()), nil
}
