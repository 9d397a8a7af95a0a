package engine_test

import (
	"testing"

	"github.com/mxauth/mxauth/conformance/sets/deliveries"
	"github.com/mxauth/mxauth/conformance/sets/setstest"
)

func TestVectorsSMTPDANE(t *testing.T) { setstest.Run(t, "smtp-dane", deliveries.SMTPDANE) }
