package tlsrpt_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mxauth/mxauth/tlsrpt"
)

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
	// What cannot be reported is a mistake of the caller, and neither sent nor dropped.
	if err := c.Send(tlsrpt.Session{}); !errors.Is(err, tlsrpt.ErrSession) || errors.Is(err, tlsrpt.ErrDropped) {
		t.Errorf("an empty session: %v", err)
	}
	if sent, dropped := c.Stats(); sent != 1 || dropped != 1 {
		t.Errorf("sent %d, dropped %d", sent, dropped)
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

// TestClientKeepsItsConnection: the path is looked for once, not for every datagram.
func TestClientKeepsItsConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := tlsrpt.NewClient(tlsrpt.ClientConfig{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(session()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(session()); err != nil {
		t.Errorf("the second datagram: %v", err)
	}
}
