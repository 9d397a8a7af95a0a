package postfixconf

import (
	"fmt"
	"strconv"
	"strings"
)

// A Version is a release of Postfix, 3.7.11. The zero Version is not known.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads a version as `postconf mail_version` prints it: "mail_version = 3.7.11",
// or without the name. Snapshots and release candidates ("3.11-20250101", "3.10.0-RC1") count
// as the release that they precede.
func ParseVersion(s string) (Version, error) {
	text := strings.TrimSpace(s)
	if _, after, ok := strings.Cut(text, "="); ok {
		text = strings.TrimSpace(after)
	}
	number, _, _ := strings.Cut(text, "-")
	parts := strings.Split(number, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, fmt.Errorf("%.40q is no version of Postfix such as 3.7.11", s)
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return Version{}, fmt.Errorf("%.40q is no version of Postfix such as 3.7.11", s)
		}
		n[i] = int(v)
	}
	return Version{n[0], n[1], n[2]}, nil
}

// IsKnown reports whether v is not the zero Version.
func (v Version) IsKnown() bool { return v != Version{} }

// String returns "3.7.11", or "" for a version that is not known.
func (v Version) String() string {
	if !v.IsKnown() {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// Before reports whether v is known and older than major.minor.patch.
func (v Version) Before(major, minor, patch int) bool {
	return v.IsKnown() && !v.atLeast(major, minor, patch)
}

// AtLeast reports whether v is known and major.minor.patch or later.
func (v Version) AtLeast(major, minor, patch int) bool {
	return v.IsKnown() && v.atLeast(major, minor, patch)
}

func (v Version) atLeast(major, minor, patch int) bool {
	switch {
	case v.Major != major:
		return v.Major > major
	case v.Minor != minor:
		return v.Minor > minor
	}
	return v.Patch >= patch
}

// ignoresTableDANE reports whether v may ignore "dane" from a policy table for hosts behind
// an unsigned MX record, unless main.cf says otherwise: fixed in 3.6.17, 3.7.13, 3.8.8, 3.9.2
// and 3.10.0. A version that is not known may.
func (v Version) ignoresTableDANE() bool {
	if !v.IsKnown() {
		return true
	}
	if v.Major == 3 {
		switch v.Minor {
		case 6:
			return v.Patch < 17
		case 7:
			return v.Patch < 13
		case 8:
			return v.Patch < 8
		case 9:
			return v.Patch < 2
		}
	}
	return !v.atLeast(3, 10, 0)
}
