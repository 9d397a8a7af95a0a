package peers_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/peers"
)

// startResolver starts Debian's postfix-mta-sts-resolver in a root, and lets it see the
// domains that will change as they are now. It returns the address of its table.
func (w *mailWorld) startResolver(t *testing.T, root *peers.DebianRoot) string {
	t.Helper()
	port := freePort(t)
	for name, text := range map[string]string{
		"etc/resolv.conf": "nameserver " + labResolver + "\noptions timeout:5 attempts:1\n",
		"etc/hosts":       "127.0.0.1 localhost\n",
		"etc/lab-ca.pem":  string(w.ca),
		"etc/mta-sts-daemon.yml": fmt.Sprintf("host: 127.0.0.1\nport: %s\nshutdown_timeout: 1\ncache:\n  type: internal\n  options:\n    cache_size: 10000\n"+
			"default_zone:\n  strict_testing: false\n  timeout: 8\n", port),
	} {
		writeFile(t, filepath.Join(root.Dir, name), text)
	}
	d := peers.Start(t, "chroot", root.Dir, "/usr/bin/env", "SSL_CERT_FILE=/etc/lab-ca.pem", "/usr/bin/mta-sts-daemon", "-c", "/etc/mta-sts-daemon.yml")
	address := "127.0.0.1:" + port
	d.WaitFor(t, "an answer", func(context.Context) error {
		_, err := socketmap(address, byResolver, "dane-ee.test")
		return err
	})
	for _, s := range w.situations {
		if s.Was != nil {
			if _, err := socketmap(address, byResolver, s.key); err != nil {
				t.Fatalf("postfix-mta-sts-resolver, %s: %v", s.Name, err)
			}
		}
	}
	return address
}

// An end is what became of a message, or would: "authenticated", "encrypted", "cleartext",
// "held" (it did not go).
type end string

const heldBack end = "held"

// endOf is how a delivery ended.
func endOf(d peers.Delivery) end { return endBy(d.Status == "sent", d.TLS == "Verified", d.TLS) }

// endBy is how a message ended that was sent or not; tls is empty for one in the clear.
func endBy(sent, authenticated bool, tls string) end {
	switch {
	case !sent:
		return heldBack
	case authenticated:
		return "authenticated"
	case tls != "":
		return "encrypted"
	}
	return "cleartext"
}

// wanted is how it ends by the text of the RFCs, which the world was written from.
func (s *situation) wanted() end {
	switch s.Want.Outcome {
	case "refused", "deferred", "bounced":
		return heldBack
	}
	return end(s.Want.Outcome)
}

// byChance reports whether chance decides how it ends: which of several addresses of a mail
// host, with a server of its own at each, a program tries first; or whether a policy that has
// changed is looked at within the minute for which postfix-mta-sts-resolver does not look again.
func (s *situation) byChance() bool {
	if s.Name == "cached-new" || s.Name == "cached-removed" {
		return true
	}
	seen := map[string]bool{}
	for _, h := range s.Hosts {
		if seen[h.Name] {
			return true
		}
		seen[h.Name] = true
	}
	return false
}

// fingers asks posttls-finger about every situation.
func (w *mailWorld) fingers(t *testing.T, root *peers.DebianRoot, list []*situation) map[*situation]end {
	t.Helper()
	writeFile(t, filepath.Join(root.Dir, "etc/lab-ca.pem"), string(w.ca))
	if err := os.MkdirAll(filepath.Join(root.Dir, "etc/postfix"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root.Dir, "etc/postfix/main.cf"), "compatibility_level = 3.6\ninet_protocols = ipv4\n")
	out := map[*situation]end{}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(16)
	for _, s := range list {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "chroot", root.Dir, "/usr/sbin/posttls-finger", "-c", "-l", "dane", "-F", "/etc/lab-ca.pem", "-T", "8", "-t", "8", "-L", "summary", s.key)
			said, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("posttls-finger %s: %w\n%s", s.key, err, said)
			}
			e := heldBack // it says why there was no session
			switch text := string(said); {
			case strings.Contains(text, ": Verified TLS connection established"):
				e = "authenticated"
			case strings.Contains(text, " TLS connection established"):
				e = "encrypted"
			case text == "": // no STARTTLS, and nothing to say about it
				e = "cleartext"
			}
			mu.Lock()
			defer mu.Unlock()
			out[s] = e
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	return out
}

// scoreboard holds docs/scoreboard.md.
func (w *mailWorld) scoreboard(t *testing.T, root *peers.DebianRoot, shipments []*shipment) {
	var list []*situation
	for _, s := range w.situations {
		if s.group == "" && s.Want.Outcome != "" && !s.byChance() {
			list = append(list, s)
		}
	}
	byVariant := func(v variant) map[*situation]*shipment {
		out := map[*situation]*shipment{}
		for _, s := range shipments {
			if s.variant == v {
				out[s.situation] = s
			}
		}
		return out
	}
	host, trixie := "Postfix "+minor(w.postfix["host"].Version), "Postfix "+minor(w.postfix["trixie"].Version)
	fates, exim := w.exims(t, list)
	byExim := map[*situation]end{}
	for s, fate := range fates {
		byExim[s] = endOfResult(fate)
	}
	columns := []*column{
		{name: "`mxauth check`"},
		{name: host + " with mxauth", shipped: byVariant(variant{"host", "dane", byPlain, false})},
		{name: trixie + " with mxauth", shipped: byVariant(variant{"trixie", "dane", byExtended, false})},
		{name: host + " with postfix-mta-sts-resolver", shipped: byVariant(variant{"host", "dane", byResolver, false}), own: resolverReasons},
		{name: host + " alone", shipped: byVariant(variant{"host", "dane", byNothing, false}), own: aloneReasons},
		{name: "Exim " + minor(exim) + " alone", ends: byExim, own: eximReasons, other: true},
		{name: "posttls-finger " + minor(w.postfix["trixie"].Version), ends: w.fingers(t, root, list), own: fingerReasons},
	}
	for _, c := range columns {
		c.judge(t, list)
	}
	w.held(t, "scoreboard.md", boardText(columns, len(list)))
}
