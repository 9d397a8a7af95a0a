package lab

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// A world is a [World] made real, in the one or two states that it has.
type world struct {
	spec     World
	domain   string // A-labels, fully qualified
	now, was *state
	forged   bool // guarded by Lab.mu: Forge was called
}

// A state is what is served of a world at a time.
type state struct {
	zones  []*zone
	faults []Fault
	addrs  map[string][]netip.Addr // of hosts, by name
	chains map[string]*chain       // first chain of a host
	// policies are what the policy hosts serve, by name.
	policies map[string]*policyState
	ttl      uint32
}

// state is what the world is now. The caller holds Lab.mu.
func (w *world) state() *state {
	if w.was != nil && !w.forged {
		return w.was
	}
	return w.now
}

// Ports of the lab's servers.
const (
	portSMTP  = 25
	portHTTPS = 443
)

// Where the addresses of a world lie in 127.a.b.0/24: mail servers from 1 on, those of
// its first state from 101, its policy hosts at 201 and 202.
const (
	firstNet   = 16
	netsPerTop = 250
	wasHosts   = 100
	stsHosts   = 200
)

// maxWorlds is how many worlds one lab can hold: as many as 127.16.0.0 to
// 127.255.255.255 have networks, cut to what file descriptors bear with RealPorts.
const maxWorlds = 2000

// realise makes the i-th world.
func (l *Lab) realise(i int, spec World) (*world, error) {
	if i >= maxWorlds {
		return nil, fmt.Errorf("more than %d worlds", maxWorlds)
	}
	ascii, err := idna.Lookup.ToASCII(spec.Domain)
	if err != nil {
		return nil, err
	}
	w := &world{spec: spec, domain: fqdn(ascii)}
	ttl := uint32(usualTTL)
	if spec.Was != nil {
		ttl = 0
		was := *spec.Was
		w.spec.Was = &was
		if w.was, err = l.makeState(w, i, &was, ttl, 1); err != nil {
			return nil, fmt.Errorf("was: %w", err)
		}
	}
	w.now, err = l.makeState(w, i, &w.spec, ttl, 0)
	if err != nil {
		return nil, err
	}
	w.spec.Request.NextHop, err = expand(spec.Request.NextHop, w.now, true)
	return w, err
}

// builder gathers the records of a state.
type builder struct {
	lab   *Lab
	world *world
	spec  World
	net   netip.Addr // 127.a.b.0
	part  int        // 1 for what the world was
	st    *state
	lines []string

	published Published
	addrs     map[int][]netip.Addr // by place of the host
}

// record adds a line of a zone file, and what is shown of it in a list of worlds.
func (b *builder) record(line, shown string) {
	b.lines = append(b.lines, line)
	b.published.Records = append(b.published.Records, shown)
}

// once adds a line that is not there yet.
func (b *builder) once(line string) {
	if !slices.Contains(b.lines, line) {
		b.record(line, line)
	}
}

// makeState makes what is served of spec, and completes spec with it.
func (l *Lab) makeState(w *world, i int, spec *World, ttl uint32, part int) (*state, error) {
	b := &builder{
		lab: l, world: w, spec: *spec, part: part,
		published: Published{Records: []string{}}, addrs: map[int][]netip.Addr{},
		net: netip.AddrFrom4([4]byte{127, byte(firstNet + i/netsPerTop), byte(1 + i%netsPerTop), 0}),
		st: &state{
			faults: spec.Faults, ttl: ttl,
			addrs: map[string][]netip.Addr{}, chains: map[string]*chain{}, policies: map[string]*policyState{},
		},
	}
	for n, h := range spec.Hosts {
		if err := b.host(n, h); err != nil {
			return nil, fmt.Errorf("host %s: %w", h.Name, err)
		}
	}
	if spec.STS != nil {
		if err := b.sts(spec.STS); err != nil {
			return nil, fmt.Errorf("mta-sts: %w", err)
		}
	}
	if spec.TLSRPT != "" {
		b.once(fmt.Sprintf("_smtp._tls.%s TXT %q", w.domain, spec.TLSRPT))
	}
	for _, r := range spec.Records {
		line, err := expand(r, b.st, true)
		if err != nil {
			return nil, fmt.Errorf("record %q: %w", r, err)
		}
		shown, err := expand(r, b.st, false)
		if err != nil {
			return nil, fmt.Errorf("record %q: %w", r, err)
		}
		b.record(line, shown)
	}
	spec.describe(b)
	return b.st, b.zones()
}

// address is the n-th address of the world, and its IPv6 sister.
func (b *builder) address(n int) (v4, v6 netip.Addr) {
	a := b.net.As4()
	a[3] = byte(n)
	return netip.AddrFrom4(a), netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x6d, 3: 0x78, 4: a[1], 5: a[2], 15: byte(n)})
}

// host adds a mail server: its records, its chain and its endpoint.
func (b *builder) host(n int, h Host) error {
	name := fqdn(h.Name)
	c, err := b.lab.pki.chain(h.Chain, strings.TrimSuffix(name, "."))
	if err == nil {
		c, err = stateChain(h.SMTP.State, c, strings.TrimSuffix(name, "."))
	}
	if err != nil {
		return err
	}
	if h.Second != nil {
		if c.second, err = b.lab.pki.chain(*h.Second, strings.TrimSuffix(name, ".")); err != nil {
			return err
		}
	}
	if b.st.chains[name] == nil {
		b.st.chains[name] = c
	}
	mx := fmt.Sprintf("%s MX %d %s", b.world.domain, h.Pref, name)
	if !h.NotMX && !b.spec.NoMX {
		b.once(mx)
	}
	at := name
	if h.Alias != "" {
		at = fqdn(h.Alias)
		b.once(name + " CNAME " + at)
	}
	if h.Port == 0 {
		h.Port = portSMTP
	}
	srv := &mailServer{smtp: h.SMTP, chain: c, bySNI: map[string]*chain{}}
	for sni, spec := range h.BySNI {
		if srv.bySNI[sni], err = b.lab.pki.chain(spec, sni); err != nil {
			return err
		}
	}
	if !h.NoAddress {
		v4, v6 := b.address(1 + n + b.part*wasHosts)
		var addrs []netip.Addr
		if !h.NoV4 {
			addrs = append(addrs, v4)
			b.once(fmt.Sprintf("%s A %s", at, v4))
		}
		if h.V6 {
			addrs = append(addrs, v6)
			b.once(fmt.Sprintf("%s AAAA %s", at, v6))
		}
		b.addrs[n] = addrs
		for _, a := range addrs {
			b.st.addrs[name] = append(b.st.addrs[name], a)
			p := netip.AddrPortFrom(a, h.Port)
			b.lab.ports[p] = &endpoint{
				at: p, serve: srv.serve,
				refuses: h.SMTP.State == ConnRefused, swallows: h.SMTP.State == ConnTimeout,
			}
		}
	}
	for _, t := range h.TLSA {
		base := name
		if other, rest, ok := strings.Cut(t, "@"); ok {
			base, t = fqdn(strings.TrimSpace(other)), rest
		}
		data, err := c.tlsa(t)
		if err != nil {
			return err
		}
		owner := fmt.Sprintf("_%d._tcp.%s", h.Port, base)
		if h.TLSATTL != 0 {
			owner += fmt.Sprintf(" %d", h.TLSATTL)
		}
		if line := owner + " TLSA " + data; !slices.Contains(b.lines, line) {
			b.record(line, owner+" TLSA {"+t+" "+b.serverName(n)+"}")
		}
	}
	return nil
}

// serverName names the n-th host in a list of worlds: by its name, and by its address too if
// an earlier host has that name.
func (b *builder) serverName(n int) string {
	name := strings.TrimSuffix(fqdn(b.spec.Hosts[n].Name), ".")
	if len(b.addrs[n]) > 0 && slices.ContainsFunc(b.spec.Hosts[:n], func(h Host) bool { return fqdn(h.Name) == fqdn(name) }) {
		name += " " + b.addrs[n][0].String()
	}
	return name
}

// sts adds the record, the policy host and its endpoint.
func (b *builder) sts(s *STS) error {
	id := s.ID
	if id == "" {
		id = "1"
	}
	domain := b.world.domain
	if s.At != "" {
		domain = fqdn(s.At)
	}
	txt := s.TXT
	if txt == nil {
		txt = []string{"v=STSv1; id=" + id + ";"}
	}
	for _, t := range txt {
		b.record(fmt.Sprintf("_mta-sts.%s TXT %q", domain, t), fmt.Sprintf("_mta-sts.%s TXT %q", domain, t))
	}
	host := "mta-sts." + domain
	c, err := b.lab.pki.chain(s.Chain, strings.TrimSuffix(host, "."))
	if err != nil {
		return err
	}
	v4, _ := b.address(stsHosts + 1 + b.part)
	if !s.NoHost {
		b.once(fmt.Sprintf("%s A %s", host, v4))
	}
	state := &policyState{body: b.policy(s), how: s.HTTP}
	b.st.policies[host] = state
	b.published.Policy = &Policy{URL: "https://" + strings.TrimSuffix(host, ".") + wellKnown, Host: v4, Answer: s.HTTP, Body: Body(state.body)}
	srv := &policyServer{state: state, chain: c}
	p := netip.AddrPortFrom(v4, portHTTPS)
	b.lab.ports[p] = &endpoint{at: p, serve: srv.serve, refuses: s.HTTP == HTTPRefused}
	return nil
}

// usualMaxAge is a week, in seconds.
const usualMaxAge = 604800

// policy writes the policy's text (RFC 8461 section 3.2).
func (b *builder) policy(s *STS) string {
	if s.Body != "" {
		return string(s.Body)
	}
	mx := s.MX
	if mx == nil {
		for _, h := range b.spec.Hosts {
			if !h.NotMX && !slices.Contains(mx, h.Name) {
				mx = append(mx, h.Name)
			}
		}
	}
	age := s.MaxAge
	if age == 0 {
		age = usualMaxAge
	}
	var t strings.Builder
	fmt.Fprintf(&t, "version: STSv1\r\nmode: %s\r\n", s.Mode)
	for _, m := range mx {
		fmt.Fprintf(&t, "mx: %s\r\n", m)
	}
	fmt.Fprintf(&t, "max_age: %d\r\n", age)
	return t.String()
}

var macro = regexp.MustCompile(`\{([^}]*)\}`)

// expand replaces what is in braces in a record or a request: addresses always, the data
// of TLSA records if tlsa says so.
func expand(line string, st *state, tlsa bool) (string, error) {
	var err error
	out := macro.ReplaceAllStringFunc(line, func(m string) string {
		words := strings.Fields(strings.Trim(m, "{}"))
		if len(words) == 0 {
			err = fmt.Errorf("empty braces")
			return m
		}
		name := fqdn(words[len(words)-1])
		switch {
		case len(words) == 2 && words[0] == "A" && len(st.addrs[name]) > 0:
			return st.addrs[name][0].String()
		case len(words) == 5 && st.chains[name] != nil && !tlsa:
			return m
		case len(words) == 5 && st.chains[name] != nil:
			var data string
			if data, err = st.chains[name].tlsa(strings.Join(words[:4], " ")); err == nil {
				return data
			}
		default:
			err = fmt.Errorf("%s is not known", m)
		}
		return m
	})
	return out, err
}

// zones gives each record to the deepest zone that holds it.
func (b *builder) zones() error {
	specs := b.spec.Zones
	if specs == nil {
		specs = []Zone{{Apex: b.world.domain}}
	}
	lines := make([][]string, len(specs))
	for _, line := range b.lines {
		owner, _, _ := strings.Cut(line, " ")
		best := -1
		for i, z := range specs {
			if inZone(owner, fqdn(z.Apex)) && (best < 0 || len(fqdn(z.Apex)) > len(fqdn(specs[best].Apex))) {
				best = i
			}
		}
		if best < 0 {
			return fmt.Errorf("no zone of the world holds %s", owner)
		}
		lines[best] = append(lines[best], line)
	}
	for i, spec := range specs {
		z, err := newZone(spec, lines[i], b.st.ttl, b.lab.now, &b.lab.keys)
		if err != nil {
			return err
		}
		z.world = b.spec.Name
		if z.world == "" {
			z.world = b.world.spec.Name
		}
		b.st.zones = append(b.st.zones, z)
	}
	return nil
}

// inZone reports whether a name is the apex or below it.
func inZone(name, apex string) bool {
	name = fqdn(name)
	return name == apex || strings.HasSuffix(name, "."+apex)
}
