package httpdoor

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimited: the context ends as one of context.WithTimeout does, also for those derived
// from it, whether its timer was started before or not.
func TestLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancelCause(context.Background())
		r := httptest.NewRequest("GET", "/", nil).WithContext(parent)
		ctx, stop := limited(r)
		child, end := context.WithCancel(ctx)
		if d, ok := ctx.Deadline(); !ok || time.Until(d) != answerTime || ctx.Err() != nil || child.Err() != nil {
			t.Errorf("%v %v %v", d, ok, ctx.Err())
		}
		begun := time.Now()
		<-child.Done()
		if time.Since(begun) != answerTime || !errors.Is(context.Cause(child), context.DeadlineExceeded) || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("after %v: %v %v", time.Since(begun), context.Cause(child), context.Cause(ctx))
		}
		end()
		stop()

		late, stop := limited(r)
		time.Sleep(answerTime)
		if !errors.Is(late.Err(), context.DeadlineExceeded) {
			t.Errorf("without a timer: %v", late.Err())
		}
		stop()

		left, stop := limited(r)
		gone := errors.New("gone")
		cancel(gone)
		if !errors.Is(left.Err(), context.Canceled) || context.Cause(left) != gone {
			t.Errorf("%v %v", left.Err(), context.Cause(left))
		}
		<-left.Done()
		stop()

		over, stop := limited(httptest.NewRequest("GET", "/", nil))
		done := over.Done()
		stop()
		<-done
	})
}
