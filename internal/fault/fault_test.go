package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/mxauth/mxauth/internal/fault"
)

var errHost = fault.New("rfc6125", "not a host name")

func TestText(t *testing.T) {
	inner := fmt.Errorf("%w: %q", errHost, "a..b")
	for _, c := range []struct {
		err         error
		full, plain string
	}{
		{errHost, "rfc6125: not a host name", "not a host name"},
		{inner, `rfc6125: not a host name: "a..b"`, `not a host name: "a..b"`},
		{fault.Errorf("engine", "bad request: %w", inner), `engine: bad request: rfc6125: not a host name: "a..b"`, `bad request: not a host name: "a..b"`},
		{errors.Join(inner, fault.New("sts", "x")), "rfc6125: not a host name: \"a..b\"\nsts: x", `not a host name: "a..b"; x`},
		{fault.Errorf("mxauth", "%w", fault.Errorf("engine", "%w", io.EOF)), "mxauth: engine: EOF", "EOF"},
		{fmt.Errorf("%w, %w", errHost, errHost), "rfc6125: not a host name, rfc6125: not a host name", "not a host name, not a host name"},
		{fmt.Errorf("store: %w", io.EOF), "store: EOF", "store: EOF"}, // a text of somebody else's
	} {
		if c.err.Error() != c.full || fault.Text(c.err) != c.plain {
			t.Errorf("%q, %q", c.err, fault.Text(c.err))
		}
	}
	if err := fault.Errorf("engine", "%w", inner); !errors.Is(err, errHost) {
		t.Error("the sentinel is lost")
	}
}
