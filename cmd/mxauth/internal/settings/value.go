package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/near"
)

// set reads a value as a variable or a flag has it. A list is separated by commas.
func (r *Setting) set(s *Settings, text string) error {
	switch p := r.to(s).(type) {
	case *string:
		if r.Type == Word && !slices.Contains(r.Words, text) {
			meant := near.Name(text, r.Words)
			if meant != "" {
				meant = "; did you mean " + meant + "?"
			}
			return fmt.Errorf("%.40q is %s%s", text, noneOf(r.Words), meant)
		}
		*p = text
	case *[]string:
		*p = nil
		for v := range strings.SplitSeq(text, ",") {
			if v = strings.TrimSpace(v); v != "" {
				*p = append(*p, v)
			}
		}
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%.40q is neither true nor false", text)
		}
		*p = b
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%.40q is not a whole number", text)
		}
		return r.setInt(p, int64(n))
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%.40q is not a time such as 30s, 10m or 36h", text)
		}
		if d < 0 {
			return fmt.Errorf("%v is negative", d)
		}
		*p = d
	}
	return nil
}

func (r *Setting) setInt(p *int, n int64) error {
	if n < int64(r.Least) || n > int64(r.Most) {
		return fmt.Errorf("%d is not from %d to %d", n, r.Least, r.Most)
	}
	*p = int(n)
	return nil
}

// setTOML reads a value as the TOML decoder returns it.
func (r *Setting) setTOML(s *Settings, v any) error {
	switch r.Type {
	case Strings:
		list, ok := v.([]any)
		if !ok {
			return errors.New("want a list of texts: [\"a\", \"b\"]")
		}
		out := []string{}
		for _, x := range list {
			t, ok := x.(string)
			if !ok {
				return errors.New("want a list of texts: [\"a\", \"b\"]")
			}
			out = append(out, t)
		}
		*r.to(s).(*[]string) = out
		return nil
	case Bool:
		b, ok := v.(bool)
		if !ok {
			return errors.New("want true or false, without quotes")
		}
		*r.to(s).(*bool) = b
		return nil
	case Int:
		n, ok := v.(int64)
		if !ok {
			return errors.New("want a whole number, without quotes")
		}
		return r.setInt(r.to(s).(*int), n)
	}
	t, ok := v.(string)
	if !ok {
		return errors.New("want a text in quotes")
	}
	return r.set(s, t)
}

// noneOf says that a value is none of the words.
func noneOf(list []string) string {
	if len(list) == 2 {
		return "neither " + list[0] + " nor " + list[1]
	}
	return "not " + words(list)
}

// words lists words for an error: "a, b or c".
func words(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}
