package sts

import (
	"strconv"
	"strings"
	"time"
)

// maxKeptText is the longest policy body that is kept as it was fetched, for reports. It is
// ten times as long as the policies that are published; what is longer is the owner's text,
// which would fill memory and stores.
const maxKeptText = 4 << 10

// compact returns p as it is kept. A long body is replaced by one that has only the fields
// which decide: it reads back to the same policy, without unknown fields and without a
// pattern twice. It is never longer than the body that it replaces.
func (p Policy) compact() Policy {
	if len(p.Text) <= maxKeptText {
		return p
	}
	mx := make([]Pattern, 0, len(p.MX))
	seen := make(map[Pattern]struct{}, len(p.MX))
	for _, m := range p.MX {
		if _, ok := seen[m]; !ok {
			seen[m] = struct{}{}
			mx = append(mx, m)
		}
	}
	// Without blanks, and without the last end of line: a body may have neither.
	var b strings.Builder
	b.WriteString("version:STSv1\nmode:" + p.Mode.String() + "\nmax_age:" + strconv.FormatInt(int64(p.MaxAge/time.Second), 10))
	for _, m := range mx {
		b.WriteString("\nmx:" + m.String())
	}
	return Policy{Mode: p.Mode, MaxAge: p.MaxAge, MX: mx, Text: b.String()}
}
