package peers_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/mxauth/mxauth/conformance/lab/labtest"
	"github.com/mxauth/mxauth/conformance/peers"
)

// hangEnv is how long the daemon hangs in daemonFaults. Postfix waits 100 s for a table, which
// no setting changes; in place of so long a hang, connections are cut after the question, as
// they are when Postfix has given up.
const hangEnv = "MXAUTH_SENDER_HANG"

// Bounds of daemonFaults.
const (
	defaultHang   = 3 * time.Second
	faultMessages = 200
	faultPatience = 2 * time.Minute
)

// ends of messages to the domains of daemonFaults: what Postfix may say of a delivery; nil
// where nothing may be delivered.
var faultDomains = []struct {
	world string
	tls   []string
}{
	{"dane-ee", []string{"Verified"}},
	{"sts-enforce", []string{"Verified"}},
	{"stripped-nothing", []string{""}},
	{"stripped-sts", nil},
	{"tlsa-mismatch", nil},
}

// daemonFaults: 200 messages come while the daemon is stopped, started, told to reload, and
// hangs. None is lost, none bounces, and none goes with less than its domain demands.
func daemonFaults(t *testing.T) {
	hang := defaultHang
	if v := os.Getenv(hangEnv); v != "" {
		var err error
		if hang, err = time.ParseDuration(v); err != nil {
			t.Fatalf("%s: %v", hangEnv, err)
		}
	}
	var names []string
	for _, d := range faultDomains {
		names = append(names, d.world)
	}
	w := startMail(t, labtest.Worlds(t, names...), nil)
	daemon := w.daemons[""]
	r := record(t, daemon.table)
	var messages []peers.Message
	for i := range faultMessages {
		d := faultDomains[i%len(faultDomains)]
		messages = append(messages, peers.Message{ID: fmt.Sprintf("m%d", i), Domain: d.world + ".test", Route: "v"})
	}
	s := peers.StartSender(t, peers.SenderConfig{Address: "127.8.0.1:2525", Resolver: labResolver, CA: w.ca, Messages: messages,
		Routes: []peers.Route{{Name: "v", Options: []string{"smtp_tls_security_level=may", "smtp_tls_policy_maps=socketmap:inet:" + r.address + ":" + byPlain}}},
		// What waits is tried again within seconds, also at a host that has failed.
		Options: []string{"queue_run_delay = 1s", "minimal_backoff_time = 1s", "maximal_backoff_time = 2s", "transport_retry_time = 1s"}})

	// Each phase begins with a fault, and a fifth of the messages comes during it.
	phases := []struct {
		name       string
		fault, end func()
	}{
		{"stopped", daemon.Stop, func() { daemon.start(t) }},
		{"reloading", func() { daemon.reload(t) }, func() {}},
		{"hanging", func() { signal(t, daemon, syscall.SIGSTOP) }, func() { within(t, hang); signal(t, daemon, syscall.SIGCONT) }},
		{"given up", func() { r.cutting(true) }, func() { r.cutting(false) }},
		{"restarted", func() { daemon.Kill(); daemon.start(t) }, func() {}},
	}
	share := faultMessages / len(phases)
	for i, p := range phases {
		p.fault()
		batch := messages[i*share : (i+1)*share]
		s.Send(t, batch)
		if p.name != "hanging" { // where nothing comes to an end until it is over
			s.Deliveries(t, batch, faultPatience)
		}
		p.end()
	}
	w.untilSent(t, s, messages)

	sent := 0
	for id, attempts := range peers.ReadDeliveries(s.Log(t)) {
		i := slices.IndexFunc(messages, func(m peers.Message) bool { return m.ID == id })
		if i < 0 {
			continue
		}
		d := faultDomains[i%len(faultDomains)]
		for _, a := range attempts {
			switch {
			case a.Status == "bounced":
				t.Errorf("the message to %s bounced: %s", d.world, a.Text)
			case a.Status == "sent" && !slices.Contains(d.tls, a.TLS):
				t.Errorf("a message went to %s with %q TLS", d.world, a.TLS)
			case a.Status == "sent":
				sent++
			}
		}
	}
	if left := queued(t, s); sent+left != faultMessages {
		t.Errorf("%d messages are sent and %d are in the queue, want %d together", sent, left, faultMessages)
	}
	t.Logf("%d sent, the others wait; hang of %v", sent, hang)
}

// untilSent waits until every message that may go has gone, and the others were tried.
func (w *mailWorld) untilSent(t *testing.T, s *peers.Sender, messages []peers.Message) {
	t.Helper()
	s.WaitFor(t, "delivery of all messages that may go", func(context.Context) error {
		all := peers.ReadDeliveries(s.Log(t))
		for i, m := range messages {
			gone := slices.ContainsFunc(all[m.ID], func(d peers.Delivery) bool { return d.Status == "sent" })
			if len(all[m.ID]) == 0 || !gone && faultDomains[i%len(faultDomains)].tls != nil {
				return fmt.Errorf("%s: %+v", m.Recipient(), all[m.ID])
			}
		}
		return nil
	})
}

// queued counts the messages in the queue.
func queued(t *testing.T, s *peers.Sender) (n int) {
	t.Helper()
	for _, q := range []string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"} {
		err := filepath.WalkDir(filepath.Join(s.Queue, q), func(_ string, d fs.DirEntry, err error) error {
			if err != nil && !os.IsNotExist(err) { // a message moves while it is counted
				return err
			}
			if d != nil && d.Type().IsRegular() {
				n++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// signal sends a signal to the daemon.
func signal(t *testing.T, d *mxauthDaemon, s syscall.Signal) {
	t.Helper()
	if err := d.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// within lets a fault last.
func within(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// cutting begins or ends to close connections with a question.
func (r *recorder) cutting(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = on
}
