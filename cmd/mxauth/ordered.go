package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/mxauth/mxauth/advise/bulk"
)

// An argument is one text in the place of a domain, and what is wrong with it at first sight.
type argument struct {
	text string
	err  error
}

// argumentsOf yields the texts that a command line gives in the place of domains: its arguments,
// or, where there is an argument "-", those of the list on standard input in its place
// ([bulk.Lines]). What is wrong with a single one is in its argument, with the number of its line;
// an error of reading comes by itself.
func argumentsOf(args []string, stdin io.Reader) iter.Seq2[argument, error] {
	return func(yield func(argument, error) bool) {
		for _, a := range args {
			if a != "-" {
				if !yield(argument{a, listError(checkNextHop(a))}, nil) {
					return
				}
				continue
			}
			for line, err := range bulk.Lines(stdin) {
				if err != nil {
					yield(argument{}, fmt.Errorf("reading standard input: %w", err))
					return
				}
				a := argument{line.Text, line.Err}
				if a.err == nil {
					a.err = listError(checkNextHop(a.text))
				}
				if a.err != nil {
					a.err = fmt.Errorf("line %d: %w", line.Number, a.err)
				}
				if !yield(a, nil) {
					return
				}
			}
		}
	}
}

// lookAhead is how many results, times the limit of inOrder, may wait for one before
// them: a domain whose servers hang then holds up no other, and a list of millions still
// takes little memory.
const lookAhead = 16

// waitingEvery is how often inOrder reports what it waits for.
const waitingEvery = time.Second

// inOrder calls work for each item of seq, up to limit at once, and done for each
// result in the order of seq as soon as it and all before it are there. While one item
// takes long it goes on with up to lookAhead*limit items after it, and calls waiting (if
// that is not nil) every second with that item and for how long it holds up the others.
// It stops at the first error of work, done or seq, waits for what is running, and returns
// it. done and waiting are never called at the same time.
func inOrder[T, R any](ctx context.Context, limit int, seq iter.Seq2[T, error],
	work func(context.Context, T) (R, error), done func(R) error, waiting func(T, time.Duration)) error {
	type slot struct {
		item T
		res  R
		err  error
		ok   chan struct{} // closed when res and err are set
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	queue := make(chan *slot, lookAhead*limit)
	places := make(chan struct{}, limit)
	wg.Go(func() {
		defer close(queue)
		for item, err := range abandoned(ctx, seq) {
			s := &slot{item: item, ok: make(chan struct{})}
			if err != nil {
				s.err = err
				close(s.ok)
			} else {
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
					return
				}
				wg.Go(func() {
					defer func() { <-places; close(s.ok) }()
					s.res, s.err = work(ctx, item)
				})
			}
			select {
			case queue <- s:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	})
	for s := range queue {
		await(s.ok, func(d time.Duration) {
			if waiting != nil {
				waiting(s.item, d)
			}
		})
		err := s.err
		if err == nil {
			err = done(s.res)
		}
		if err != nil {
			cancel(err)
			return err
		}
	}
	return context.Cause(ctx)
}

// abandoned yields what seq yields until ctx is done, even while seq waits for its next
// item, as it does at a terminal. Then seq is left alone in its goroutine.
func abandoned[T any](ctx context.Context, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	type element struct {
		item T
		err  error
	}
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		next := make(chan element)
		go func() {
			defer close(next)
			for item, err := range seq {
				select {
				case next <- element{item, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		for {
			select {
			case e, more := <-next:
				if !more || !yield(e.item, e.err) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// await waits until ok is closed, and calls tell every second with the time since.
func await(ok <-chan struct{}, tell func(time.Duration)) {
	select {
	case <-ok:
		return
	default:
	}
	start := time.Now()
	t := time.NewTicker(waitingEvery)
	defer t.Stop()
	for {
		select {
		case <-ok:
			return
		case <-t.C:
			tell(time.Since(start))
		}
	}
}
