package pkix

import "time"

// SystemRootsFrom is SystemRoots with the places to look at given.
var SystemRootsFrom = systemRoots

// Limits that tests reach.
const (
	MaxBundle     = maxBundle
	MaxSignatures = maxSignatures
	MaxSteps      = maxSteps
	MaxPath       = maxPath
)

// MaxShown and MaxCertificate are further limits.
const (
	MaxShown       = maxSubject
	MaxCertificate = maxCertificate
	CostName       = costName
)

// ReadLenient is Read by the reader of this package alone.
var ReadLenient = readLenient

// CheckSignature and SignatureCost are for one signature.
var (
	CheckSignature = checkSignature
	SignatureCost  = signatureCost
)

// Collect adds failures as a search does, and gives its verdict.
func Collect(list ...*Error) *Error {
	var f failures
	for _, e := range list {
		f.add(e)
	}
	return f.verdict()
}

// Counted is what one verification cost.
type Counted struct {
	Signatures, Steps, Names int
	Spent                    time.Duration
}

// VerifyCounted is Verify, with its cost.
func VerifyCounted(r Request) (Path, *Error, Counted) {
	v := newVerifier(&r)
	path, err := v.run()
	return path, err, Counted{v.work.signatures, v.counted.steps, v.counted.names, v.work.spent}
}
