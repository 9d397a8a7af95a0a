package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/cmd/internal/near"
	"github.com/mxauth/mxauth/conformance/lab"
	"github.com/mxauth/mxauth/engine/explain"
	"github.com/mxauth/mxauth/engine/reason"
	"github.com/mxauth/mxauth/internal/text"
)

// listVersion is that of a line of the list of worlds. A new field does not change it.
const listVersion = 1

// A labLine is a line of the list of worlds (docs/lab.schema.json).
type labLine struct {
	V int `json:"v"`
	lab.World
	Args   []string   `json:"args"` // of mxauth check; the last is what to check
	Primed bool       `json:"primed,omitempty"`
	Why    *labReason `json:"why,omitempty"`
}

// A labReason says why a world comes out as it does.
type labReason struct {
	Text string `json:"text"`
	RFC  string `json:"rfc,omitempty"` // section: "7672 s.2.2"
}

// line completes a world for the list.
func line(w lab.World) labLine {
	l := labLine{V: listVersion, World: w, Args: w.Args(), Primed: w.Was != nil}
	if i, ok := explain.About(reason.ID(w.Want.Reason)); ok {
		l.Why = &labReason{i.About, i.RFC}
	}
	return l
}

// writeWorlds writes the list of worlds.
func writeWorlds(to io.Writer, worlds []lab.World) error {
	e := json.NewEncoder(text.JSONWriter(to))
	e.SetEscapeHTML(false)
	for _, w := range worlds {
		if err := e.Encode(line(w)); err != nil {
			return err
		}
	}
	return nil
}

// noWorld says which names no world has, and which may be meant.
func noWorld(missing []string, worlds []lab.World) error {
	names := make([]string, len(worlds))
	for i, w := range worlds {
		names[i] = w.Name
	}
	var meant []string
	for _, m := range missing {
		if n := near.Name(strings.TrimSuffix(m, ".test"), names); n != "" && !slices.Contains(meant, n) {
			meant = append(meant, n)
		}
	}
	if len(meant) > 0 {
		return usageError{fmt.Errorf("no world %.100q; did you mean %s?", strings.Join(missing, " "), strings.Join(meant, " "))}
	}
	return usageError{fmt.Errorf("no world %.100q (mxconform lab --list prints all)", strings.Join(missing, " "))}
}

// runList prints the worlds of these names, in the order of the lab; all if there are none.
func runList(ctx context.Context, s streams, names []string) error {
	// All are described, since the place of a world in the lab decides its addresses.
	worlds, err := lab.Describe(ctx, lab.Worlds())
	if err != nil {
		return err
	}
	if len(names) > 0 {
		missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
			return slices.ContainsFunc(worlds, func(w lab.World) bool { return w.Name == n })
		})
		if len(missing) > 0 {
			return noWorld(missing, worlds)
		}
		worlds = slices.DeleteFunc(worlds, func(w lab.World) bool { return !slices.Contains(names, w.Name) })
	}
	return writeWorlds(s.out, worlds)
}
