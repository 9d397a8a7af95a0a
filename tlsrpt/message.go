package tlsrpt

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"path"
	"strings"
)

// MaxMessage bounds a message with a report: 24 MiB, which base64 needs for a compressed
// report of 16 MiB.
const MaxMessage = 24 << 20

// Bounds of a message's structure. A report has two parts on one level (RFC 8460 section
// 5.3); a mailing list or a virus scanner may wrap them once more.
const (
	maxParts = 50
	maxDepth = 4
)

// Parse reads a report from any of the forms in which one arrives: the JSON text, gzip, or
// a message with one (RFC 8460 section 5). Errors wrap [ErrReport].
func Parse(b []byte) (Report, error) {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n")
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return ParseReport(b)
	}
	if len(trimmed) == 0 {
		return Report{}, fmt.Errorf("%w: it is empty", ErrReport)
	}
	if trimmed[0] == '{' {
		return ParseReport(trimmed)
	}
	return ParseMessage(b)
}

// ParseMessage reads the report in a message (RFC 8460 section 5.3): the first part of type
// application/tlsrpt+gzip or application/tlsrpt+json, or, as some senders have it, an
// attachment whose name ends in .json or .json.gz. It does not verify a DKIM signature.
// Errors wrap [ErrReport].
func ParseMessage(b []byte) (Report, error) {
	if len(b) > MaxMessage {
		return Report{}, fmt.Errorf("%w: larger than %d bytes", ErrReport, MaxMessage)
	}
	// A file of a mail folder begins with a line that is no header field.
	if bytes.HasPrefix(b, []byte("From ")) {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	m, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		return Report{}, fmt.Errorf("%w: neither JSON nor gzip nor a message: %w", ErrReport, err)
	}
	parts := 0
	report, err := findReport(header(m.Header), m.Body, 0, &parts)
	switch {
	case err != nil:
		return Report{}, err
	case report == nil:
		return Report{}, fmt.Errorf("%w: the message has no part of type %s or %s", ErrReport, MediaTypeGzip, MediaTypeJSON)
	}
	return ParseReport(report)
}

// A header is that of a message or of one of its parts.
type header map[string][]string

func (h header) get(field string) string {
	if v := h[field]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// findReport returns the first report in a part or in those below it; nil if there is none.
func findReport(h header, body io.Reader, depth int, parts *int) ([]byte, error) {
	if *parts++; *parts > maxParts || depth > maxDepth {
		return nil, fmt.Errorf("%w: the message has more than %d parts, or more than %d levels of them", ErrReport, maxParts, maxDepth)
	}
	media, params, _ := mime.ParseMediaType(h.get("Content-Type"))
	switch {
	case strings.HasPrefix(media, "multipart/") && params["boundary"] != "":
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err == io.EOF {
				return nil, nil
			}
			if err != nil {
				return nil, fmt.Errorf("%w: the message is cut off or malformed: %w", ErrReport, err)
			}
			if found, err := findReport(header(p.Header), p, depth+1, parts); found != nil || err != nil {
				return found, err
			}
		}
	case media == "message/rfc822":
		m, err := mail.ReadMessage(body)
		if err != nil {
			return nil, fmt.Errorf("%w: the message inside: %w", ErrReport, err)
		}
		return findReport(header(m.Header), m.Body, depth+1, parts)
	case !isReportPart(media, params, h.get("Content-Disposition")):
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(decoder(h.get("Content-Transfer-Encoding"), body), MaxReport+1))
	if err != nil {
		return nil, fmt.Errorf("%w: the part with it cannot be decoded: %w", ErrReport, err)
	}
	return text, nil
}

// isReportPart reports whether a part of this type and disposition holds a report.
func isReportPart(media string, params map[string]string, disposition string) bool {
	if media == MediaTypeGzip || media == MediaTypeJSON {
		return true
	}
	_, more, _ := mime.ParseMediaType(disposition)
	for _, name := range []string{more["filename"], params["name"]} {
		name = strings.ToLower(path.Base(name))
		if strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".json.gz") {
			return true
		}
	}
	return false
}

// decoder undoes a content transfer encoding (RFC 2045 section 6).
func decoder(encoding string, r io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	}
	return r
}
