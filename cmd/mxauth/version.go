package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/mxauth/mxauth/conformance/fetch"
)

// newVersion makes the verb version.
func newVersion(e *env) *cobra.Command {
	return &cobra.Command{
		Use:         "version",
		Annotations: map[string]string{ownSettings: "yes"},
		Short:       "Print the version",
		Long: `Version prints the version of mxauth. With --json it adds the Go version, the platform,
how the program was built, the modules in it, and the sets of test vectors that this
version is tested with.`,
		Example: `  mxauth version
  mxauth version --json`,
		Args: arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if !e.flags.json {
				return printVersion(e)
			}
			row, err := newVersionRow()
			if err != nil {
				return err
			}
			e.printJSON(row)
			return e.out.flushed()
		},
	}
}

// printVersion prints the version alone.
func printVersion(e *env) error {
	e.out.Linef("mxauth %s", version())
	return e.out.flushed()
}

// A versionRow is the JSON object of version.
type versionRow struct {
	V        int               `json:"v"`
	Version  string            `json:"version"`
	Module   string            `json:"module"`
	Go       string            `json:"go"`
	Platform string            `json:"platform"` // GOOS/GOARCH
	Revision string            `json:"revision,omitempty"`
	Time     string            `json:"time,omitempty"` // of the revision
	Modified bool              `json:"modified"`       // the source differed from the revision
	Build    map[string]string `json:"build"`          // settings such as CGO_ENABLED, -trimpath
	Modules  []moduleRow       `json:"modules"`
	Vectors  []string          `json:"vectors"` // sets of published test vectors
}

// A moduleRow is one module in the program.
type moduleRow struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// newVersionRow reads what the linker has stored in the program.
func newVersionRow() (versionRow, error) {
	row := versionRow{V: 1, Version: version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Build: map[string]string{}, Modules: []moduleRow{}, Vectors: []string{}}
	sets, err := fetch.Sets()
	if err != nil {
		return row, err
	}
	for _, s := range sets {
		row.Vectors = append(row.Vectors, s.Name)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return row, nil
	}
	row.Module = info.Main.Path
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			row.Revision = s.Value
		case "vcs.time":
			row.Time = s.Value
		case "vcs.modified":
			row.Modified = s.Value == "true"
		default:
			row.Build[s.Key] = s.Value
		}
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		row.Modules = append(row.Modules, moduleRow{m.Path, m.Version})
	}
	return row, nil
}
