package sts_test

import (
	"testing"

	"github.com/mxauth/mxauth/conformance/sets/policies"
	"github.com/mxauth/mxauth/conformance/sets/setstest"
)

func TestVectors(t *testing.T) { setstest.Run(t, "mta-sts", policies.MTASTS) }
