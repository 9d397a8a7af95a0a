package forecast

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mxauth/mxauth/rfc6125"
)

// icalTime is the form of a UTC time in iCalendar (RFC 5545 section 3.3.5).
const icalTime = "20060102T150405Z"

// WriteCalendar prints the events as iCalendar (RFC 5545), each with a reminder a week
// before. now is when the calendar is made. An event keeps its UID from one calendar to the
// next as long as it is about the same thing at the same time, however the domain is
// written.
func WriteCalendar(w io.Writer, domain string, events []Event, now time.Time) error {
	var b strings.Builder
	line := func(name, value string) { fold(&b, name+":"+value) }
	line("BEGIN", "VCALENDAR")
	line("VERSION", "2.0")
	line("PRODID", "-//mxauth//forecast//EN")
	line("CALSCALE", "GREGORIAN")
	same := domain
	if h, err := rfc6125.ParseHost(domain); err == nil {
		same = h.String()
	}
	for _, e := range events {
		sum := sha256.Sum256([]byte(strings.Join([]string{same, string(e.ID), e.Host, e.When.Format(icalTime)}, "\x00")))
		line("BEGIN", "VEVENT")
		line("UID", hex.EncodeToString(sum[:16])+"@mxauth")
		line("DTSTAMP", now.UTC().Format(icalTime))
		line("DTSTART", e.When.UTC().Format(icalTime))
		who := domain
		if e.Host != "" {
			who = e.Host
		}
		line("SUMMARY", escape(fmt.Sprintf("%s: %s (%s)", who, e.ID, e.Effect)))
		line("DESCRIPTION", escape(strings.Join(append([]string{e.Text, e.Do}, e.Publish...), "\n")))
		line("CATEGORIES", escape(e.Effect.String()))
		line("TRANSP", "TRANSPARENT")
		line("BEGIN", "VALARM")
		line("ACTION", "DISPLAY")
		line("TRIGGER", "-P7D")
		line("DESCRIPTION", escape(e.Text))
		line("END", "VALARM")
		line("END", "VEVENT")
	}
	line("END", "VCALENDAR")
	_, err := io.WriteString(w, b.String())
	return err
}

// escape makes TEXT of RFC 5545 section 3.3.11.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`, "\r", "").Replace(s)
}

// fold breaks a content line into lines of at most 75 octets (RFC 5545 section 3.1), and
// cuts no character, which the domain as typed may have.
func fold(b *strings.Builder, s string) {
	const most = 75
	for room := most; len(s) > room; room = most - 1 {
		n := room
		for n > room-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		b.WriteString(s[:n])
		b.WriteString("\r\n ")
		s = s[n:]
	}
	b.WriteString(s)
	b.WriteString("\r\n")
}
