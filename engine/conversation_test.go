package engine_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/certtest"
)

var noAddress netip.AddrPort

// TestNoKey is an active attacker who shows the certificate of the real host, which is
// public, and has no key: the handshake fails at the signature, after the certificate
// was looked at.
func TestNoKey(t *testing.T) {
	pki := sharedPKI()
	for name, make := range map[string]func(*world){
		"dane":     func(w *world) { w.signed().tlsa(tlsaOf(3, 1, pki.good.Cert)) },
		"dane-ta":  func(w *world) { w.signed().tlsa(tlsaOf(2, 0, pki.ca.Cert)) },
		"mta-sts":  func(w *world) { w.unsigned().policy("enforce", "mx.example.org") },
		"half":     func(w *world) { w.unsigned().tlsa(tlsaOf(3, 1, pki.good.Cert)) },
		"nothing":  func(w *world) { w.unsigned() },
		"unusable": func(w *world) { w.signed().tlsa("1" + noMatch[1:]) },
	} {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+", "+tls.VersionName(v), func(t *testing.T) {
				w := newWorld(t)
				make(w)
				server := serverConfig(&certtest.Pair{Cert: pki.good.Cert, Key: pki.self.Key}, pki.ca)
				server.MaxVersion = v
				a := w.engine().Attempt(w.plan(engine.Request{}), 0, noAddress)
				_, state, err := shake(t, a.TLSConfig(), server)
				if err == nil || errors.Is(err, engine.ErrRefused) {
					t.Fatalf("the handshake: %v", err)
				}
				// The call that says so is forgotten.
				if d := a.Decision(false); d.Deliver || d.Outcome != engine.Deferred || d.Method != "" || d.RetryClear || d.Reason.ID != reason.Unconfirmed {
					t.Errorf("not reported: %s %s, deliver %v", d.Outcome, d.Reason.ID, d.Deliver)
				}
				// It is made in one of the ways that there are.
				for how, say := range map[string]func(){
					"Done":                  func() { a.Done(state, err) },
					"Done without a state":  func() { a.Done(tls.ConnectionState{}, err) },
					"Done, the error lost":  func() { a.Done(state, errors.New("smtp: something failed")) },
					"Done, no error at all": func() { a.Done(state, nil) },
					"HandshakeFailed":       func() { a.Failed(engine.HandshakeFailed, err) },
					"NoConnection":          func() { a.Failed(engine.NoConnection, errors.New("smtp: something failed")) },
					"HandshakeDone":         func() { a.Failed(engine.HandshakeDone, nil) },
				} {
					say()
					d := a.Decision(true)
					want := engine.Refused
					if name == "nothing" {
						want = engine.Cleartext
					}
					if d.Outcome != want || d.Event != engine.HandshakeFailed || !d.DropConnection || d.RetryClear != d.Deliver || d.Method != "" || d.SendRequireTLS {
						t.Errorf("%s: %s, event %s, drop %v, retry %v", how, d.Outcome, d.Event, d.DropConnection, d.RetryClear)
					}
				}
			})
		}
	}
}

// TestRefusedStaysRefused: whatever is reported of a handshake that TLSConfig ended, and
// though the certificate counts by the time of the decision.
func TestRefusedStaysRefused(t *testing.T) {
	pki := sharedPKI()
	w := newWorld(t).unsigned().policy("enforce", "mx.example.org")
	p := w.plan(engine.Request{})
	a := w.engine().Attempt(p, 0, noAddress)
	_, state, err := shake(t, a.TLSConfig(), serverConfig(pki.early, pki.ca))
	if !errors.Is(err, engine.ErrRefused) {
		t.Fatal(err)
	}
	for _, say := range []func(){
		func() { a.Done(state, err) }, func() { a.Done(state, errors.New("hidden")) }, func() { a.Done(state, nil) },
		func() { a.Failed(engine.NoConnection, nil) }, func() { a.Failed(engine.HandshakeFailed, errors.New("hidden")) },
	} {
		say()
		if d := a.Decision(false); d.Outcome != engine.Refused || d.Event != engine.HandshakeDone || len(d.Presented) == 0 {
			t.Errorf("%s, event %s: %s", d.Outcome, d.Event, explain.Text(d.Reason))
		}
	}
	w.now = pki.early.Cert.NotBefore.AddDate(0, 1, 0)
	p.ValidUntil = w.now.AddDate(1, 0, 0)
	if d := a.Decision(false); d.Deliver {
		t.Errorf("%s: %s", d.Outcome, explain.Text(d.Reason))
	}
}

// A talk is what a server and a client say in turn on a watched connection: ">" before
// what the client writes, "<" before what it reads, in one piece each.
func talk(t *testing.T, c *engine.Conversation, lines ...string) {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	conn := c.Watch(client)
	for _, l := range lines {
		text := strings.ReplaceAll(l[1:], "|", "\r\n") + "\r\n"
		if l[0] == '!' { // raw octets
			text = l[1:]
		}
		if l[0] == '>' {
			go io.ReadFull(server, make([]byte, len(text)))
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			continue
		}
		go io.WriteString(server, text)
		buf := make([]byte, len(text))
		if _, err := io.ReadFull(conn, buf); err != nil && !errors.Is(err, engine.ErrInjected) {
			t.Fatal(err)
		}
	}
}

const (
	greets  = "<220 mx.example.org ESMTP"
	ehlo    = ">EHLO out.sender.example"
	helo    = ">HELO out.sender.example"
	offers  = "<250-mx.example.org|250-STARTTLS|250 HELP"
	startTL = ">STARTTLS"
	goAhead = "<220 go ahead"
	clientH = ">\x16\x03\x01"
)

func complete(v uint16) tls.ConnectionState {
	return tls.ConnectionState{HandshakeComplete: true, Version: v, PeerCertificates: shows(sharedPKI().good).Chain}
}

// TestConversation: what each course of a watched connection is.
func TestConversation(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	alert := &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}
	timeout := fmt.Errorf("smtp: %w", os.ErrDeadlineExceeded)
	none := tls.ConnectionState{}
	said := func(lines ...string) []string { return lines }
	inTLS := said(greets, ehlo, offers, startTL, goAhead, clientH, "!\x16\x03\x03")
	for _, c := range []struct {
		name   string
		said   []string
		state  tls.ConnectionState
		err    error
		want   engine.Event
		code   int
		detail string
	}{
		{"nothing", nil, none, io.EOF, engine.NoConnection, 0, "no greeting: the server closed the connection"},
		{"nothing in time", nil, none, timeout, engine.NoConnection, 0, "no greeting: timeout"},
		{"cancelled", nil, none, context.Canceled, engine.NoConnection, 0, "no greeting: cancelled"},
		{"greeting of 554", said("<554 mx.example.org not from you"), none, errors.New("554"), engine.NoConnection, 554, "greeted with 554 mx.example.org not from you"},
		{"greeting of 450", said("<450 4.3.2 later"), none, errors.New("450"), engine.NoConnection, 450, "greeted with 450 4.3.2 later"},
		{"greeting of several lines", said("<554-one|554 two"), none, nil, engine.NoConnection, 554, "greeted with 554 one"},
		{"greeting that is none", said("<hello"), none, errors.New("short"), engine.NoConnection, 0, "no greeting: not an SMTP reply"},
		{"closed at EHLO", said(greets, ehlo), none, io.EOF, engine.NoConnection, 0, "no answer to EHLO: the server closed"},
		{"closed before EHLO", said(greets), none, io.EOF, engine.NoConnection, 0, "no answer to EHLO: the server closed"},
		{"EHLO 421", said(greets, ehlo, "<421 busy"), none, errors.New("421"), engine.NoConnection, 421, "EHLO was answered with 421 busy"},
		{"EHLO 450, HELO 250", said(greets, ehlo, "<450 later", helo, "<250 hello"), none, nil, engine.NoConnection, 450, "EHLO was answered with 450 later"},
		{"EHLO 451", said(greets, ehlo, "<451 later"), none, nil, engine.NoConnection, 451, "451 later"},
		{"EHLO 452 of two lines", said(greets, ehlo, "<452-4.3.1 no|452 space"), none, nil, engine.NoConnection, 452, "452 4.3.1 no"},
		{"EHLO 501", said(greets, ehlo, "<501 bad name"), none, nil, engine.NoConnection, 501, "501 bad name"},
		{"EHLO 503", said(greets, ehlo, "<503 sequence"), none, nil, engine.NoConnection, 503, "503 sequence"},
		{"EHLO 504", said(greets, ehlo, "<504 full name"), none, nil, engine.NoConnection, 504, "504 full name"},
		{"EHLO 530", said(greets, ehlo, "<530 no"), none, nil, engine.NoConnection, 530, "530 no"},
		{"EHLO 550", said(greets, ehlo, "<550 no"), none, nil, engine.NoConnection, 550, "550 no"},
		{"EHLO 554", said(greets, ehlo, "<554 no"), none, nil, engine.NoConnection, 554, "554 no"},
		{"EHLO 220", said(greets, ehlo, "<220 again"), none, nil, engine.NoConnection, 220, "220 again"},
		{"EHLO 354", said(greets, ehlo, "<354 go"), none, nil, engine.NoConnection, 354, "354 go"},
		{"EHLO 500", said(greets, ehlo, "<500 what"), none, nil, engine.NoSTARTTLS, 500, "EHLO was answered with 500 what"},
		{"EHLO 502, HELO 250", said(greets, ehlo, "<502 what", helo, "<250 hello"), none, nil, engine.NoSTARTTLS, 502, "502 what"},
		{"EHLO 502, HELO 450", said(greets, ehlo, "<502 what", helo, "<450 later"), none, nil, engine.NoConnection, 450, "HELO was answered with 450 later"},
		{"HELO alone", said(greets, helo, "<250 hello"), none, nil, engine.NoSTARTTLS, 250, ""},
		{"EHLO twice, the second time with a name it likes", said(greets, ">EHLO x", "<504 full name", ehlo, "<250 hello"), none, nil, engine.NoSTARTTLS, 250, ""},
		{"no STARTTLS", said(greets, ehlo, "<250-mx|250 HELP"), none, nil, engine.NoSTARTTLS, 250, ""},
		{"the name is no extension", said(greets, ehlo, "<250-STARTTLS|250 HELP"), none, nil, engine.NoSTARTTLS, 250, ""},
		{"no STARTTLS, QUIT", said(greets, ehlo, "<250-mx|250 HELP", ">QUIT", "<221 bye"), none, nil, engine.NoSTARTTLS, 250, ""},
		{"STARTTLS with a tab is not used", said(greets, ehlo, "<250-mx|250-STARTTLS\t|250 HELP"), none, errors.New("smtp: server doesn't support STARTTLS"), engine.NoConnection, 0, "STARTTLS was offered and not used: smtp"},
		{"EHLO with lines of different codes", said(greets, ehlo, "<250-a|550 b"), none, nil, engine.NoConnection, 0, "different codes"},
		{"421 while nothing was asked", said(greets, ehlo, offers, "<421 4.4.2 idle"), none, io.EOF, engine.NoConnection, 421, "the server said 421 4.4.2 idle"},
		{"STARTTLS 421", said(greets, ehlo, offers, startTL, "<421 4.3.2 too busy"), none, errors.New("421"), engine.NoConnection, 421, "STARTTLS was answered with 421 4.3.2 too busy"},
		{"STARTTLS 454", said(greets, ehlo, offers, startTL, "<454 4.7.0 not available"), none, errors.New("454"), engine.STARTTLSRefused, 454, "454 4.7.0 not available"},
		{"STARTTLS 501", said(greets, ehlo, offers, startTL, "<501 no"), none, errors.New("501"), engine.STARTTLSRefused, 501, "501 no"},
		{"STARTTLS 250", said(greets, ehlo, offers, startTL, "<250 no"), none, errors.New("250"), engine.STARTTLSRefused, 250, "250 no"},
		{"starttls in small letters", said(greets, ">ehlo x", "<250-mx|250 starttls now", ">starttls", "<454 no"), none, errors.New("454"), engine.STARTTLSRefused, 454, "454 no"},
		{"junk to STARTTLS", said(greets, ehlo, offers, startTL, "<xyz"), none, errors.New("short"), engine.STARTTLSRefused, 0, "STARTTLS was answered with not an SMTP reply"},
		{"closed at STARTTLS", said(greets, ehlo, offers, startTL), none, io.EOF, engine.HandshakeFailed, 0, "no answer to STARTTLS: the server closed"},
		{"plaintext in the packet of the reply", said(greets, ehlo, offers, startTL, goAhead+"|250 evil"), none, engine.ErrInjected, engine.STARTTLSRefused, 220, "unencrypted data after"},
		{"the same, and the library does not say so", said(greets, ehlo, offers, startTL, goAhead+"|250 evil"), none, errors.New("smtp: failed"), engine.STARTTLSRefused, 220, "unencrypted data after"},
		{"plaintext before the handshake", said(greets, ehlo, offers, startTL, goAhead, "<250 evil"), none, nil, engine.STARTTLSRefused, 220, "unencrypted data after"},
		{"plaintext in place of the handshake", said(greets, ehlo, offers, startTL, goAhead, clientH, "<250 evil"), none, errors.New("tls"), engine.STARTTLSRefused, 220, "unencrypted data after"},
		{"plaintext, and a handshake all the same", said(greets, ehlo, offers, startTL, goAhead+"|250 evil"), complete(tls.VersionTLS13), nil, engine.STARTTLSRefused, 220, "unencrypted data after"},
		{"no handshake after the reply", said(greets, ehlo, offers, startTL, goAhead), none, errors.New("tls: no"), engine.HandshakeFailed, 0, "tls: no"},
		{"the handshake fails", inTLS, none, errors.New("tls: no"), engine.HandshakeFailed, 0, "tls: no"},
		{"the handshake fails, and the library says nothing", inTLS, none, nil, engine.HandshakeFailed, 0, "ended before TLS"},
		{"the handshake hangs", inTLS, none, timeout, engine.HandshakeFailed, 0, "timeout"},
		{"TLS 1.3", inTLS, complete(tls.VersionTLS13), nil, engine.HandshakeDone, 0, ""},
		{"TLS 1.2", inTLS, complete(tls.VersionTLS12), nil, engine.HandshakeDone, 0, ""},
		{"EHLO inside 550", inTLS, complete(tls.VersionTLS13), &textproto.Error{Code: 550, Msg: "no"}, engine.NoConnection, 550, "EHLO inside TLS was answered with 550 no"},
		{"EHLO inside 450, the state lost", inTLS, none, &textproto.Error{Code: 450, Msg: "no"}, engine.NoConnection, 450, "EHLO inside TLS was answered with 450 no"},
		{"EHLO inside 502", inTLS, complete(tls.VersionTLS13), &textproto.Error{Code: 502, Msg: "no"}, engine.HandshakeDone, 0, ""},
		{"an error of the library's own inside", inTLS, complete(tls.VersionTLS13), errors.New("SMTP error 450: no"), engine.NoConnection, 0, "no answer to EHLO inside TLS: SMTP error 450: no"},
		{"EHLO inside hangs", inTLS, complete(tls.VersionTLS13), timeout, engine.NoConnection, 0, "no answer to EHLO inside TLS: timeout"},
		{"an alert with the first reply", inTLS, complete(tls.VersionTLS13), alert, engine.HandshakeFailed, 0, "certificate required"},
		{"a reset that overtakes it", inTLS, complete(tls.VersionTLS13), reset, engine.HandshakeFailed, 0, "reset"},
		{"an end in its place", inTLS, complete(tls.VersionTLS13), io.EOF, engine.HandshakeFailed, 0, "the server closed the connection"},
		{"a reset with TLS 1.2, where the server has agreed", inTLS, complete(tls.VersionTLS12), reset, engine.NoConnection, 0, "no answer to EHLO inside TLS"},
		{"a resumed session of somebody else's", inTLS, tls.ConnectionState{HandshakeComplete: true, DidResume: true, Version: tls.VersionTLS13}, nil, engine.HandshakeFailed, 0, "resumed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var conv engine.Conversation
			talk(t, &conv, c.said...)
			conv.Done(c.state, c.err)
			p := conv.Peer()
			if p.Event != c.want || p.Code != c.code || !strings.Contains(p.Detail, c.detail) || (p.Detail == "") != (c.detail == "") {
				t.Errorf("%s, code %d, %q; want %s, %d, %q", p.Event, p.Code, p.Detail, c.want, c.code, c.detail)
			}
			if (len(p.Chain) > 0) != (c.want == engine.HandshakeDone) {
				t.Errorf("%d certificates", len(p.Chain))
			}
			// A session has no ending, whatever was said inside it.
			for err, ending := range map[error]engine.Ending{io.EOF: engine.EndedClosed, timeout: engine.EndedTimeout, context.Canceled: engine.EndedCancelled} {
				if c.err == err && p.Ending != ending {
					t.Errorf("ended by %q, want %q", p.Ending, ending)
				}
			}
			if c.want == engine.HandshakeDone && p.Ending != engine.EndedOtherwise {
				t.Errorf("a session that ended by %q", p.Ending)
			}
			// What the words of the detail say is in the fields.
			awaited := reason.AwaitedNothing
			for begin, a := range map[string]reason.Awaited{"no greeting: ": reason.AwaitedGreeting, "no answer to EHLO: ": reason.AwaitedEHLO,
				"no answer to STARTTLS: ": reason.AwaitedSTARTTLS, "no answer to EHLO inside TLS: ": reason.AwaitedEHLOInside} {
				if strings.HasPrefix(p.Detail, begin) {
					awaited = a
				}
			}
			if _, junk, _ := strings.Cut(p.Detail, "not an SMTP reply: "); p.Awaited != awaited || p.Junk != junk {
				t.Errorf("awaited %q, junk %q of %q", p.Awaited, p.Junk, p.Detail)
			}
			if junk := c.name == "junk to STARTTLS"; p.Injected != (strings.HasPrefix(c.detail, "unencrypted data") || junk) {
				t.Errorf("injected %v", p.Injected)
			}
			// What was seen on the connection counts for more than the caller's word.
			conv.Failed(engine.NoSTARTTLS, c.err)
			if p := conv.Peer(); p.Event == engine.HandshakeDone || p.Event == engine.NoSTARTTLS && c.want != engine.NoSTARTTLS {
				t.Errorf("said to be without STARTTLS, it is %s", p.Event)
			}
		})
	}
}

// TestWatch: what passes is not changed, and parsing ends where mail begins.
func TestWatch(t *testing.T) {
	for _, c := range [][]string{
		{greets, ehlo, "<250-mx|250 HELP", ">MAIL FROM:<a@b>", "<250 ok", ">DATA", "<354 go", ">STARTTLS", ">.", "<250 taken"},
		{greets, ">NOOP", "<250 ok", ehlo, "<250-mx|250 HELP"},
		{greets, ">" + strings.Repeat("x", 5000), "<500 what"},
		{greets, ehlo + strings.Repeat("x", 5000), "<250-mx|250 HELP"},
	} {
		var conv engine.Conversation
		talk(t, &conv, c...)
		conv.Done(tls.ConnectionState{}, nil)
		if p := conv.Peer(); p.Event != engine.NoSTARTTLS && !strings.Contains(c[1], ">xxx") {
			t.Errorf("%.60q: %s %q", c, p.Event, p.Detail)
		}
	}
	var conv engine.Conversation
	if conv.OffersSTARTTLS() {
		t.Error("nothing offers STARTTLS")
	}
	talk(t, &conv, greets, ehlo, "<250-mx|250-starttls\t|250 HELP")
	if !conv.OffersSTARTTLS() {
		t.Error("the offer is not seen")
	}
}

// TestUnwatched: what the caller reports where nothing is watched.
func TestUnwatched(t *testing.T) {
	var c engine.Conversation
	if p := c.Peer(); p.Event != engine.NoConnection || p.Detail == "" {
		t.Errorf("nothing reported: %+v", p)
	}
	for _, x := range []struct {
		say  func()
		want engine.Event
	}{
		{func() { c.Done(tls.ConnectionState{}, errors.New("no route to host")) }, engine.NoConnection},
		{func() { c.Done(tls.ConnectionState{}, nil) }, engine.NoSTARTTLS},
		{func() { c.Done(complete(tls.VersionTLS13), nil) }, engine.HandshakeDone},
		{func() { c.Done(tls.ConnectionState{}, fmt.Errorf("smtp: %w", tls.AlertError(40))) }, engine.HandshakeFailed},
		{func() { c.Done(tls.ConnectionState{}, tls.RecordHeaderError{RecordHeader: [5]byte{'2'}}) }, engine.STARTTLSRefused},
		{func() { c.Failed(engine.STARTTLSRefused, errors.New("454 no")) }, engine.STARTTLSRefused},
		{func() { c.Failed(engine.HandshakeDone, nil) }, engine.HandshakeFailed},
		{func() { c.Injected() }, engine.STARTTLSRefused},
		{func() { c.Failed(engine.NoSTARTTLS, nil) }, engine.NoSTARTTLS},
		{func() { c.GiveUp("the time was over") }, engine.NoConnection},
	} {
		x.say()
		if p := c.Peer(); p.Event != x.want {
			t.Errorf("%s %q, want %s", p.Event, p.Detail, x.want)
		}
	}
	if p := c.Peer(); !p.Untried || p.Detail != "the time was over" {
		t.Errorf("%+v", p)
	}
}

// FuzzWatch: whatever is said, nothing panics and it makes no session.
func FuzzWatch(f *testing.F) {
	for _, s := range []string{"220 x\r\n250-y\r\n250 STARTTLS\r\n220 go\r\n", "220 x\r\n421 y\r\n", "\x16\x03\x01", "220 x\r\n250 STARTTLS\r\n220 go\r\nevil"} {
		f.Add([]byte(s), []byte("EHLO x\r\nSTARTTLS\r\n\x16"))
	}
	f.Fuzz(func(t *testing.T, server, client []byte) {
		var c engine.Conversation
		conn := c.Watch(&script{server: server})
		for len(client) > 0 {
			n := min(len(client), 7)
			conn.Write(client[:n])
			client = client[n:]
			conn.Read(make([]byte, 11))
		}
		c.Done(tls.ConnectionState{}, io.EOF)
		if p := c.Peer(); p.Event == engine.HandshakeDone || p.Event > engine.HandshakeDone || p.RequireTLS {
			t.Errorf("%+v", p)
		}
	})
}

// A script is a connection whose server has said everything beforehand.
type script struct {
	net.Conn
	server []byte
}

func (s *script) Read(b []byte) (int, error) {
	n := copy(b, s.server)
	s.server = s.server[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
func (s *script) Write(b []byte) (int, error) { return len(b), nil }
