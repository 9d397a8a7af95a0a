package peers_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mxauth/mxauth/conformance/peers"
	"github.com/mxauth/mxauth/engine/mtapolicy"
)

// labResolver is the validating resolver of a lab with real ports.
const labResolver = "127.9.0.1"

// sendPatience bounds how long all messages of one Postfix may take.
const sendPatience = 3 * time.Minute

// A variant is one Postfix with one way of delivering.
type variant struct {
	sender string // "host" or "trixie"
	level  string // smtp_tls_security_level
	table  string // what smtp_tls_policy_maps asks
	cured  bool   // smtp_tls_dane_insecure_mx_policy = dane is set
}

// Tables that a Postfix can ask.
const (
	byPlain    = "QUERY"
	byExtended = "QUERYwithTLSRPT"
	byResolver = "postfix" // of postfix-mta-sts-resolver
	byNothing  = ""
)

// form is the form of the replies of mxauth.
func (v variant) form() mtapolicy.Form {
	if v.table == byExtended {
		return mtapolicy.Extended
	}
	return mtapolicy.Plain
}

// asksMxauth reports whether the variant asks mxauth serve.
func (v variant) asksMxauth() bool { return v.table == byPlain || v.table == byExtended }

// variants are all that deliver.
var variants = []variant{
	{"host", "dane", byPlain, false}, {"host", "may", byPlain, false}, {"host", "may", byPlain, true},
	{"trixie", "dane", byExtended, false}, {"trixie", "may", byExtended, false},
	{"host", "dane", byNothing, false}, {"host", "dane", byResolver, false},
}

// A shipment is one message about one situation.
type shipment struct {
	*situation
	variant variant
	reply   mtapolicy.Reply // of mxauth, whether it is asked or not
	message peers.Message
	got     peers.Delivery
}

// ships reports whether the variant sends to the situation.
func (v variant) ships(s *situation, r mtapolicy.Reply) bool {
	switch {
	case !v.asksMxauth():
		return s.group == "" && s.Want.Outcome != ""
	case v.cured:
		return r.Text == "dane" // the setting counts for this level alone
	}
	return true
}

// TestSenders delivers real messages by the Postfix of this machine and by that of another
// Debian release, which ask mxauth serve.
func TestSenders(t *testing.T) {
	peers.Require(t, "postfix", "postconf")
	trixie := peers.NewDebianRoot(t, "trixie", append([]string{"postfix"}, shellTools...)...)
	bookworm := peers.NewDebianRoot(t, "bookworm", append([]string{"postfix-mta-sts-resolver"}, shellTools...)...)
	t.Run("situations", func(t *testing.T) { situations(t, trixie, bookworm) })
	t.Run("reports", func(t *testing.T) { reports(t, trixie) })
	t.Run("tls-required", func(t *testing.T) { tlsRequired(t, trixie) })
	t.Run("daemon", daemonFaults)
}

// situations sends to every situation of the lab, and holds what happened against the engine's
// decision for the host that took the message (docs/deviations.md). The same messages without
// mxauth make docs/scoreboard.md.
func situations(t *testing.T, trixie, bookworm *peers.DebianRoot) {
	var resolver string
	w := startMail(t, allSituations(), func(w *mailWorld) { resolver = w.startResolver(t, bookworm) })
	w.other = resolver
	t.Run("answers", w.answers)
	t.Run("compare", w.compareResolver)
	shipments := w.ship(t, trixie)
	t.Run("deliveries", func(t *testing.T) { w.judge(t, shipments) })
	t.Run("servers", func(t *testing.T) { w.heard(t, shipments) })
	t.Run("rows", w.rows)
	t.Run("scoreboard", func(t *testing.T) { w.scoreboard(t, trixie, shipments) })
}

// shellTools are what the start script of Postfix wants.
var shellTools = []string{"dash", "coreutils", "sed", "grep", "findutils", "mawk", "diffutils"}

// answers: the daemon says what the engine's plan comes to.
func (w *mailWorld) answers(t *testing.T) {
	deadline := time.Now().Add(30 * time.Second)
	var g errgroup.Group
	g.SetLimit(64)
	for _, s := range w.situations {
		for _, v := range variants {
			if !v.asksMxauth() {
				continue
			}
			reply, err := mtapolicy.Postfix(s.check.Plan, mtapolicy.Options{Form: v.form()})
			if err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			g.Go(func() error {
				for {
					got, err := socketmap(w.tables[s.group], v.table, s.key)
					kind, text, _ := strings.Cut(got, " ")
					same := map[string]mtapolicy.Kind{"OK": mtapolicy.Found, "NOTFOUND": mtapolicy.NotFound, "TEMP": mtapolicy.TryLater}[kind] == reply.Kind
					switch {
					case err != nil:
						t.Errorf("%s: %v", s.Name, err)
					case same && (reply.Kind != mtapolicy.Found || text == reply.Text):
					case s.Was != nil && time.Now().Before(deadline):
						continue // what was kept of the world as it was goes with the hangup signal
					default:
						t.Errorf("%s: the daemon says %q, the plan comes to %s %q", s.Name, got, reply.Kind, reply.Text)
					}
					return nil
				}
			})
		}
	}
	_ = g.Wait()
}

// route is the name of the transport for a variant and a group.
func (w *mailWorld) route(v variant, group string) string {
	return fmt.Sprintf("v%dg%d", slices.Index(variants, v), slices.Index(w.groups, group))
}

// routeOf is that transport.
func (w *mailWorld) routeOf(v variant, group string) peers.Route {
	r := peers.Route{Name: w.route(v, group), Options: []string{"smtp_tls_security_level=" + v.level}}
	switch {
	case v.asksMxauth():
		r.Options = append(r.Options, "smtp_tls_policy_maps=socketmap:inet:"+w.tables[group]+":"+v.table)
	case v.table == byResolver:
		r.Options = append(r.Options, "smtp_tls_policy_maps=socketmap:inet:"+w.other+":"+v.table)
	}
	if v.cured {
		r.Options = append(r.Options, "smtp_tls_dane_insecure_mx_policy=dane")
	}
	return r
}

// ship sends a message for each situation and variant, and returns their results.
func (w *mailWorld) ship(t *testing.T, root *peers.DebianRoot) []*shipment {
	t.Helper()
	var out []*shipment
	byID := map[string]*shipment{}
	perSender := map[string][]peers.Message{}
	routes := map[string][]peers.Route{}
	for k, v := range variants {
		for _, g := range w.groups {
			routes[v.sender] = append(routes[v.sender], w.routeOf(v, g))
		}
		for i, s := range w.situations {
			reply, err := mtapolicy.Postfix(s.check.Plan, mtapolicy.Options{Form: v.form()})
			if err != nil {
				t.Fatal(err)
			}
			if !v.ships(s, reply) {
				continue
			}
			sh := &shipment{situation: s, variant: v, reply: reply, message: peers.Message{ID: fmt.Sprintf("v%dw%d", k, i), Route: w.route(v, s.group)}}
			sh.message.Domain, sh.message.NextHop = recipient(s)
			byID[sh.message.ID] = sh
			perSender[v.sender] = append(perSender[v.sender], sh.message)
			out = append(out, sh)
		}
	}
	var wg sync.WaitGroup
	for i, name := range []string{"host", "trixie"} {
		c := peers.SenderConfig{Address: fmt.Sprintf("127.8.0.%d:2525", i+1), Resolver: labResolver, CA: w.ca, Routes: routes[name], Messages: perSender[name]}
		if name == "trixie" {
			c.Root = root
		}
		s := peers.StartSender(t, c)
		w.postfix[name] = s
		t.Logf("%s: Postfix %s sends %d messages", name, s.Version, len(perSender[name]))
		wg.Go(func() {
			s.Send(t, perSender[name])
			for id, d := range s.Deliveries(t, perSender[name], sendPatience) {
				byID[id].got = d
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// recipient is the domain of a recipient about a situation, and the next hop if it is
// another one.
func recipient(s *situation) (domain, nextHop string) {
	domain = s.Domain
	if k, err := mtapolicy.ParseKey(s.Domain); err == nil {
		domain = k.NextHop
	}
	if strings.ContainsAny(domain, "[]:") || !strings.Contains(domain, ".") {
		domain = "routed.invalid"
	}
	if s.key != domain {
		nextHop = s.key
	}
	return domain, nextHop
}
