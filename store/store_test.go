package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mxauth/mxauth/store"
)

func TestYears(t *testing.T) {
	for year, ok := range map[int]bool{1969: false, 1970: true, 2261: true, 2262: false} {
		e := store.Entry{Key: "k", Class: store.Enforce, Expires: time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)}
		if err := e.Check(); (err == nil) != ok {
			t.Errorf("%d: %v", year, err)
		}
	}
}

func TestClassString(t *testing.T) {
	for c, want := range map[store.Class]string{store.Negative: "negative", store.None: "none", store.Testing: "testing", store.Enforce: "enforce", 4: "invalid"} {
		if c.String() != want {
			t.Errorf("%d is %q", c, c)
		}
	}
	if !errors.Is(store.ErrDamaged, store.ErrUnavailable) {
		t.Error("damage must not be taken for absence")
	}
}
