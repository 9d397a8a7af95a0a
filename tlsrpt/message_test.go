package tlsrpt_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/tlsrpt"
)

// mailed is a report for tests.
func mailed() tlsrpt.Report {
	return tlsrpt.Report{
		Organization: "Example Mail", Contact: "tls@sender.example", ID: "2026-05-01-1",
		Start: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 5, 1, 23, 59, 59, 0, time.UTC),
		Policies: []tlsrpt.PolicyReport{{
			Policy:  tlsrpt.Policy{Type: tlsrpt.PolicySTS, Domain: "example.org", Strings: []string{"version: STSv1"}, MXHosts: []string{"mx.example.org"}},
			Success: 5, Failure: 2,
			Failures: []tlsrpt.FailureCount{{Failure: tlsrpt.Failure{Type: tlsrpt.CertificateExpired, MXHost: "mx.example.org"}, Sessions: 2}},
		}},
	}
}

// message puts a report into a message as RFC 8460 section 5.3 has it.
func message(t *testing.T, media, encoding, disposition string, report []byte) []byte {
	t.Helper()
	body := string(report)
	if encoding == "base64" {
		body = base64.StdEncoding.EncodeToString(report)
		var lines strings.Builder
		for len(body) > 76 {
			lines.WriteString(body[:76] + "\r\n")
			body = body[76:]
		}
		body = lines.String() + body
	}
	return []byte("From: tls@sender.example\r\nTo: tls@example.org\r\nSubject: Report Domain: example.org Submitter: sender.example Report-ID: <1>\r\n" +
		"TLS-Report-Domain: example.org\r\nTLS-Report-Submitter: sender.example\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=\"tlsrpt\"; boundary=\"b\"\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\nThis is a report.\r\n" +
		"--b\r\nContent-Type: " + media + "\r\nContent-Transfer-Encoding: " + encoding + "\r\nContent-Disposition: attachment; filename=\"" + disposition + "\"\r\n\r\n" +
		body + "\r\n--b--\r\n")
}

func TestParse(t *testing.T) {
	want := mailed()
	plain, err := want.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := want.Compress()
	if err != nil {
		t.Fatal(err)
	}
	inner := message(t, tlsrpt.MediaTypeGzip, "base64", "r.json.gz", packed)
	for name, b := range map[string][]byte{
		"JSON":                              plain,
		"JSON with a byte order mark":       append([]byte("\xef\xbb\xbf\n"), plain...),
		"gzip":                              packed,
		"multipart/report":                  inner,
		"JSON, not packed":                  message(t, tlsrpt.MediaTypeJSON, "8bit", "x", plain),
		"JSON, base64":                      message(t, tlsrpt.MediaTypeJSON, "base64", "x", plain),
		"an attachment named .json.gz":      message(t, "application/octet-stream", "base64", "a!b!1!2.json.gz", packed),
		"an attachment named .JSON":         message(t, "text/plain", "7bit", "a!b!1!2.JSON", plain),
		"a file of a mail folder":           append([]byte("From tls@sender.example Fri May  1 00:00:00 2026\n"), inner...),
		"a forwarded message":               []byte("Subject: Fwd\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n" + string(inner) + "\r\n--o--\r\n"),
		"a message that is only the report": []byte("Subject: x\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(packed)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tlsrpt.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseBad(t *testing.T) {
	packed, err := mailed().Compress()
	if err != nil {
		t.Fatal(err)
	}
	nested := "Content-Type: text/plain\r\n\r\nx"
	for i := range 10 {
		nested = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%s\r\n--b%d--\r\n", i, i, nested, i)
	}
	whole := message(t, tlsrpt.MediaTypeGzip, "base64", "r.json.gz", packed)
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"blanks":               []byte(" \n"),
		"text":                 []byte("hello\n"),
		"binary":               {0, 1, 2, 3},
		"a message without":    []byte("Subject: x\r\n\r\nhello"),
		"JSON of another":      []byte(`{"a":1}`),
		"cut off":              whole[:len(whole)-200],
		"bad base64":           message(t, tlsrpt.MediaTypeGzip, "8bit", "r.json.gz", []byte("!!!!")),
		"too many levels":      []byte("Subject: x\r\n" + nested),
		"too many parts":       []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: text/plain\r\n\r\nx\r\n", 1000) + "--b--\r\n"),
		"a boundary of nulls":  []byte("Content-Type: multipart/mixed; boundary=\"\x00\"\r\n\r\nx"),
		"more than MaxMessage": append([]byte("Subject: x\r\n\r\n"), bytes.Repeat([]byte("x"), tlsrpt.MaxMessage)...),
	} {
		if r, err := tlsrpt.Parse(b); !errors.Is(err, tlsrpt.ErrReport) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// FuzzParse: no input makes the reader panic, and what it reads can be written again.
func FuzzParse(f *testing.F) {
	packed, err := mailed().Compress()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n{}\r\n--b--"))
	f.Add([]byte("From x\nA: b\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := tlsrpt.Parse(b)
		if err != nil {
			if !errors.Is(err, tlsrpt.ErrReport) {
				t.Errorf("%v does not wrap ErrReport", err)
			}
			return
		}
		if r.Start.Year() < 0 || r.Start.Year() > 9999 || r.End.Year() < 0 || r.End.Year() > 9999 {
			return
		}
		if _, err := r.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}
