package sts

import (
	"time"
)

// Limits of what is fetched.
const (
	// BackOff is the time after a failed fetch in which the same id is not tried again
	// (RFC 8461 section 3.3: at least five minutes).
	BackOff = 5 * time.Minute
	// MaxPolicySize is the longest policy body in octets that is read (RFC 8461 section
	// 3.3 suggests 64 kilobytes).
	MaxPolicySize = 64 << 10
)
