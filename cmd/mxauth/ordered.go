package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"
)

// maxLine bounds one line of standard input, in octets: no domain is longer than 253,
// and one written with escapes or in another script not much more than a kilobyte.
const maxLine = 4096

// errLongLine is reported in place of a domain in a line longer than maxLine.
var errLongLine = fmt.Errorf("a line of standard input is longer than %d octets", maxLine)

// errUTF16 is for standard input that begins with the byte order mark of UTF-16.
var errUTF16 = &exitError{code: exitUsage, err: errors.New("the text is UTF-16, as some Windows programs write it; want UTF-8"),
	hint: "convert it: iconv -f UTF-16 -t UTF-8"}

// domains yields the domains that a command line names: its arguments, or, where
// there is an argument "-", one a line of standard input in its place. Blank lines and
// comments, which begin with "#", are passed over. An error is one of reading, or errLongLine for one line.
func domains(args []string, stdin io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, a := range args {
			if a != "-" {
				if !yield(a, nil) {
					return
				}
				continue
			}
			for line, err := range lines(stdin) {
				if !yield(line, err) {
					return
				}
			}
		}
	}
}

// lines yields the lines of r without blanks around them; a longer line than maxLine
// is cut there and comes with errLongLine, and reading goes on after it.
func lines(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		br := bufio.NewReaderSize(r, maxLine)
		if start, _ := br.Peek(2); string(start) == "\xff\xfe" || string(start) == "\xfe\xff" {
			yield("", errUTF16)
			return
		}
		for {
			b, err := br.ReadSlice('\n')
			line := listed(string(b))
			long := errors.Is(err, bufio.ErrBufferFull)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = br.ReadSlice('\n')
			}
			switch {
			case long:
				if !yield(line, errLongLine) {
					return
				}
			case line != "":
				if !yield(line, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield("", err)
				return
			}
		}
	}
}

// listed is what a line of a list names: without a byte order mark, as editors put it at the
// beginning of a file, and without a comment.
func listed(line string) string {
	line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
	if strings.HasPrefix(line, "#") {
		return ""
	}
	// No domain holds " #"; a "#" without a blank before it is told as what it is.
	for _, mark := range []string{" #", "\t#"} {
		if before, _, ok := strings.Cut(line, mark); ok {
			line = strings.TrimSpace(before)
		}
	}
	return line
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
