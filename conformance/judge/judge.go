// Package judge scores what a program says of the worlds of the lab. The program may
// be mxauth or anybody's: it writes a JSON object a line in the form of
// `mxauth check --json`, and is compared with what each world says must come out.
//
// Fields that the program does not write are not held against it, except the outcome
// and whether the message may go: those are the question.
package judge

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/internal/text"
)

// ErrResults is wrapped by every error of [Read]; the text names the line.
var ErrResults = errors.New("judge: not a file of results")

// A Result is what a program said of one domain. A pointer is nil where it said
// nothing.
type Result struct {
	// World is the name of the world; it need not be given where Domain says enough.
	World     string       `json:"world"`
	Domain    string       `json:"domain"` // as asked
	Outcome   string       `json:"outcome"`
	Method    *string      `json:"method"`
	Deliver   *bool        `json:"deliver"`
	EveryHost *bool        `json:"every_host"`
	ReasonID  string       `json:"reason_id"`
	Error     string       `json:"error"`
	Hosts     []HostResult `json:"hosts"`
}

// A HostResult is what it said of one MX host.
type HostResult struct {
	Host        string  `json:"host"`
	Outcome     string  `json:"outcome"`
	Method      *string `json:"method"`
	Requirement string  `json:"requirement"`
	SNI         string  `json:"sni"`
}

// Bounds of a file of results: a row of `mxauth check` is some kilobytes, and there are
// a few hundred worlds.
const (
	maxLine    = 4 << 20
	maxResults = 100_000
)

// isUTF16 reports whether a line is a JSON object in UTF-16, with a byte order mark or without.
func isUTF16(line string) bool {
	return slices.ContainsFunc([]string{"\xff\xfe", "\xfe\xff", "{\x00", "\x00{"}, func(head string) bool { return strings.HasPrefix(line, head) })
}

// Read reads results, a line each; empty lines are skipped. Errors wrap [ErrResults],
// or are r's.
func Read(r io.Reader) ([]Result, error) {
	var out []Result
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 1
	for ; s.Scan(); n++ {
		line := s.Text()
		if n == 1 {
			if isUTF16(line) {
				return nil, fmt.Errorf("%w: line 1: the text is UTF-16; want UTF-8 (iconv -f UTF-16 -t UTF-8)", ErrResults)
			}
			line = strings.TrimPrefix(line, "\ufeff") // as Windows programs write it
		}
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		var res Result
		if err := json.Unmarshal([]byte(line), &res); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrResults, n, err)
		}
		if res.Domain == "" && res.World == "" {
			return nil, fmt.Errorf("%w: line %d: neither domain nor world", ErrResults, n)
		}
		if len(out) == maxResults {
			return nil, fmt.Errorf("%w: more than %d lines", ErrResults, maxResults)
		}
		out = append(out, res)
	}
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%w: line %d: more than %d bytes", ErrResults, n, maxLine)
	} else if err != nil {
		return nil, err
	}
	return out, nil
}

// A Mark is how a program did on one world.
type Mark string

// Marks.
const (
	Right   Mark = "right"
	Wrong   Mark = "wrong"
	Missing Mark = "missing" // nothing is said of the world
)

// A Score is the mark of one world.
type Score struct {
	World       string   `json:"world"`
	Domain      string   `json:"domain"`
	Mark        Mark     `json:"mark"`
	Differences []string `json:"differences,omitempty"` // what was said and what is right
}

// A Report is how a program did on all worlds.
//
// A partial report scores the worlds that were answered, and only counts the others in
// Missing.
type Report struct {
	V       int     `json:"v"`
	Partial bool    `json:"partial,omitempty"`
	Right   int     `json:"right"`
	Wrong   int     `json:"wrong"`
	Missing int     `json:"missing"`
	Scores  []Score `json:"scores"` // in the order of the worlds; without Missing ones if Partial
	// Unknown are results of domains that are no world.
	Unknown []string `json:"unknown,omitempty"`
}

// reportVersion is that of the JSON form of a Report.
const reportVersion = 1

// Options of [Judge]. The zero value compares what any program can know.
type Options struct {
	// Reasons holds the ids of reasons against those of mxauth, too.
	Reasons bool
	// Partial leaves worlds without a result out of the scores.
	Partial bool
}

// Judge scores results against worlds, which should be those of a running lab
// ([lab.Lab.Worlds]). Of several results for one world the last counts.
func Judge(worlds []lab.World, results []Result, o Options) Report {
	rep := Report{V: reportVersion, Partial: o.Partial, Scores: []Score{}}
	by := map[string]*Result{}
	known := map[string]bool{}
	for i := range worlds {
		for _, k := range keys(worlds[i]) {
			known[k] = true
		}
	}
	for i := range results {
		k := "domain " + ascii(results[i].Domain)
		if results[i].World != "" {
			k = "world " + results[i].World
		}
		if !known[k] {
			rep.Unknown = append(rep.Unknown, k)
			continue
		}
		by[k] = &results[i]
	}
	for _, w := range worlds {
		s := Score{World: w.Name, Domain: w.Domain, Mark: Missing}
		for _, k := range keys(w) {
			if r := by[k]; r != nil {
				s.Differences, s.Mark = compare(w, r, o), Right
				if len(s.Differences) > 0 {
					s.Mark = Wrong
				}
				break
			}
		}
		switch s.Mark {
		case Right:
			rep.Right++
		case Wrong:
			rep.Wrong++
		default:
			rep.Missing++
			if o.Partial {
				continue
			}
		}
		rep.Scores = append(rep.Scores, s)
	}
	return rep
}

// Passed reports whether no result is wrong and every world has one. A partial report passes if
// no result is wrong, at least one is right, and each is of a world: a misspelt name would
// pass unseen otherwise.
func (r Report) Passed() bool {
	if r.Wrong > 0 {
		return false
	}
	if r.Partial {
		return r.Right > 0 && len(r.Unknown) == 0
	}
	return r.Missing == 0
}

// keys are what a result of a world may go by.
func keys(w lab.World) []string {
	args := w.Args()
	out := []string{"world " + w.Name, "domain " + ascii(w.Domain)}
	if asked := "domain " + ascii(args[len(args)-1]); !slices.Contains(out, asked) {
		out = append(out, asked)
	}
	return out
}

// ascii brings a domain to A-labels without a final dot; what is none stays.
func ascii(domain string) string {
	domain = strings.TrimSuffix(strings.ToLower(domain), ".")
	if a, err := idna.Lookup.ToASCII(domain); err == nil {
		return a
	}
	return domain
}

// compare lists what of a result is not as the world wants it.
func compare(w lab.World, r *Result, o Options) []string {
	if r.Error != "" {
		return []string{fmt.Sprintf("error: %.200q", r.Error)}
	}
	if w.Once != nil && r.Outcome == w.Once.Outcome {
		w.Want = *w.Once // it has made one connection, and sees one of two certificates
	}
	var out []string
	differ := func(what, got, want string) {
		if got != want {
			out = append(out, fmt.Sprintf("%s: got %.100q, want %q", what, got, want))
		}
	}
	differ("outcome", r.Outcome, w.Want.Outcome)
	if r.Deliver == nil {
		out = append(out, "deliver: it is not said whether the message may go")
	} else {
		differ("deliver", fmt.Sprint(*r.Deliver), fmt.Sprint(w.Want.Deliver))
	}
	if r.Method != nil {
		differ("method", *r.Method, w.Want.Method)
	}
	if r.EveryHost != nil {
		differ("every_host", fmt.Sprint(*r.EveryHost), fmt.Sprint(w.Want.EveryHost))
	}
	if o.Reasons && w.Want.Reason != "" {
		differ("reason_id", r.ReasonID, w.Want.Reason)
	}
	if r.Hosts == nil {
		return out
	}
	for _, want := range w.Want.Hosts {
		i := slices.IndexFunc(r.Hosts, func(h HostResult) bool { return ascii(h.Host) == want.Host })
		if i < 0 {
			out = append(out, "no row of host "+want.Host)
			continue
		}
		h := &r.Hosts[i]
		if want.Outcome != "" {
			differ(want.Host+": outcome", h.Outcome, want.Outcome)
			if h.Method != nil {
				differ(want.Host+": method", *h.Method, want.Method)
			}
		}
		if want.Requirement != "" && h.Requirement != "" {
			differ(want.Host+": requirement", h.Requirement, want.Requirement)
		}
		if want.SNI != "" && h.SNI != "" {
			differ(want.Host+": sni", h.SNI, want.SNI)
		}
	}
	return out
}

// WriteText prints the report for people: what is wrong, what is missing, the counts.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, s := range r.Scores {
		switch s.Mark {
		case Wrong:
			fmt.Fprintf(&b, "wrong    %-28s %s\n", s.World, strings.Join(s.Differences, "; "))
		case Missing:
			fmt.Fprintf(&b, "missing  %-28s %s\n", s.World, s.Domain)
		}
	}
	for _, u := range r.Unknown {
		fmt.Fprintf(&b, "unknown  %.100q is no world\n", u)
	}
	if r.Partial {
		fmt.Fprintf(&b, "%d right, %d wrong; %d of %d worlds are answered, the others do not count\n",
			r.Right, r.Wrong, len(r.Scores), len(r.Scores)+r.Missing)
	} else {
		fmt.Fprintf(&b, "%d right, %d wrong, %d missing, of %d worlds\n", r.Right, r.Wrong, r.Missing, len(r.Scores))
	}
	_, err := io.WriteString(w, text.Lines(b.String()))
	return err
}

// WriteJSON prints the report as one JSON object on a line.
func (r Report) WriteJSON(w io.Writer) error { return json.NewEncoder(text.JSONWriter(w)).Encode(r) }
