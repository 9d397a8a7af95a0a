package pkix

// SystemRootsFrom is SystemRoots with the places to look at given.
var SystemRootsFrom = systemRoots

// Limits that tests reach.
const (
	MaxBundle     = maxBundle
	MaxSignatures = maxSignatures
	MaxSteps      = maxSteps
	MaxPath       = maxPath
)

// MaxNameChecks and MaxShown are further limits.
const (
	MaxNameChecks = maxNameChecks
	MaxShown      = maxSubject
)

// Collect adds failures as a search does, and gives its verdict.
func Collect(list ...*Error) *Error {
	var f failures
	for _, e := range list {
		f.add(e)
	}
	return f.verdict()
}

// Work is what one verification cost.
type Work struct{ Signatures, Steps, Names int }

// VerifyCounted is Verify, with its cost.
func VerifyCounted(r Request) (Path, *Error, Work) {
	v := newVerifier(&r)
	path, err := v.run()
	return path, err, Work{v.budget.signatures, v.budget.steps, v.budget.names}
}
