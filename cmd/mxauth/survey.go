package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth"
	"github.com/mxauth/mxauth/advise/bulk"
	"github.com/mxauth/mxauth/internal/text"
)

// Limits of a survey that differ from those of a check.
const (
	// surveyTimeout is the longest time for one answer or one policy where --timeout gives
	// none: a policy host that takes longer is reported, and the list goes on.
	surveyTimeout = 5 * time.Second
	// surveyCache bounds the DNS answers that are kept: those of providers are asked for again
	// and again, those of the domains only once.
	surveyCache = 4 << 20
	// maxToldRefused is how many lines that name no domain are named on standard error.
	maxToldRefused = 20
	// surveyTitle is the title of the page of a summary.
	surveyTitle = "Can mail to these domains be authenticated?"
	// surveyGC and surveyMemory let the collector run less often than it does by default, as
	// long as memory stays well below 100 MB.
	surveyGC     = 200
	surveyMemory = 60 << 20
)

// surveyFlags are the flags of survey.
type surveyFlags struct {
	probe, csv, noTimes bool
	resume              string
	summaries           []string
}

// newSurvey makes the verb survey.
func newSurvey(e *env) *cobra.Command {
	var f surveyFlags
	cmd := &cobra.Command{
		Use:   "survey DOMAIN...|-",
		Short: "Say by what mail to many domains can be authenticated, and what is wrong where",
		Long: `Survey reads a list of any length, one domain or mail address a line, and looks up what
each domain publishes: its mail hosts, DANE records and MTA-STS policy. It connects to no
mail host unless --probe is given. In the list, "#" begins a comment.

It prints a summary: by what mail can be authenticated, what is wrong with how many
domains, and which providers they use. --csv or --json prints a row for each domain
instead, in the order of the list, which says which domains these are
(docs/survey.schema.json). --summary writes the summary
to a file, as text (.txt), JSON (.json) or a page to pass on (.html); it can be repeated.

--resume FILE keeps what is finished in FILE. The same command continues from there after
it was interrupted, and asks nothing about finished domains again. FILE names the domains:
only its owner may read it.

Of --concurrency (64 unless given) domains that are looked at side by side, slow ones make
place for others. No address gets more than 2 connections at a time.

The exit status is 0 if the list was read to its end, whatever was found; 64 if a line
names no domain, or for bad usage; 69 if nothing could be looked up through a fault on
this side; 78 for bad configuration or a journal that cannot be used; 130 after Ctrl-C,
with the summary of what is finished.`,
		Example: `  mxauth survey - < partners.txt
  mxauth survey --csv - < partners.txt
  mxauth survey --csv --resume partners.journal --summary partners.html - \
    < partners.txt`,
		Args: arguments(1, many),
		RunE: func(cmd *cobra.Command, args []string) error { return runSurvey(cmd.Context(), e, &f, args) },
	}
	cmd.Flags().BoolVar(&f.probe, "probe", false, "connect to the mail hosts up to STARTTLS, as check does; this takes long")
	cmd.Flags().BoolVar(&f.csv, "csv", false, "print CSV, one row a domain")
	cmd.Flags().BoolVar(&f.noTimes, "no-times", false, "leave out times, so that the same answers give the same output")
	cmd.Flags().StringVar(&f.resume, "resume", "", "keep what is finished in `FILE`, and continue from it")
	cmd.Flags().StringArrayVar(&f.summaries, "summary", nil, "write the summary to `FILE`, which ends in .txt, .json or .html")
	return cmd
}

// A surveyRun is one run of the verb.
type surveyRun struct {
	e      *env
	flags  *surveyFlags
	client *client
	tally  bulk.Tally
	csv    *bulk.CSVWriter
	count  bulk.Count // of the list; zero if its length is not known
	begun  time.Time
	told   int // lines that were named because they name no domain
}

// runSurvey carries out survey.
func runSurvey(ctx context.Context, e *env, f *surveyFlags, args []string) error {
	s := &surveyRun{e: e, flags: f, begun: e.now()}
	if e.getenv("GOGC") == "" && e.getenv("GOMEMLIMIT") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(surveyGC))
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(surveyMemory))
	}
	if err := s.check(args); err != nil {
		return err
	}
	list, err := s.list(args)
	if err != nil {
		return err
	}
	config := bulk.Config{Probe: f.probe, Row: s.row, Refused: s.refused, Progress: s.progress, Limits: &bulk.Limits{}, Now: e.now}
	if e.set.Origin("resolver.concurrency") != "default" {
		config.Window = e.flags.concurrency
	}
	if f.resume != "" {
		j, err := bulk.OpenJournal(f.resume, bulk.JournalHeader{List: s.count.Hash, Entries: s.count.Entries, Settings: fmt.Sprintf("--probe=%t", f.probe)})
		if err != nil {
			return s.journalError(err)
		}
		defer j.Close()
		config.Journal = j
	}
	if err := s.open(ctx, config.Limits); err != nil {
		return err
	}
	defer s.client.close()
	config.Client = s.client
	if f.csv {
		s.csv = bulk.NewCSVWriter(writerFunc(func(b []byte) { e.out.answer(string(b)) }))
	}
	err = bulk.Run(ctx, config, bulk.Read(list))
	e.out.EndProgress()
	return s.end(ctx, config.Journal, err)
}

// check looks at the flags before anything is opened.
func (s *surveyRun) check(args []string) error {
	switch {
	case s.flags.csv && s.e.flags.json:
		return usageError("--csv and --json exclude each other")
	case len(args) > 1 && slices.Contains(args, "-"):
		return usageError("give domains as arguments, or - alone to read them from standard input")
	}
	for _, a := range args {
		if st, err := os.Stat(a); err == nil && st.Mode().IsRegular() {
			return fileGiven(a)
		}
	}
	for _, name := range s.flags.summaries {
		if summaryWriters[filepath.Ext(name)] == nil {
			return usageError("--summary: %.200q ends in none of .txt, .json and .html", name)
		}
		// A survey takes long: what cannot be written is better known before.
		dir := filepath.Dir(name)
		f, err := os.CreateTemp(dir, ".mxauth-*")
		if err != nil {
			return configError("see that the folder exists and may be written to", "--summary %s: %w", name, err)
		}
		_, _ = f.Close(), os.Remove(f.Name())
	}
	return nil
}

// list returns the list to read. One that can be read twice is counted first.
func (s *surveyRun) list(args []string) (io.Reader, error) {
	list := s.e.stdin
	if args[0] != "-" {
		list = strings.NewReader(strings.Join(args, "\n"))
	}
	seeker, ok := list.(io.Seeker)
	if !ok {
		return list, nil
	}
	at, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return list, nil // a pipe or a terminal
	}
	if s.count, err = bulk.CountList(list); err != nil {
		return nil, configError("", "reading the list: %w", err)
	}
	if _, err := seeker.Seek(at, io.SeekStart); err != nil {
		return nil, configError("", "reading the list: %w", err)
	}
	return list, nil
}

// open opens the client, whose connections are bounded by the limits.
func (s *surveyRun) open(ctx context.Context, l *bulk.Limits) (err error) {
	if s.e.flags.timeout == 0 && !s.flags.probe {
		s.e.flags.timeout = surveyTimeout
	}
	s.e.dial = l.Dial(s.e.dial)
	s.client, err = s.e.open(ctx, storeBrief, mxauth.Config{CacheBytes: surveyCache, CachedPlans: -1})
	return err
}

// row takes in a row.
func (s *surveyRun) row(r *bulk.Row) error {
	s.tally.Add(r)
	if s.flags.noTimes {
		r.At, r.TookMS = nil, 0
	}
	switch {
	case s.e.flags.json:
		s.e.printJSON(r)
	case s.csv != nil:
		if err := s.csv.Write(r); err != nil {
			return err
		}
	}
	s.client.faults.complain(s.e.out)
	return s.e.out.flushed()
}

// refused takes in a line that names no domain.
func (s *surveyRun) refused(r *bulk.Refused) error {
	s.tally.Refuse()
	switch {
	case s.e.flags.json:
		s.e.printJSON(r)
	case s.csv != nil:
		if err := s.csv.WriteRefused(r); err != nil {
			return err
		}
	}
	if s.told++; s.told <= maxToldRefused {
		s.e.out.Notef("line %d: %s", r.Line, r.Error)
	}
	return s.e.out.flushed()
}

// progress shows how far the survey is.
func (s *surveyRun) progress(p bulk.Progress) {
	rate := float64(p.Finished-p.Kept) / max(s.e.now().Sub(s.begun).Seconds(), 0.001)
	switch total := s.count.Entries; {
	case total > 0 && rate > 0:
		left := time.Duration(float64(total-p.Finished) / rate * float64(time.Second)).Round(time.Second)
		s.e.out.Progressf("%d of %d, %.0f a second, %v left", p.Finished, total, rate, left)
	case total > 0:
		s.e.out.Progressf("%d of %d", p.Finished, total)
	default:
		s.e.out.Progressf("%d finished, %.0f a second", p.Finished, rate)
	}
}

// end prints and writes the summary, and returns how the run ended.
func (s *surveyRun) end(ctx context.Context, j *bulk.Journal, err error) error {
	interrupted := err != nil && ctx.Err() != nil
	if err != nil && !interrupted {
		return s.runError(err)
	}
	if more := s.told - maxToldRefused; more == 1 {
		s.e.out.Notef("1 more line names no domain")
	} else if more > 1 {
		s.e.out.Notef("%d more lines name no domain", more)
	}
	if s.csv != nil {
		_ = s.csv.End() // flushed returns the error
	}
	sum := s.tally.Summary()
	sum.Complete = !interrupted
	if !s.flags.noTimes {
		started := s.begun.UTC().Truncate(time.Second)
		sum.Started, sum.TookS = &started, s.e.now().Sub(s.begun).Seconds()
	}
	if !s.e.flags.json && s.csv == nil && sum.Domains+sum.Refused > 0 {
		var b strings.Builder
		_ = sum.WriteText(&b, s.e.out.width) // a Builder does not fail
		s.e.out.answer(text.Lines(b.String()))
	}
	for _, name := range s.flags.summaries {
		write := summaryWriters[filepath.Ext(name)]
		if werr := writeFile(name, func(w io.Writer) error { return write(&sum, w) }); werr != nil {
			return configError("see that the folder exists, may be written to, and has room", "--summary %s: %w", name, werr)
		}
	}
	if interrupted {
		if j != nil {
			s.e.out.Notef("what is finished is kept: the same command continues")
		}
		return err
	}
	switch {
	case sum.Domains+sum.Refused == 0:
		return errNoDomains
	case s.client.faults.nothing():
		return exitWith(exitUnavailable)
	case sum.Refused > 0:
		return exitWith(exitUsage)
	}
	return s.e.out.flushed()
}

// summaryWriters write a summary to a file, by the end of its name.
var summaryWriters = map[string]func(*bulk.Summary, io.Writer) error{
	".txt":  func(s *bulk.Summary, w io.Writer) error { return s.WriteText(w, pageWidth) },
	".html": func(s *bulk.Summary, w io.Writer) error { return s.WriteHTML(w, surveyTitle) },
	".json": func(s *bulk.Summary, w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	},
}

// runError says what ended a run.
func (s *surveyRun) runError(err error) error {
	var p *os.PathError
	switch {
	case errors.Is(err, bulk.ErrOtherList), errors.Is(err, bulk.ErrJournalDamaged), errors.Is(err, bulk.ErrJournalWrite):
		return s.journalError(err)
	case errors.As(err, &p) && s.e.out.flushed() == nil:
		return configError("", "reading the list: %w", err)
	}
	return err
}

// journalError says what is wrong with the journal, and what to do.
func (s *surveyRun) journalError(err error) error {
	const other = "name another file by --resume"
	hint := "see that the folder exists and may be written to"
	switch {
	case errors.Is(err, bulk.ErrOtherSettings):
		return &exitError{code: exitUsage, err: fmt.Errorf("--resume %s: %w", s.flags.resume, err), hint: "give the flags that it was started with, or " + other}
	case errors.Is(err, bulk.ErrJournalInUse):
		hint = "wait until it has ended, or " + other
	case errors.Is(err, bulk.ErrNotJournal):
		hint = "it is left as it is; " + other + ": one that does not exist yet, or that an earlier survey wrote"
	case errors.Is(err, bulk.ErrJournalVersion):
		hint = "continue with the version of mxauth that wrote it, or begin again: " + other
	case errors.Is(err, bulk.ErrJournalDamaged):
		hint = "begin again: " + other
	case errors.Is(err, bulk.ErrOtherList):
		hint = "give the list that it was started with, or " + other
	case errors.Is(err, bulk.ErrJournalWrite):
		hint = "make room on the disk, and give the same command again: what is finished is kept"
	}
	return configError(hint, "--resume %s: %w", s.flags.resume, err)
}
