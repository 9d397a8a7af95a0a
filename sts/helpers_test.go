package sts_test

import (
	"context"
	"fmt"
	"net/http"
	"testing/synctest"

	"github.com/mxauth/mxauth/store"
)

// gated answers only after the gate is open.
func gated(gate <-chan struct{}, h http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		<-gate
		h(rw, r)
	}
}

// synctestWait is synctest.Wait for a goroutine beside the test's own.
func synctestWait() { synctest.Wait() }

// A brokenStore is never available.
type brokenStore struct{}

var errBroken = fmt.Errorf("%w: broken on purpose", store.ErrUnavailable)

func (*brokenStore) Get(context.Context, string) (store.Entry, bool, error) {
	return store.Entry{}, false, errBroken
}
func (*brokenStore) Put(context.Context, store.Entry) error                    { return errBroken }
func (*brokenStore) Delete(context.Context, string) error                      { return errBroken }
func (*brokenStore) All(context.Context, string, func(store.Entry) bool) error { return errBroken }
func (*brokenStore) Close() error                                              { return nil }
