// Package maillog reads what Postfix logged of its deliveries by SMTP:
//
//	Nov  2 10:00:00 mail postfix/smtp[71]: Verified TLS connection established to mx.example.org[192.0.2.1]:25: TLSv1.3 ...
//	Nov  2 10:00:01 mail postfix/smtp[71]: 4Xq1: to=<ann@example.org>, relay=mx.example.org[192.0.2.1]:25, ..., status=sent (250 ok)
//
// Logs hold text of remote servers. A line counts only if its program is postfix/smtp, and
// only by the words with which Postfix itself begins it; nothing is taken from the text of a
// reply.
package maillog

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
)

// Limits.
const (
	// MaxLine is the longest line in bytes; a longer one is passed over and counted.
	MaxLine = 64 << 10
	// MaxDomains bounds the domains of one log; further ones are passed over and counted.
	MaxDomains = 1_000_000
	// maxHosts bounds the mail hosts of one domain that are told apart.
	maxHosts = 20
	// maxSessions bounds the processes whose last session is remembered.
	maxSessions = 100_000
)

// A TLS is what Postfix said of a session.
type TLS uint8

// What Postfix says, from the weakest.
const (
	Clear     TLS = iota // no TLS
	Anonymous            // TLS, and no certificate
	Untrusted            // a certificate that leads to no authority that Postfix trusts
	Trusted              // one that does, or matches TLSA records; the name was not checked
	Verified             // and it was demanded and checked
	numTLS
)

var tlsWords = []string{"none", "Anonymous", "Untrusted", "Trusted", "Verified"}

// String returns the word of Postfix; "none" for Clear.
func (t TLS) String() string { return tlsWords[min(int(t), len(tlsWords)-1)] }

// MarshalText prints t as [TLS.String] does.
func (t TLS) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// A Host is a mail host that took messages for a domain.
type Host struct {
	Name string // as Postfix wrote it; "" where more than 20 hosts took mail
	Sent [numTLS]int
}

// A Domain is what the log says of one recipient domain.
type Domain struct {
	Name     string
	Hosts    []Host // in the order in which they are met
	Deferred int    // attempts that ended in the queue
	Bounced  int
}

// Sent returns how many messages were sent, and how many of them with each word.
func (d *Domain) Sent() (all int, by [numTLS]int) {
	for _, h := range d.Hosts {
		for t, n := range h.Sent {
			by[t] += n
			all += n
		}
	}
	return all, by
}

// A Log is what was read.
type Log struct {
	Domains    []*Domain // in the order in which they are met
	Lines      int
	Deliveries int // messages sent
	TooLong    int // lines longer than MaxLine
	TooMany    int // deliveries to domains beyond MaxDomains
}

// Read reads a log. program is the first part of Postfix's syslog_name, "postfix". An error is
// one of reading.
func Read(r io.Reader, program string) (*Log, error) { return read(r, program, MaxDomains) }

func read(r io.Reader, program string, most int) (*Log, error) {
	l := &Log{}
	p := parser{log: l, most: most, program: program + "/smtp[", index: map[string]*Domain{}, sessions: map[string]session{}}
	br := bufio.NewReaderSize(r, MaxLine)
	for {
		b, err := br.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = br.ReadSlice('\n')
		}
		if len(b) > 0 {
			l.Lines++
		}
		if long {
			l.TooLong++
		} else {
			p.line(strings.TrimRight(string(b), "\r\n"))
		}
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return l, err
		}
	}
}

// A session is the last TLS session of a process.
type session struct {
	relay string // "mx.example.org[192.0.2.1]:25"
	tls   TLS
}

type parser struct {
	log      *Log
	most     int // domains
	program  string
	index    map[string]*Domain
	sessions map[string]session // by process
}

// headFields is the number of words before the program: month, day, time and host; with RFC
// 3339 times two.
var headFields = []int{4, 2}

// text cuts the head off a line: the process, and what Postfix says. ok is false if the
// program is another.
func (p *parser) text(line string) (pid, text string, ok bool) {
	for _, n := range headFields {
		rest := line
		for range n {
			_, rest, ok = strings.Cut(strings.TrimLeft(rest, " "), " ")
			if !ok {
				break
			}
		}
		if after, found := strings.CutPrefix(strings.TrimLeft(rest, " "), p.program); ok && found {
			pid, text, ok = strings.Cut(after, "]: ")
			return pid, text, ok && digits(pid)
		}
	}
	return "", "", false
}

func digits(s string) bool {
	return s != "" && len(s) <= 10 && strings.Trim(s, "0123456789") == ""
}

func (p *parser) line(line string) {
	pid, text, ok := p.text(line)
	if !ok {
		return
	}
	if word, rest, ok := strings.Cut(text, " TLS connection established to "); ok {
		for t := Anonymous; t < numTLS; t++ {
			if word == t.String() {
				if relay, _, ok := strings.Cut(rest, ": "); ok && len(p.sessions) < maxSessions {
					p.sessions[pid] = session{relay, t}
				}
				return
			}
		}
	}
	id, rest, ok := strings.Cut(text, ": to=<")
	if !ok || id == "" || len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return
	}
	p.delivery(pid, rest)
}

// delivery reads the rest of a line about a recipient. An address in which ">, " is found is
// cut there; what is left of it is then no domain.
func (p *parser) delivery(pid, rest string) {
	address, rest, ok := strings.Cut(rest, ">, ")
	at := strings.LastIndexByte(address, '@')
	if !ok || at < 0 {
		return
	}
	domain := strings.ToLower(address[at+1:])
	var relay, status string
	for rest != "" && status == "" {
		var field string
		field, rest, _ = strings.Cut(rest, ", ")
		switch name, value, _ := strings.Cut(field, "="); name {
		case "orig_to": // may hold anything
			if _, after, ok := strings.Cut(value+", "+rest, ">, "); ok {
				rest = after
			}
		case "relay":
			relay = value
		case "status":
			status, _, _ = strings.Cut(value, " ")
		}
	}
	if domain == "" || !slices.Contains([]string{"sent", "deferred", "bounced"}, status) {
		return
	}
	used := p.sessions[pid]
	delete(p.sessions, pid)
	d := p.domain(domain)
	if d == nil {
		return
	}
	switch status {
	case "sent":
		t := Clear
		if used.relay == relay {
			t = used.tls
		}
		name, _, _ := strings.Cut(relay, "[")
		d.host(strings.ToLower(name)).Sent[t]++
		p.log.Deliveries++
	case "deferred":
		d.Deferred++
	case "bounced":
		d.Bounced++
	}
}

// domain returns the domain of a name; nil if there are too many.
func (p *parser) domain(name string) *Domain {
	d := p.index[name]
	if d == nil {
		if len(p.index) >= p.most {
			p.log.TooMany++
			return nil
		}
		d = &Domain{Name: name}
		p.index[name] = d
		p.log.Domains = append(p.log.Domains, d)
	}
	return d
}

// host returns the host of a name; one without a name where there are too many.
func (d *Domain) host(name string) *Host {
	if len(d.Hosts) >= maxHosts {
		name = ""
	}
	for i := range d.Hosts {
		if d.Hosts[i].Name == name {
			return &d.Hosts[i]
		}
	}
	d.Hosts = append(d.Hosts, Host{Name: name})
	return &d.Hosts[len(d.Hosts)-1]
}
