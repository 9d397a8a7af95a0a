package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// An Edit is a change that the owner of a world's domain makes: of the records at one name,
// of the policy that is served, or of both.
type Edit struct {
	World string
	// Records are all records of Type at Owner after the change, a line of a zone file each;
	// none: there are no such records any more. Without an Owner no record is changed.
	Owner, Type string
	Records     []string
	// Instead is a type of records at Owner that go in the same change.
	Instead string
	// URL and Body are the policy that is served from now on, with status 200 and as
	// text/plain.
	URL, Body string
}

// policyState is what a policy host serves now.
type policyState struct {
	mu   sync.Mutex // guards what follows
	body string
	how  HTTP
}

func (s *policyState) get() (body string, how HTTP) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body, s.how
}

// Publish makes the edits of each world, in their order, and signs its zones again. An edit
// that no name server or web server could carry out is not made, and its error is that at
// its place in errs: the owner is in no zone of the world, a record is at the name of an alias, a
// line does not parse, or no policy host has the URL. Worlds with Was are edited as they are
// now.
func (l *Lab) Publish(edits []Edit) (errs []error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	errs = make([]error, len(edits))
	for i, e := range edits {
		n := slices.IndexFunc(l.worlds, func(w *world) bool { return w.spec.Name == e.World })
		if n < 0 {
			errs[i] = fmt.Errorf("lab: no world %q", e.World)
			continue
		}
		errs[i] = l.worlds[n].state().edit(e)
	}
	return errs, l.relink()
}

// edit makes one change.
func (st *state) edit(e Edit) error {
	if e.URL != "" {
		host, path, ok := strings.Cut(strings.TrimPrefix(e.URL, "https://"), "/")
		p := st.policies[fqdn(host)]
		if !ok || p == nil || "/"+path != wellKnown {
			return fmt.Errorf("nothing serves %s", e.URL)
		}
		p.mu.Lock()
		p.body, p.how = e.Body, HTTP200
		p.mu.Unlock()
	}
	if e.Owner == "" {
		return nil
	}
	owner, typ := fqdn(e.Owner), dns.StringToType[e.Type]
	best := -1
	for i, z := range st.zones {
		if inZone(owner, z.apex) && (best < 0 || len(z.apex) > len(st.zones[best].apex)) {
			best = i
		}
	}
	if best < 0 || typ == 0 {
		return fmt.Errorf("no zone of the world holds %s %s", owner, e.Type)
	}
	old := st.zones[best]
	sets := maps.Clone(old.data[owner])
	if sets == nil {
		sets = map[uint16][]dns.RR{}
	}
	delete(sets, typ)
	delete(sets, dns.StringToType[e.Instead])
	for _, line := range e.Records {
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			return fmt.Errorf("%q: %v", line, err)
		}
		if h := rr.Header(); strings.ToLower(h.Name) != owner || h.Rrtype != typ {
			return fmt.Errorf("%q is not of %s %s", line, owner, e.Type)
		}
		if !slices.ContainsFunc(sets[typ], func(o dns.RR) bool { return dns.IsDuplicate(o, rr) }) {
			sets[typ] = append(sets[typ], rr)
		}
	}
	if len(sets[dns.TypeCNAME]) > 0 && len(sets) > 1 {
		return fmt.Errorf("%s %s beside an alias", owner, e.Type)
	}
	z := &zone{apex: old.apex, spec: old.spec, ttl: old.ttl, now: old.now, world: old.world, keys: old.keys, false: old.false,
		cuts: map[string]*zone{}, data: maps.Clone(old.data)}
	if z.data[owner] = sets; len(sets) == 0 {
		delete(z.data, owner)
	}
	st.zones[best] = z
	return nil
}
