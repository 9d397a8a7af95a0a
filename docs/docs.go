// Package docs holds the description of what mxauth answers over HTTP: docs/openapi.yaml
// (OpenAPI 3.1) and the JSON Schemas that it refers to; and what the deviations of answers
// mean, by docs/deviations.md. The other schemas of this folder are of what verbs print with
// --json, and are not in the program.
package docs

import (
	"embed"
	"io/fs"
	"strings"
	"sync"
)

// Files holds openapi.yaml and the schemas.
//
//go:embed openapi.yaml check.schema.json decide.schema.json decision.schema.json delivery.schema.json
//go:embed evidence.schema.json plan.schema.json policy.schema.json problem.schema.json status.schema.json
var Files embed.FS

// Schemas returns the names of the schemas in [Files], sorted.
func Schemas() []string {
	names, err := fs.Glob(Files, "*.schema.json")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	return names
}

//go:embed deviations.md
var deviations string

// Deviation says what a mail server does that gets an answer with this deviation (an id of
// package mtapolicy); "" for an id that docs/deviations.md does not have.
func Deviation(id string) string { return deviationTexts()[id] }

// deviationTexts reads the first table of deviations.md: | `id` | weaker | Text |
var deviationTexts = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	_, table, _ := strings.Cut(deviations, "\n## Deviations of an answer\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, " | "); len(cells) == 3 && strings.HasPrefix(cells[0], "| `") {
			out[strings.Trim(cells[0], "| `")] = strings.TrimSuffix(cells[2], " |\n")
		}
	}
	return out
})
