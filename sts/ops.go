package sts

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
)

// An Item is a kept policy as an operator sees it, and the form of a line of an export.
type Item struct {
	V        int          `json:"v"` // 1
	Domain   rfc6125.Host `json:"domain"`
	ID       string       `json:"id"`
	Mode     Mode         `json:"mode"`
	MaxAge   int64        `json:"max_age"` // seconds
	MX       []Pattern    `json:"mx"`
	Fetched  time.Time    `json:"fetched"`          // the last successful HTTPS fetch
	Expires  time.Time    `json:"expires"`          // Fetched plus max_age
	Tried    *time.Time   `json:"tried,omitempty"`  // the last refresh that failed since Fetched
	Failures int          `json:"failures"`         // refreshes that failed since Fetched
	Policy   string       `json:"policy,omitempty"` // the body; left out by List
}

// UnmarshalText reads what [Mode.MarshalText] prints.
func (m *Mode) UnmarshalText(b []byte) error {
	if *m = parseMode(string(b)); *m == 0 {
		return fault.Errorf("sts", "no such mode: %.20q", b)
	}
	return nil
}

// UnmarshalText reads what [Pattern.MarshalText] prints. An error wraps [ErrPolicy].
func (p *Pattern) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePattern(string(b))
	return err
}

func itemOf(domain rfc6125.Host, k storedPolicy, p *Policy) Item {
	i := Item{V: itemVersion, Domain: domain, ID: k.id, Mode: p.Mode, MaxAge: int64(p.MaxAge / time.Second), MX: p.MX,
		Fetched: k.fetched.UTC(), Expires: k.expires.UTC(), Failures: int(k.failures), Policy: p.Text}
	if i.MX == nil {
		i.MX = []Pattern{}
	}
	if !k.tried.IsZero() {
		t := k.tried.UTC()
		i.Tried = &t
	}
	return i
}

const (
	itemVersion = 1
	// maxImportLine bounds a line of an import: a policy of 64 KiB whose every octet is
	// escaped, and the rest.
	maxImportLine = 7 * MaxPolicySize
	// importBatch is how many policies are stored at once.
	importBatch = 1000
)

// ErrImport is wrapped by the error of [Cache.Import] about a line that is no item.
var ErrImport = fault.New("sts", "bad line in an import")

// List calls f for every unexpired policy, in no order, until it returns false. Items have
// no Policy. Errors wrap [store.ErrUnavailable]; about an entry that cannot be read it
// comes after all others.
func (c *Cache) List(ctx context.Context, f func(Item) bool) error {
	return c.items(ctx, func(i Item) bool {
		i.Policy = ""
		return f(i)
	})
}

func (c *Cache) items(ctx context.Context, f func(Item) bool) error {
	var first error
	err := c.each(ctx, func(domain rfc6125.Host, k storedPolicy) bool {
		p, err := k.policy(domain)
		if err != nil {
			if first == nil {
				first = err
			}
			return true
		}
		return f(itemOf(domain, k, p))
	})
	if err != nil {
		return err
	}
	return first
}

// Show returns the kept policy of one domain; ok is false if there is none. Errors wrap
// [store.ErrUnavailable].
func (c *Cache) Show(ctx context.Context, domain rfc6125.Host) (i Item, ok bool, err error) {
	k, ok, err := c.get(ctx, domain)
	if err != nil || !ok {
		return Item{}, false, err
	}
	p, err := k.policy(domain)
	if err != nil {
		return Item{}, false, err
	}
	return itemOf(domain, k, p), true, nil
}

// Export writes every unexpired policy to w, one JSON object a line, and returns how many.
// Errors are those of w, or wrap [store.ErrUnavailable].
func (c *Cache) Export(ctx context.Context, w io.Writer) (n int, err error) {
	bw := bufio.NewWriter(w)
	enc := json.NewEncoder(bw)
	enc.SetEscapeHTML(false)
	var werr error
	err = c.items(ctx, func(i Item) bool {
		if werr = enc.Encode(i); werr != nil {
			return false
		}
		n++
		return true
	})
	if werr == nil {
		werr = bw.Flush()
	}
	if werr != nil {
		return n, werr
	}
	return n, err
}

// Imported counts the lines of an import.
type Imported struct {
	Stored  int
	Expired int // left out: their time is over
	Older   int // left out: another line for the domain, or what is kept, is newer or the same
}

// Import reads what [Cache.Export] has written and keeps it. Of each line only domain, id,
// fetched and policy count; the end is counted again from them, and a fetch that lies in the
// future is an error. For each domain the newest wins, among the lines in whatever order and
// what is kept. A policy that was deleted comes back. who is noted in the log.
//
// The first bad line ends the import with an error that wraps [ErrImport] and names it;
// lines before it may have been stored, and importing again does no harm.
func (c *Cache) Import(ctx context.Context, r io.Reader, who string) (n Imported, err error) {
	defer func() {
		level, attrs := slog.LevelInfo, []slog.Attr{slog.String("who", who), slog.Int("stored", n.Stored), slog.Int("expired", n.Expired), slog.Int("older", n.Older)}
		if err != nil {
			level, attrs = slog.LevelError, append(attrs, slog.String("error", err.Error()))
		}
		c.log.LogAttrs(ctx, level, "mta-sts policies imported", attrs...)
	}()
	batch := map[rfc6125.Host]storedPolicy{} // the newest line of each domain
	flush := func() error {
		stored, err := c.putNewer(ctx, batch)
		n.Stored += stored
		if err == nil {
			n.Older += len(batch) - stored
		}
		clear(batch)
		return err
	}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxImportLine)
	line := 0
	for sc.Scan() {
		line++
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		domain, k, err := c.importLine(sc.Bytes())
		if err != nil {
			return n, errors.Join(fmt.Errorf("%w %d: %w", ErrImport, line, err), flush())
		}
		if !c.now().Before(k.expires) {
			n.Expired++
			continue
		}
		if other, ok := batch[domain]; ok {
			n.Older++ // one of the two
			if !k.newer(other) {
				continue
			}
		}
		if batch[domain] = k; len(batch) == importBatch {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	if err := sc.Err(); err != nil {
		return n, errors.Join(fmt.Errorf("%w %d: %w", ErrImport, line+1, err), flush())
	}
	return n, flush()
}

// putNewer stores those of batch that are newer than what is kept of their domains, and
// returns how many.
func (c *Cache) putNewer(ctx context.Context, batch map[rfc6125.Host]storedPolicy) (stored int, err error) {
	var entries []store.Entry
	for domain, k := range batch {
		old, ok, err := c.fresh(ctx, domain)
		switch {
		case err != nil:
			return 0, err
		case !ok || k.newer(old):
			entries = append(entries, k.encode(domain))
		}
	}
	if len(entries) == 0 {
		return 0, nil
	}
	if err := store.PutAll(ctx, c.store, entries); err != nil {
		return 0, err
	}
	return len(entries), nil
}

// newer reports whether k takes the place of old: it was fetched later. Of two fetched at
// the same instant the stricter mode counts, then the longer life, then the order of their
// octets, so that the order in which they come decides nothing.
func (k storedPolicy) newer(old storedPolicy) bool {
	return cmp.Or(k.fetched.Compare(old.fetched), cmp.Compare(k.mode, old.mode), k.expires.Compare(old.expires),
		strings.Compare(k.id, old.id), strings.Compare(k.text, old.text)) > 0
}

func (c *Cache) importLine(b []byte) (rfc6125.Host, storedPolicy, error) {
	var i struct { // the fields of an Item that count
		V       int          `json:"v"`
		Domain  rfc6125.Host `json:"domain"`
		ID      string       `json:"id"`
		Fetched time.Time    `json:"fetched"`
		Policy  string       `json:"policy"`
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return rfc6125.Host{}, storedPolicy{}, err
	}
	p, err := parsePolicyText(i.Policy)
	switch {
	case i.V != itemVersion:
		err = fmt.Errorf("version %d, not %d", i.V, itemVersion)
	case !i.Domain.IsValid():
		err = errors.New("no domain")
	case !validID(i.ID):
		err = fmt.Errorf("id %.40q", i.ID)
	case err != nil:
	case len(i.Policy) > MaxPolicySize:
		err = tooLarge()
	case i.Fetched.After(c.now()):
		err = fmt.Errorf("fetched at %s, which is in the future", i.Fetched.Format(time.RFC3339))
	}
	if err != nil {
		return rfc6125.Host{}, storedPolicy{}, err
	}
	p = p.compact()
	return i.Domain, storedPolicy{id: i.ID, fetched: i.Fetched, text: p.Text, mode: p.Mode, expires: i.Fetched.Add(p.MaxAge)}, nil
}

// Delete takes the policy of one domain away, for all processes that share the store, and
// returns whether there was one. It ends the back-offs of the domain too. The next lookup
// fetches again: to delete is to trust DNS once more. who is noted in the log.
func (c *Cache) Delete(ctx context.Context, domain rfc6125.Host, who string) (was bool, err error) {
	defer func() {
		level, attrs := slog.LevelWarn, []slog.Attr{slog.String("domain", domain.String()), slog.String("who", who), slog.Bool("was", was)}
		if err != nil {
			level, attrs = slog.LevelError, append(attrs, slog.String("error", err.Error()))
		}
		c.log.LogAttrs(ctx, level, "mta-sts policy deleted", attrs...)
	}()
	if err := c.dropFailures(ctx, domain); err != nil {
		return false, err
	}
	k, ok, err := c.fresh(ctx, domain)
	switch {
	case errors.Is(err, errEntry):
		// What cannot be read is replaced as well; a policy it may have been.
		k.expires = c.now().Add(MaxMaxAge)
	case err != nil || !ok:
		return false, err
	}
	if who == "" {
		who = "unknown"
	}
	// A mark, not nothing: other processes hold copies and would write them back, as if
	// the store had lost the policy. It ends when the last copy does.
	mark := storedPolicy{deleted: who, fetched: c.now(), expires: k.expires}
	return true, c.put(ctx, domain, mark)
}
