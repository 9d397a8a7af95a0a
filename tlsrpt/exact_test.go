package tlsrpt_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/tlsrpt"
)

// Bounds to the octet, and what is said when they are met.

func TestNoRecordIsNotSeveral(t *testing.T) {
	for _, txt := range [][]string{nil, {"v=spf1"}} {
		if _, err := tlsrpt.SelectRecord(txt); errors.Is(err, tlsrpt.ErrSeveral) || !errors.Is(err, tlsrpt.ErrNoRecord) {
			t.Errorf("%q: %v", txt, err)
		}
	}
	const good = "v=TLSRPTv1; rua=mailto:a@example.org"
	if _, err := tlsrpt.SelectRecord([]string{good, good}); !errors.Is(err, tlsrpt.ErrSeveral) {
		t.Errorf("two: %v", err)
	}
}

// TestNothingIsAskedForANameThatCanNotBe: a domain without room for the labels in front.
func TestNothingIsAskedForANameThatCanNotBe(t *testing.T) {
	label := strings.Repeat("a", 61)
	longest := label + "." + label + "." + label + "."
	for rest, ok := range map[int]bool{253 - 11 - len(longest): true, 253 - 10 - len(longest): false, 253 - 5 - len(longest): false, 253 - 4 - len(longest): false} {
		r := &one{}
		_, err := tlsrpt.Lookup(t.Context(), r, host(t, longest+strings.Repeat("b", rest)))
		if !errors.Is(err, tlsrpt.ErrNoRecord) || len(r.asked) == 1 != ok {
			t.Errorf("%d octets: asked %v, %v", len(longest)+rest, r.asked, err)
		}
	}
}

func TestSyntaxErrorText(t *testing.T) {
	_, err := tlsrpt.ParseRecord("v=TLSRPTv1; rua=" + strings.Repeat("x:,", 16) + "x:")
	if err == nil || err.Error() != "tlsrpt: malformed record: more than 16 report destinations" {
		t.Errorf("got %v", err)
	}
	for _, n := range []int{79, 80, 81, 4000} {
		_, err := tlsrpt.ParseRecord("v=TLSRPTv1; " + strings.Repeat("x", n))
		var se *tlsrpt.SyntaxError
		if !errors.As(err, &se) || len(se.Text) != min(n, 80) || !strings.Contains(err.Error(), `"`+se.Text+`"`) {
			t.Errorf("%d octets: %v", n, err)
		}
	}
}

// TestDatagramLimit: one of 65,000 octets goes out whole, a longer one not at all.
func TestDatagramLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c, err := tlsrpt.NewClient(tlsrpt.ClientConfig{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := session()
	b, err := tlsrpt.Datagram(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Record += strings.Repeat("x", 65000-len(b))
	if err := c.Send(s); err != nil {
		t.Fatalf("65,000 octets: %v", err)
	}
	buf := make([]byte, 1<<17)
	if n, err := l.Read(buf); n != 65000 || err != nil {
		t.Errorf("%d octets came, %v", n, err)
	}
	s.Record += "x"
	if err := c.Send(s); !errors.Is(err, tlsrpt.ErrDropped) || !strings.Contains(err.Error(), "65001 octets, at most 65000") {
		t.Errorf("65,001 octets: %v", err)
	}
	// What can not be reported is a mistake of the caller, and neither sent nor dropped.
	if err := c.Send(tlsrpt.Session{}); !errors.Is(err, tlsrpt.ErrSession) || errors.Is(err, tlsrpt.ErrDropped) {
		t.Errorf("an empty session: %v", err)
	}
	if sent, dropped := c.Stats(); sent != 1 || dropped != 1 {
		t.Errorf("sent %d, dropped %d", sent, dropped)
	}
}

// TestReportLimit: the limit is on what is read, compressed or not.
func TestReportLimit(t *testing.T) {
	b, err := report().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	fits := append(b, bytes.Repeat([]byte(" "), tlsrpt.MaxReport-len(b))...)
	over := append(bytes.Clone(fits), ' ')
	zip := func(b []byte) []byte {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		if _, err := z.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	for name, c := range map[string]struct {
		b  []byte
		ok bool
	}{"fits": {fits, true}, "fits, compressed": {zip(fits), true}, "over": {over, false}, "over, compressed": {zip(over), false}} {
		_, err := tlsrpt.ParseReport(c.b)
		if (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "larger than 16777216 octets") {
			t.Errorf("%s: %v", name, err)
		}
	}
	z := zip(b)
	for _, cut := range []int{1, 4, 8, 12} {
		if _, err := tlsrpt.ParseReport(z[:len(z)-cut]); !errors.Is(err, tlsrpt.ErrReport) {
			t.Errorf("a compressed report without its last %d octets: %v", cut, err)
		}
	}
}

// TestFileNameCharacters: at the ends of what the grammar lets into the id.
func TestFileNameCharacters(t *testing.T) {
	r := report()
	r.ID = "09AZaz-./:@[`{_!\u00e9"
	if got := r.FileName("a", "b", false); !strings.HasSuffix(got, "!09AZaz-.---------.json") {
		t.Errorf("%q", got)
	}
}

// TestNamesAreASCII: to the last character of it.
func TestNamesAreASCII(t *testing.T) {
	for name, ok := range map[string]bool{"a~b.example": true, "a\x7fb.example": false, "a\x80b.example": false} {
		s := session()
		s.Domain = name
		if _, err := tlsrpt.Datagram(s); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
