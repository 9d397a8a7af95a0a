package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/advise/bulk"
	"github.com/mxauth/mxauth/rfc6125"
	"github.com/mxauth/mxauth/store"
	"github.com/mxauth/mxauth/sts"
)

// exitWarmFailed: the policy of some domain could not be had now.
const exitWarmFailed = 3

// Limits of cache warm.
const (
	defaultRate = 10.0
	maxRate     = 1000.0
	// warmTime bounds one domain: its record and its policy.
	warmTime = time.Minute
	// maxDone bounds the domains of the file of --done.
	maxDone = 10_000_000
)

// A warmRow says what became of the policy of one domain.
type warmRow struct {
	V      int          `json:"v"`
	Domain rfc6125.Host `json:"domain"`
	Result string       `json:"result"` // "kept", "none" (the domain has no policy) or "failed"
	Mode   string       `json:"mode,omitempty"`
	ID     string       `json:"id,omitempty"`
	Until  *time.Time   `json:"until,omitempty"` // end of the policy
	Error  string       `json:"error,omitempty"`
}

// Results of a warmRow.
const (
	warmKept   = "kept"
	warmNone   = "none"
	warmFailed = "failed"
)

// warm looks up the policy of a domain, which the store then keeps. An error wraps
// [store.ErrUnavailable].
func warm(ctx context.Context, c *sts.Client, domain rfc6125.Host) (warmRow, error) {
	ctx, cancel := context.WithTimeout(ctx, warmTime)
	defer cancel()
	r := c.Lookup(ctx, domain)
	row := warmRow{V: 1, Domain: domain}
	switch {
	case r.StoreErr != nil:
		return row, r.StoreErr
	case r.Policy != nil:
		until := r.Expires.UTC()
		row.Result, row.Mode, row.ID, row.Until = warmKept, r.Policy.Mode.String(), r.ID, &until
		return row, nil
	case errors.Is(r.TXTErr, sts.ErrNoRecord):
		row.Result = warmNone
		return row, nil
	case r.TXTErr != nil:
		row.Error = errorText(r.TXTErr)
	case r.FetchErr != nil:
		row.Error = errorText(r.FetchErr)
	default:
		row.Error = "there was no answer in time"
	}
	row.Result = warmFailed
	return row, nil
}

// serveWarm looks up a policy in the daemon.
func (d *service) serveWarm(w http.ResponseWriter, r *http.Request) {
	domain, err := domainOf(r)
	if err != nil {
		refuseRequest(w, err)
		return
	}
	client, done := d.use()
	defer done()
	row, err := warm(r.Context(), client.Policies(), domain)
	if err != nil {
		refuseRequest(w, err)
		return
	}
	respond(w, row)
}

// A warmRun is one run of cache warm.
type warmRun struct {
	e    *env
	rate float64
	done string // file; "": none

	finished map[string]bool // domains of the file
	log      *os.File
	kept     int
	none     int
	failed   int
	skipped  int
}

func newCacheWarm(e *env) *cobra.Command {
	r := &warmRun{e: e}
	cmd := &cobra.Command{
		Use:   "warm DOMAIN...|-",
		Short: "Fetch the policies of these domains now, at a given rate, and keep them",
		Long: `Warm looks up the MTA-STS policy of each domain and keeps it, as a first delivery would. With
"-" domains are read from standard input, one a line, such as those of a mail log. Do it
before Postfix asks mxauth for the first time: a kept policy cannot be removed through DNS.

With --done FILE each domain that is finished is added to the file, and left out by a later
run with the same file: so a run that was stopped can be continued. A domain whose policy
could not be fetched is not finished.

The exit status is 0 if each domain has its policy kept or has none, 3 if the policy of some
could not be fetched, 64 for bad usage, 78 if the store or the file cannot be used.`,
		Example: `  mxauth cache warm --done warm.done - < domains.txt`,
		Args:    arguments(1, many),
		RunE:    func(cmd *cobra.Command, args []string) error { return r.run(cmd, args) },
	}
	cmd.Flags().Float64Var(&r.rate, "rate", defaultRate, "domains a second (`NUMBER`)")
	cmd.Flags().StringVar(&r.done, "done", "", "`FILE` of the domains that are finished")
	return cmd
}

func (r *warmRun) run(cmd *cobra.Command, args []string) (err error) {
	if !(r.rate > 0 && r.rate <= maxRate) {
		return usageError("--rate: %v is not above 0 and up to %v", r.rate, maxRate)
	}
	if err := r.openDone(); err != nil {
		return err
	}
	if r.log != nil {
		defer func() { err = errors.Join(err, r.log.Close()) }()
	}
	ctx := cmd.Context()
	set, daemon, err := r.e.daemon()
	if err != nil {
		return err
	}
	look := func(ctx context.Context, domain rfc6125.Host) (row warmRow, err error) {
		return row, daemon.do(ctx, http.MethodPost, "/v1/warm/"+domain.String(), nil, &row)
	}
	if daemon == nil || cmd.Flags().Changed("store") && !daemon.holds(ctx, set.Store) {
		if r.e.flags.store == storeMemory {
			return &exitError{code: exitUsage, err: errors.New("a store in memory keeps nothing"), hint: "name the store by --store bolt:FILE or --store redis://HOST"}
		}
		c, err := r.e.open(ctx, storeFills, mxauth.Config{})
		if err != nil {
			return err
		}
		defer c.close()
		look = func(ctx context.Context, domain rfc6125.Host) (warmRow, error) {
			return warm(ctx, c.Policies(), domain)
		}
	}
	work := func(ctx context.Context, a argument) (warmRow, error) {
		list, err := parseDomains([]string{a.text})
		if err = errors.Join(a.err, err); err != nil {
			return warmRow{V: 1, Result: warmFailed, Error: errorText(err)}, nil
		}
		if r.finished[list[0].String()] {
			return warmRow{Domain: list[0]}, nil
		}
		return look(ctx, list[0])
	}
	err = inOrder(ctx, r.e.flags.concurrency, r.paced(ctx, argumentsOf(args, r.e.stdin)), work, r.tell, nil)
	r.e.out.EndProgress()
	if err == nil && r.kept+r.none+r.failed+r.skipped == 0 {
		return errNoDomains
	}
	r.e.out.Notef("%d policies kept, %d domains have none, %d failed, %d were finished before", r.kept, r.none, r.failed, r.skipped)
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return configError("", "%w", err)
	case err != nil:
		return err
	case r.failed > 0:
		return exitWith(exitWarmFailed)
	}
	return nil
}

// openDone reads the file of domains that are finished, and opens it to add to it.
func (r *warmRun) openDone() (err error) {
	r.finished = map[string]bool{}
	if r.done == "" {
		return nil
	}
	r.log, err = os.OpenFile(r.done, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return usageError("%w", err)
		}
		return configError("", "%w", err)
	}
	for line, err := range bulk.Lines(r.log) {
		if err == nil && line.Err != nil {
			err = fmt.Errorf("line %d: %w", line.Number, line.Err)
		}
		if err == nil && len(r.finished) >= maxDone {
			err = fmt.Errorf("more than %d domains", maxDone)
		}
		if err != nil {
			r.log.Close()
			return configError("", "%s: %w", r.done, err)
		}
		r.finished[line.Text] = true
	}
	return nil
}

// paced yields what is not finished at the rate of --rate, and all else at once.
func (r *warmRun) paced(ctx context.Context, seq iter.Seq2[argument, error]) iter.Seq2[argument, error] {
	return func(yield func(argument, error) bool) {
		tick := time.NewTicker(time.Duration(float64(time.Second) / r.rate))
		defer tick.Stop()
		first := true
		for a, err := range seq {
			h, parse := rfc6125.ParseHost(a.text)
			if !first && err == nil && (parse != nil || !r.finished[h.String()]) {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
			first = false
			if !yield(a, err) {
				return
			}
		}
	}
}

// tell prints what became of one domain, and notes that it is finished.
func (r *warmRun) tell(row warmRow) error {
	out := r.e.out
	switch row.Result {
	case "":
		r.skipped++
		return nil
	case warmKept:
		r.kept++
	case warmNone:
		r.none++
	default:
		r.failed++
	}
	switch {
	case r.e.flags.json:
		r.e.printJSON(row)
	case row.Result == warmKept:
		out.Linef("%s: kept, mode %s, until %s", row.Domain, row.Mode, day(*row.Until))
	case row.Result == warmFailed && !row.Domain.IsValid():
		out.Errorf("%s", row.Error)
	case row.Result == warmFailed:
		out.Errorf("%s: %s", row.Domain, row.Error)
	}
	out.Progressf("%d policies kept, %d domains have none, %d failed", r.kept, r.none, r.failed)
	if r.log != nil && row.Result != warmFailed {
		if _, err := r.log.WriteString(row.Domain.String() + "\n"); err != nil {
			return configError("", "%w", err)
		}
	}
	return out.flushed()
}
