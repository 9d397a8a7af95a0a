package lab

import "strings"

// ReasonedWorlds lists the worlds that reasons names, each as often as it does.
func ReasonedWorlds() []string {
	var out []string
	for _, r := range reasons {
		out = append(out, strings.Fields(r.worlds)...)
	}
	return out
}

// AllSpoken is what [Lab.Spoken] reports every server together.
func AllSpoken(l *Lab) []string {
	var out []string
	for at := range l.ports {
		out = append(out, l.Spoken(at)...)
	}
	return out
}
