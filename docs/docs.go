// Package docs holds the description of what mxauth answers over HTTP: docs/openapi.yaml
// (OpenAPI 3.1) and the JSON Schemas that it refers to. The other schemas of this folder are
// of what verbs print with --json, and are not in the program.
package docs

import (
	"embed"
	"io/fs"
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
