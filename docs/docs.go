// Package docs holds the descriptions of what mxauth prints and answers that programs read:
// docs/openapi.yaml (OpenAPI 3.1) and the JSON Schemas that it refers to.
package docs

import (
	"embed"
	"io/fs"
)

// Files holds openapi.yaml and the schemas.
//
//go:embed openapi.yaml *.schema.json
var Files embed.FS

// Schemas returns the names of the schemas, sorted.
func Schemas() []string {
	names, err := fs.Glob(Files, "*.schema.json")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	return names
}
