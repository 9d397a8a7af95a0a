package peers_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/internal/servetest"
	"github.com/mxauth/mxauth/tlsrpt"
)

// reporting is a domain that asks for reports and has one host.
func reporting(name, mode string, c lab.Chain, state lab.SMTPState) lab.World {
	domain := name + ".test"
	return lab.World{
		Name: name, Domain: domain, TLSRPT: "v=TLSRPTv1; rua=mailto:reports@" + domain,
		Zones: []lab.Zone{{Apex: domain, Sign: lab.Unsigned}},
		STS:   &lab.STS{Mode: mode},
		Hosts: []lab.Host{{Name: "mx." + domain, Pref: 10, Chain: c, SMTP: lab.SMTP{State: state}}},
	}
}

// A reported is a datagram of Postfix as far as it does not depend on addresses and texts.
type reported struct {
	Domain   string `json:"d"`
	Record   string `json:"pr"`
	Policies []struct {
		Type     int      `json:"policy-type"`
		Domain   string   `json:"policy-domain"`
		Strings  []string `json:"policy-string"`
		MXHosts  []string `json:"mx-host"`
		Final    int      `json:"f"`
		Failures []struct {
			Code   int    `json:"c"`
			MXHost string `json:"n"`
		} `json:"failure-details"`
	} `json:"policies"`
}

// wantReport is the datagram that package tlsrpt makes of such a session.
func wantReport(t *testing.T, w lab.World, result tlsrpt.ResultType) reported {
	t.Helper()
	mx := w.Hosts[0].Name
	e := tlsrpt.Entry{Compliant: result == "", Policy: tlsrpt.Policy{Type: tlsrpt.PolicySTS, Domain: w.Domain, MXHosts: []string{mx},
		Strings: []string{"version: STSv1", "mode: " + w.STS.Mode, "mx: " + mx, "max_age: 604800"}}}
	if result != "" {
		e.Failures = []tlsrpt.Failure{{Type: result, MXHost: mx}}
	}
	b, err := tlsrpt.Datagram(tlsrpt.Session{Domain: w.Domain, Record: w.TLSRPT, Entries: []tlsrpt.Entry{e}})
	if err != nil {
		t.Fatal(err)
	}
	return readReport(t, b)
}

func readReport(t *testing.T, b []byte) (r reported) {
	t.Helper()
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return r
}

// reports: a Postfix with libtlsrpt that asks mxauth in the extended form reports the
// policies as they were published, and the failures by their names in RFC 8460.
func reports(t *testing.T, root *peers.DebianRoot) {
	self := lab.Chain{By: lab.SelfSigned}
	worlds := []lab.World{
		reporting("rpt-good", "enforce", lab.Chain{}, lab.Good),
		reporting("rpt-stripped", "enforce", lab.Chain{}, lab.NoSTARTTLS),
		reporting("rpt-name", "enforce", lab.Chain{Names: []string{"other.example"}}, lab.Good),
		reporting("rpt-untrusted", "enforce", lab.Chain{Fault: lab.IssuerNoCA}, lab.Good),
		reporting("rpt-self", "enforce", self, lab.Good),
		reporting("rpt-testing", "testing", self, lab.Good),
	}
	wants := map[string]tlsrpt.ResultType{"rpt-good": "", "rpt-stripped": tlsrpt.StartTLSNotSupported, "rpt-name": tlsrpt.CertificateHostMismatch, "rpt-untrusted": tlsrpt.CertificateNotTrusted,
		// Postfix 3.10 calls a self-signed certificate and an unknown issuer so.
		"rpt-self": tlsrpt.ValidationFailure}
	w := startMail(t, worlds, nil)
	var messages []peers.Message
	for _, s := range w.situations {
		messages = append(messages, peers.Message{ID: s.Name, Domain: s.Domain, Route: "v"})
	}
	s := peers.StartSender(t, peers.SenderConfig{Root: root, Address: "127.8.0.1:2525", Resolver: labResolver, CA: w.ca, Messages: messages,
		Routes:  []peers.Route{{Name: "v", Options: []string{"smtp_tls_security_level=dane", "smtp_tls_policy_maps=socketmap:inet:" + w.tables[""] + ":" + byExtended}}},
		Options: []string{"smtp_tlsrpt_enable = yes", "smtp_tlsrpt_socket_name = tlsrpt.sock"}})
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(s.Queue, "tlsrpt.sock")})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := os.Chmod(filepath.Join(s.Queue, "tlsrpt.sock"), 0o666); err != nil {
		t.Fatal(err)
	}
	s.Send(t, messages)
	got := map[string]reported{}
	sent := s.Deliveries(t, messages, sendPatience)
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 1<<17); len(got) < len(worlds); {
		n, err := conn.Read(b)
		if err != nil {
			break // what is missing is seen below
		}
		r := readReport(t, b[:n])
		if _, twice := got[r.Domain]; twice {
			t.Errorf("%s is reported twice", r.Domain)
		}
		got[r.Domain] = r
	}
	for _, spec := range worlds {
		t.Run(spec.Name, func(t *testing.T) {
			r, ok := got[spec.Domain]
			result, known := wants[spec.Name]
			if !known {
				// Of a policy that only tests Postfix is told nothing, so there is no failure.
				for _, p := range r.Policies {
					if p.Final != 0 || len(p.Failures) > 0 {
						t.Errorf("a failure is reported: %+v", r)
					}
				}
				if sent[spec.Name].Status != "sent" {
					t.Errorf("%+v", sent[spec.Name])
				}
				return
			}
			if !ok {
				t.Fatalf("no report; %+v", sent[spec.Name])
			}
			if diff := cmp.Diff(wantReport(t, spec, result), r); diff != "" {
				t.Errorf("the report (-want +got):\n%s", diff)
			}
			if want := result == ""; (sent[spec.Name].Status == "sent") != want {
				t.Errorf("%+v", sent[spec.Name])
			}
		})
	}
}

// A recorder stands between a Postfix and the daemon, and keeps the questions.
type recorder struct {
	address string

	mu    sync.Mutex
	asked []string
	cut   bool // close connections with a question, as a daemon that has hung until the client gave up
}

// record starts a recorder in front of a socketmap server.
func record(t *testing.T, server string) *recorder {
	t.Helper()
	r := &recorder{}
	r.address = servetest.TCP(t, func(c net.Conn) { r.pass(c, server) })
	return r
}

// pass hands one connection on.
func (r *recorder) pass(c net.Conn, server string) {
	up, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(c, up)
		c.Close()
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		r.mu.Lock()
		// Postfix sends a question in one piece: "17:QUERY example.org,".
		for q := range bytes.SplitSeq(bytes.TrimSuffix(b[:n], []byte(",")), []byte(",")) {
			_, key, _ := strings.Cut(string(q), " ")
			r.asked = append(r.asked, key)
		}
		cut := r.cut
		r.mu.Unlock()
		if cut {
			return
		}
		if _, err := up.Write(b[:n]); err != nil {
			return
		}
	}
}

// keys are the questions so far.
func (r *recorder) keys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// tlsRequired: for a message with "TLS-Required: No" Postfix does not ask the table
// and sends in the clear where the policy forbids it; for another it asks, and it asks for
// the parents of a domain that has no entry (row P1).
func tlsRequired(t *testing.T, root *peers.DebianRoot) {
	w := startMail(t, labtest.Worlds(t, "stripped-sts", "stripped-nothing"), nil)
	r := record(t, w.tables[""])
	messages := []peers.Message{
		{ID: "no", Domain: "stripped-sts.test", Route: "v", Header: "TLS-Required: No\r\n"},
		{ID: "yes", Domain: "stripped-sts.test", Route: "v"},
		{ID: "nothing", Domain: "stripped-nothing.test", Route: "v"},
	}
	s := peers.StartSender(t, peers.SenderConfig{Root: root, Address: "127.8.0.1:2525", Resolver: labResolver, CA: w.ca, Messages: messages,
		Routes: []peers.Route{{Name: "v", Options: []string{"smtp_tls_security_level=dane", "smtp_tls_policy_maps=socketmap:inet:" + r.address + ":" + byExtended}}}})
	for i, want := range []struct {
		status string
		keys   []string
	}{
		{"sent", nil},
		{"deferred", []string{"stripped-sts.test"}},
		{"sent", []string{"stripped-nothing.test", ".test"}},
	} {
		m := messages[i]
		t.Run(m.ID, func(t *testing.T) {
			before := len(r.keys())
			s.Send(t, []peers.Message{m})
			d := s.Deliveries(t, []peers.Message{m}, sendPatience)[m.ID]
			if d.Status != want.status || d.TLS != "" {
				t.Errorf("%+v, want %s", d, want.status)
			}
			asked := slices.Compact(r.keys()[before:])
			if diff := cmp.Diff(want.keys, asked); diff != "" && len(want.keys)+len(asked) > 0 {
				t.Errorf("the table is asked (-want +got):\n%s", diff)
			}
			for _, key := range asked {
				answer := w.daemons[""].ask(t, byExtended, key)
				if strings.HasPrefix(key, ".") && answer != "NOTFOUND " {
					t.Errorf("%s: %q", key, answer)
				}
			}
		})
	}
}
