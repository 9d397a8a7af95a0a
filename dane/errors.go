package dane

import (
	"errors"
	"fmt"

	"github.com/mxauth/mxauth/internal/fault"
)

// Errors that a caller may branch on.
var (
	// ErrRecord is wrapped by every error of the functions that read a TLSA record: the
	// input is none.
	ErrRecord = fault.New("dane", "not a TLSA record")
	// ErrMaterial is wrapped by every error of [ReadMaterial]: the file holds nothing of
	// which a TLSA record could be made. The text names the file and says what was expected.
	ErrMaterial = errors.New("no certificate or key")
	// ErrNotAuthenticated is wrapped by every failure of [Set.Verify].
	ErrNotAuthenticated = fault.New("dane", "peer not authenticated")

	// What a verification failed by; each wraps [ErrNotAuthenticated]. RFC 7672 section
	// 2.2 forbids the caller to use the connection. Of several failures the one that
	// comes first here is reported (ErrPath for an expired certificate before other
	// ErrPaths, and these in the order of package pkix); the trace has them all.

	// ErrName: a DANE-TA record matched and the path is good, the name is wrong.
	ErrName = fmt.Errorf("%w: name mismatch", ErrNotAuthenticated)
	// ErrPath: a DANE-TA record matched a certificate that was sent (or one or a key
	// in DNS belongs to the chain), and the path to it is not valid; wraps the pkix
	// kind too (for example pkix.ErrExpired).
	ErrPath = fmt.Errorf("%w: chain not valid", ErrNotAuthenticated)
	// ErrKey: a DANE-EE record matched, and the key is one that proves nothing, such
	// as RSA of 512 bits; wraps [pkix.ErrKey] and a [*pkix.KeyError] too.
	ErrKey      = fmt.Errorf("%w: key not accepted", ErrNotAuthenticated)
	ErrNoMatch  = fmt.Errorf("%w: no record matches", ErrNotAuthenticated)
	ErrNoUsable = fmt.Errorf("%w: no usable record", ErrNotAuthenticated)
)
