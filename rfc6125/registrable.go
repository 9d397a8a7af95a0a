package rfc6125

import "golang.org/x/net/publicsuffix"

// Registrable returns the registrable domain of h: the public suffix and one label more, by
// the public suffix list (publicsuffix.org). It is h itself if h is a public suffix. What
// one owner can have for one fee is counted by it; it says nothing about identity.
func (h Host) Registrable() string {
	if d, err := publicsuffix.EffectiveTLDPlusOne(h.ascii); err == nil {
		return d
	}
	return h.ascii
}
