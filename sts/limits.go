package sts

import "time"

// Limits of policies and of their fetches.
const (
	// BackOff is the time after a failed fetch in which the same id is not tried again
	// (RFC 8461 section 3.3: at least five minutes).
	BackOff = 5 * time.Minute
	// MaxPolicySize is the longest policy body in octets that is read (RFC 8461 section
	// 3.3 suggests 64 kilobytes).
	MaxPolicySize = 64 << 10
	// MaxMaxAge is the upper end of max_age (RFC 8461 section 3.2: 31557600 s). A
	// policy that exceeds it is invalid; the grammar's ten digits would reach further
	// (erratum 7282).
	MaxMaxAge = 31557600 * time.Second
)
