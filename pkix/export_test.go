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

// Work is what one verification cost.
type Work struct{ Signatures, Steps, Names int }

// VerifyCounted is Verify, with its cost.
func VerifyCounted(r Request) (Path, *Error, Work) {
	v := newVerifier(&r)
	path, err := v.run()
	return path, err, Work{v.budget.signatures, v.budget.steps, v.budget.names}
}
