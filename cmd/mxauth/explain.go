package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/advise/ladder"
	"github.com/mxauth/mxauth/engine"
	"github.com/mxauth/mxauth/internal/text"
)

// newExplain makes the verb explain.
func newExplain(e *env) *cobra.Command {
	var d deliveryFlags
	var svg, file string
	var trustAD bool
	cmd := &cobra.Command{
		Use:   "explain DOMAIN",
		Short: "Show the chain of trust of a domain step by step, as text or as a picture",
		Long: `Explain checks a domain as mxauth check does and shows the basis of its verdict, step
by step: from the root of DNS to the certificate of each mail host (DANE), and from the
MTA-STS record to the policy. Each step has its state, the rule and the RFC; a broken
link is marked by "x", one that nothing proves by ":".

--svg FILE draws the same as a picture, for a ticket or a talk: SVG of one file, light
and dark, without scripts and without anything to fetch. The first four hosts have a
column each, the others are counted.

--evidence FILE takes what mxauth check --evidence has recorded ("-": standard input) and
does no lookups; see mxauth replay for what such a file proves and what it does not.

The exit status is that of mxauth check.`,
		Example: `  mxauth explain example.org
  mxauth explain --svg chain.svg example.org
  mxauth explain --evidence example.json --svg chain.svg`,
		Args: arguments(0, 1),
	}
	d.add(cmd.Flags())
	cmd.Flags().StringVar(&svg, "svg", "", "draw the chain of trust into `FILE`")
	cmd.Flags().StringVar(&file, "evidence", "", "explain what is recorded in `FILE`, without network")
	cmd.Flags().BoolVar(&trustAD, "allow-trust-ad", false, "accept evidence whose DNSSEC statuses were reported by a resolver and cannot be proved from the file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if e.flags.json {
			return usageError("explain has no --json; mxauth check --json has the same facts")
		}
		if file == "" {
			l := checkVerb
			l.human = (*verdict).chain
			return e.explainLive(cmd.Context(), &d, args, l, svg)
		}
		if len(args) > 0 || d.smarthost != "" {
			return usageError("--evidence names the domain already: give no other")
		}
		return e.explainFile(cmd.Context(), file, svg, trustAD)
	}
	return cmd
}

// explainLive looks at a domain and explains it.
func (e *env) explainLive(ctx context.Context, d *deliveryFlags, args []string, l domainVerb, svg string) error {
	if len(args) == 1 && args[0] == "-" {
		return usageError("explain needs one domain, not a list")
	}
	var failed error
	human := l.human
	l.human = func(v *verdict, c *console) {
		human(v, c)
		failed = e.drawSVG(v, svg)
	}
	if err := runCheck(ctx, e, d, args, l); failed == nil {
		return err
	}
	return failed
}

// explainFile explains what is recorded in a file.
func (e *env) explainFile(ctx context.Context, name, svg string, trustAD bool) error {
	v, r, err := e.replayFile(ctx, name, replayOptions{trustAD: trustAD})
	if err != nil {
		return err
	}
	v.chain(e.out)
	if err := e.drawSVG(v, svg); err != nil {
		return err
	}
	for _, d := range r.Differences {
		e.out.Notef("differs from the file: %s", d)
	}
	e.out.Notef("this is what the file says; mxauth replay shows what of it is proved")
	return exitWith(v.exit())
}

// drawSVG writes the picture of a verdict to a file; no file: nothing.
func (e *env) drawSVG(v *verdict, file string) error {
	if file == "" || v.err != nil {
		return nil
	}
	picture := v.ladder().SVG(ladder.SVGOptions{})
	err := writeFile(file, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(picture))
		return err
	})
	if err != nil {
		return configError("", "--svg: %w", err)
	}
	return nil
}

// ladder is the chain of trust of a verdict.
func (v *verdict) ladder() ladder.Ladder {
	ds := make([]engine.Decision, len(v.Hosts))
	for i, h := range v.Hosts {
		ds[i] = h.Decision
	}
	return ladder.New(v.Plan, ds)
}

// chain prints the chain of trust for people.
func (v *verdict) chain(c *console) {
	if v.err != nil {
		c.Linef("%s: not checked: %s", v.asked, v.err)
		return
	}
	c.Linef("%s", paint(strong, "Chain of trust of "+text.Escape(v.asked)))
	c.Linef("")
	for _, l := range v.ladder().Text() {
		if l.Mark == "" {
			c.Linef("%s", text.Escape(l.Text))
			continue
		}
		hang := utf8.RuneCountInString(l.Mark + l.Head)
		for i, line := range wrap(text.Escape(l.Text), max(c.width-hang, minText), 0) {
			if i == 0 {
				c.Linef("%s%s", paint(statusStyle(l.Status), l.Mark), strings.TrimRight(l.Head+line, " "))
				continue
			}
			c.Linef("%s%s", strings.Repeat(" ", hang), line)
		}
	}
}

// minText is the least width of the text of a step.
const minText = 24

// statusStyle is how the mark of a step is painted.
func statusStyle(s ladder.Status) style {
	switch s {
	case ladder.Good:
		return good
	case ladder.Unproved:
		return fair
	case ladder.Broken, ladder.Unknown:
		return bad
	}
	return faint
}
