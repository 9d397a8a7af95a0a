package conformance

import (
	_ "embed" // for the register
	"strings"

	"github.com/mxauth/mxauth/conformance/register"
)

//go:embed requirements.tsv
var requirementsTable string

//go:embed excuses.tsv
var excusesTable string

// Register ties mxauth's register of requirements, and the excuses for those that no test
// can show, to the tests of a run.
func Register(tests []register.Test) (register.Table, error) {
	reqs, err := register.Read(strings.NewReader(requirementsTable))
	if err != nil {
		return register.Table{}, err
	}
	excuses, err := register.Excuses(strings.NewReader(excusesTable))
	if err != nil {
		return register.Table{}, err
	}
	return register.Build(reqs, excuses, tests), nil
}
