package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/dane"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/probe"
	"github.com/mxauth/mxauth/engine/reason"
)

// tlsaCheckFlags are the flags of tlsa check, as typed.
type tlsaCheckFlags struct {
	cert      string
	since     string
	ttl       time.Duration
	port      uint16
	noConnect bool
}

func newTLSACheck(e *env) *cobra.Command {
	var f tlsaCheckFlags
	cmd := &cobra.Command{
		Use:   "check DOMAIN|HOST:PORT",
		Short: "Hold published TLSA records against the certificates that the hosts show",
		Long: `Check looks up the TLSA records of each mail host of a domain (or of one host, given with
its port, without MX lookup), says of each record whether it can be used, speaks with
the host up to STARTTLS, and says which record its certificate matches and why the
others do not.

With --cert FILE (a certificate with its chain, or a key) it says as well whether the
published records fit the certificate that is to come next, which ones are missing, and
when it is safe to switch: two TTLs after current and next were published side by side
(RFC 7671 section 8.1). --since says when that was; without it, it counts as now.

The exit status is 0 if the records of every host match (and, with --cert, it is safe to
switch), 1 if mail goes unauthenticated (no usable records; with --cert: wait), 2 if mail
is refused (nothing matches; with --cert: the next certificate would be), 3 if a lookup
fails or a host cannot be reached; over several hosts the highest.`,
		Example: `  mxauth tlsa check example.org
  mxauth tlsa check mx.example.org:25 --cert next.pem --since 36h`,
		Args: arguments(1, 1),
	}
	fl := cmd.Flags()
	fl.StringVar(&f.cert, "cert", "", "`FILE` with the certificate, and its chain, or the key that is to come next")
	fl.StringVar(&f.since, "since", "", "`TIME` since when the records are published as they are: 2026-03-01T12:00:00Z, or how long ago: 36h")
	fl.DurationVar(&f.ttl, "ttl", 0, "`TTL` of the records in their zone, such as 1h (default: that of their signature)")
	fl.Uint16Var(&f.port, "port", 0, "`PORT` of the hosts of a domain (default 25)")
	fl.BoolVar(&f.noConnect, "no-connect", false, "use DNS alone, connect to no host")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return runTLSACheck(cmd.Context(), e, &f, args[0]) }
	return cmd
}

// published reads --since; the zero time if it is not given.
func (f *tlsaCheckFlags) published(now time.Time) (time.Time, error) {
	if f.since == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(f.since); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, f.since)
	if err != nil || t.After(now) {
		return t, usageError("--since: %.60q is neither a time in the past (2026-03-01T12:00:00Z) nor a duration (36h)", f.since)
	}
	return t, nil
}

func runTLSACheck(ctx context.Context, e *env, f *tlsaCheckFlags, arg string) error {
	now := e.now()
	since, err := f.published(now)
	if err != nil {
		return err
	}
	if err := checkTTL(f.ttl); err != nil {
		return err
	}
	var meant *meantError
	if err := cmp.Or(fileTyped(arg), noDomain(arg)); errors.As(err, &meant) && (meant.host == "" || meant.domain == "" || strings.HasPrefix(arg, "_")) {
		return usageError("%w", err)
	}
	req := engine.Request{NextHop: arg, Level: engine.LevelDANE, Port: f.port, Sorted: true}
	if strings.Contains(arg, ":") && !strings.HasPrefix(arg, "[") {
		if req.NextHop, err = bracketed(arg, dane.DefaultPort); err != nil {
			return usageError("%.200q: %w", arg, err)
		}
	}
	if isFile(arg) {
		if err := checkNextHop(arg); err != nil || strings.HasSuffix(arg, ".pem") {
			return &exitError{code: exitUsage, err: fmt.Errorf("%.200q is no domain", arg), hint: "the file goes after --cert: mxauth tlsa check DOMAIN --cert " + arg}
		}
	}
	if err := checkArgument(req.NextHop); err != nil {
		return usageError("%w", err)
	}
	c := tlsaChecker{e: e, f: f, since: since}
	if f.cert != "" {
		m, err := e.readMaterial(f.cert)
		if err != nil {
			return err
		}
		next := m.Peer()
		c.next = &next
	}
	cl, err := e.open(ctx, storeFills, mxauth.Config{})
	if err != nil {
		return err
	}
	defer cl.close()
	plan, err := cl.Plan(ctx, req)
	switch {
	case errors.Is(err, engine.ErrRequest):
		return usageError("%w", err)
	case err != nil:
		return err
	}
	defer cl.faults.complain(e.out)
	if plan.MX.Outcome != engine.OutcomeNone {
		c.noHosts(plan, arg)
		if plan.MX.Outcome == engine.Deferred {
			return exitWith(cl.faults.status(exitDeferred))
		}
		return exitWith(exitRefused)
	}
	code := 0
	results, err := c.probe(ctx, cl, plan)
	if err != nil {
		return err
	}
	for i, h := range plan.Hosts {
		row := c.host(h, results[i])
		row.Domain = arg
		code = worse(code, row.exit())
		if err := c.print(row, i > 0); err != nil {
			return err
		}
	}
	return exitWith(cl.faults.status(code))
}

// A tlsaChecker looks at hosts.
type tlsaChecker struct {
	e     *env
	f     *tlsaCheckFlags
	since time.Time
	next  *dane.Peer // of --cert; nil if not given
}

// A tlsaRow is the JSON object of one host.
type tlsaRow struct {
	V         int           `json:"v"`
	Domain    string        `json:"domain"` // as asked
	Host      string        `json:"host"`
	Port      uint16        `json:"port"`
	State     string        `json:"state"` // "usable", "unusable", "none", "na", "error"
	Base      string        `json:"base"`  // the TLSA base domain
	TTL       int64         `json:"ttl"`   // seconds
	Reason    string        `json:"reason"`
	Records   []tlsaUse     `json:"records"`
	Addresses []tlsaAddress `json:"addresses"`
	Next      *tlsaNext     `json:"next,omitempty"`

	code int
}

// A tlsaUse is one published record.
type tlsaUse struct {
	Record string `json:"record"`
	Usable bool   `json:"usable"`
	Why    string `json:"why,omitempty"` // why it is not
}

// A tlsaAddress is what one address showed.
type tlsaAddress struct {
	Address string `json:"address"`
	Key     string `json:"key,omitempty"` // of one of two certificates
	Event   string `json:"event"`
	// Handshake is not complete where Go's TLS library is in the way; Note says why.
	Handshake engine.Handshake `json:"handshake,omitzero"`
	Note      string           `json:"note,omitempty"`
	OK        bool             `json:"ok"`
	Matched   string           `json:"matched,omitempty"`
	Depth     int              `json:"depth"`
	Error     string           `json:"error,omitempty"`
	Trace     []tlsaResult     `json:"trace,omitempty"`

	peer dane.Peer
}

// A tlsaResult is what one record came to.
type tlsaResult struct {
	Record string `json:"record"`
	OK     bool   `json:"ok"`
	Depth  int    `json:"depth"`
	Why    string `json:"why,omitempty"`
}

// A tlsaNext is what the published records make of the next certificate.
type tlsaNext struct {
	State    string       `json:"state"` // "publish", "wait", "safe", "unfit"
	Error    string       `json:"error,omitempty"`
	Earliest *time.Time   `json:"earliest,omitempty"`
	Latest   *time.Time   `json:"latest,omitempty"`
	Missing  []dane.Entry `json:"missing"`
	Stale    []dane.Entry `json:"stale"`

	free bool // no usable record is published
}

// exit is the exit status that a host asks for.
func (r *tlsaRow) exit() int { return r.code }

// probe connects to the hosts whose records can be held against what they show.
func (c *tlsaChecker) probe(ctx context.Context, cl *client, plan *engine.Plan) ([]probe.HostResult, error) {
	p := *plan
	p.Hosts = slices.Clone(plan.Hosts)
	for i := range p.Hosts {
		h := &p.Hosts[i]
		if h.DANE.State != dane.Usable || c.f.noConnect {
			h.Requirement, h.Skipped = engine.Skip, engine.Deferred
			continue
		}
		h.Requirement = engine.DANE
		h.SNI = h.DANE.Base.String() // as a sender with DANE says it (RFC 7672 section 8.1)
	}
	v, err := cl.Probe(ctx, &p)
	return v.Hosts, err
}

// host looks at one host of the plan, and at what its addresses showed.
func (c *tlsaChecker) host(h engine.Host, shown probe.HostResult) *tlsaRow {
	row := &tlsaRow{V: rowVersion, Host: h.String(), Port: h.Port, State: h.DANE.State.String(), Reason: explain.Text(h.Reason),
		Records: []tlsaUse{}, Addresses: []tlsaAddress{}}
	if h.DANE.Address == dane.AddressFailed && h.Name.IsValid() {
		row.code = exitDeferred
		return row
	}
	switch h.DANE.State {
	case dane.Failed:
		row.code = exitDeferred
		return row
	case dane.NA, dane.None:
		row.code = exitDeliverable
	case dane.Unusable:
		row.code = exitDeliverable
		fallthrough
	case dane.Usable:
		row.Base = h.DANE.Base.String()
	}
	for _, u := range h.DANE.Set.Uses() {
		row.Records = append(row.Records, tlsaUse{u.Record.String(), u.Usable, explain.RecordUse(u)})
	}
	ttl := c.ttl(h)
	row.TTL = int64(ttl / time.Second)
	for _, r := range shown.Addresses {
		a := c.address(h, r)
		row.Addresses = append(row.Addresses, a)
		switch {
		case a.Event == engine.NoConnection.String():
			row.code = worse(row.code, exitDeferred)
		case !a.OK:
			row.code = worse(row.code, exitRefused)
		}
	}
	if c.next != nil && h.Name.IsValid() {
		row.Next = c.rollover(h, row, ttl)
	}
	return row
}

// ttl is that of the published records.
func (c *tlsaChecker) ttl(h engine.Host) time.Duration {
	if c.f.ttl > 0 {
		return c.f.ttl
	}
	n := len(h.DANE.TLSA)
	if n == 0 || len(h.DANE.TLSA[n-1].Answer.Records) == 0 {
		return 0
	}
	ttl, known := h.DANE.TLSA[n-1].PublishedTTL()
	if !known && c.next != nil {
		c.e.out.Notef("the TTL of the TLSA records of %s in their zone is not known, since the answer has no signature; %s is assumed, --ttl says it", h.String(), ttl)
	}
	return ttl
}

// address judges what one address showed.
func (c *tlsaChecker) address(h engine.Host, r probe.AddressResult) tlsaAddress {
	peer := r.Peer
	out := tlsaAddress{Address: r.Address.String(), Key: explain.KeyOf(&peer), Event: peer.Event.String(), Depth: -1}
	out.Handshake, out.Note = peer.Handshake, ownNote(r.Decision)
	if peer.Event != engine.HandshakeDone {
		out.Error = peer.Detail
		return out
	}
	out.peer = dane.Peer{Certs: peer.Certificates(), RawKey: peer.RawKey}
	res, err := h.DANE.Set.Verify(out.peer, dane.Options{References: h.DANERefs, At: c.e.now()})
	out.OK, out.Depth = err == nil, res.Depth
	if err == nil {
		out.Matched = res.Matched.String()
	} else {
		out.Error = daneText(err)
	}
	for i, t := range res.Trace {
		out.Trace = append(out.Trace, tlsaResult{t.Record.String(), t.OK, t.Depth, explain.RecordResult(h.DANE.Set, i, t)})
	}
	return out
}

// ownNote is the sentence of the reason own-tls; "" if that is none of the decision's.
func ownNote(d engine.Decision) string {
	for _, r := range append([]engine.Reason{d.Reason}, d.Details...) {
		if r.ID == reason.OwnTLS {
			return explain.Text(r)
		}
	}
	return ""
}

// daneText is a failure of package dane without what all of them begin with.
func daneText(err error) string {
	return strings.TrimPrefix(errorText(err), errorText(dane.ErrNotAuthenticated)+": ")
}

// rollover judges the next certificate. The present one is that of the first address
// which showed any.
func (c *tlsaChecker) rollover(h engine.Host, row *tlsaRow, ttl time.Duration) *tlsaNext {
	req := dane.RolloverRequest{Set: h.DANE.Set, TTL: ttl, Published: c.since, Next: *c.next,
		Options: dane.Options{References: h.DANERefs, At: c.e.now()}}
	for _, a := range row.Addresses {
		if len(a.peer.Certs) > 0 || len(a.peer.RawKey) > 0 {
			req.Current = a.peer
			break
		}
	}
	r := dane.CheckRollover(req)
	base := h.DANE.Base
	if !base.IsValid() {
		base = h.Name
	}
	out := &tlsaNext{State: r.State.String(), free: len(h.DANE.Set.Usable()) == 0, Missing: entries(base, h.Port, ttl, r.Missing), Stale: entries(base, h.Port, ttl, r.Stale)}
	if r.NextErr != nil && !out.free {
		out.Error = daneText(r.NextErr)
	}
	if !r.Earliest.IsZero() {
		t := r.Earliest.UTC()
		out.Earliest = &t
	}
	if !r.Latest.IsZero() {
		t := r.Latest.UTC()
		out.Latest = &t
	}
	switch r.State {
	case dane.RolloverSafe:
	case dane.RolloverWait:
		row.code = worse(row.code, exitDeliverable)
	default:
		row.code = worse(row.code, exitRefused)
	}
	return out
}

// print prints one host as the user asked for it.
func (c *tlsaChecker) print(r *tlsaRow, more bool) error {
	out := c.e.out
	if c.e.flags.json {
		c.e.printJSON(r)
		return out.flushed()
	}
	if more {
		out.Linef("")
	}
	r.human(out)
	return out.flushed()
}

// noHosts says why there is no host to look at.
func (c *tlsaChecker) noHosts(p *engine.Plan, arg string) {
	if c.e.flags.json {
		c.e.printJSON(errorRow{rowVersion, arg, explain.Text(p.MX.Reason)})
		return
	}
	c.e.out.Linef("%s: %s", paint(strong, arg), explain.Text(p.MX.Reason))
}
