//go:build race

package certtest

// Race says that the race detector is on: everything takes five to ten times as long,
// so tests of costs say nothing.
const Race = true
