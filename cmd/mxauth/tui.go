package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"sync"

	"golang.org/x/term"

	"github.com/mxauth/mxauth/internal/fault"
	"github.com/mxauth/mxauth/internal/text"
)

// The rules of output, which every verb keeps by printing through a console:
//
//   - Answers go to standard output, everything else (errors, hints, notes, progress,
//     logs) to standard error.
//   - Lines on standard error begin with "mxauth: " and are in lower case; a hint
//     is on a line below its error and begins with "mxauth: hint: ".
//   - Colour only on a terminal, never where NO_COLOR is set or TERM is "dumb", and
//     never as the only carrier of a meaning.
//   - Whatever comes from a peer, a zone or a file is an argument, never a format:
//     arguments lose their control characters, escape sequences and bidirectional
//     overrides before they reach a terminal or a file.
//   - With --json a verb prints JSON only, one object a line, with the words of the code,
//     and the same characters are escaped in it.

// A console prints for one run of the program. It may be used by many goroutines at
// once; each call writes whole lines.
type console struct {
	outColor, errColor bool
	errTerm            bool // standard error is a terminal: progress may be shown
	width              int  // characters of a line of an answer
	errWidth           int  // columns of the terminal of standard error; 0: not known

	// mu guards what follows.
	mu       sync.Mutex
	out, err io.Writer
	outErr   error  // the first failed write to standard output
	progress string // text on the last line of standard error now
}

func newConsole(out, err io.Writer, getenv func(string) string) *console {
	color := getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	return &console{
		out: out, err: err,
		outColor: color && isTerminal(out),
		errColor: color && isTerminal(err),
		errTerm:  isTerminal(err) && getenv("TERM") != "dumb",
		width:    lineWidth(out),
		errWidth: columns(err),
	}
}

// Widths of a line: what does not go to a terminal is made for a page of a manual, and
// on a wide terminal sentences stay readable.
const (
	pageWidth = 90
	minWidth  = 60
	maxWidth  = 110
)

// lineWidth is how long the lines of an answer may be.
func lineWidth(out io.Writer) int {
	if w := columns(out); w > 0 {
		return min(max(w, minWidth), maxWidth)
	}
	return pageWidth
}

// columns is the width of a terminal; 0 for what is none.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil {
			return n
		}
	}
	return 0
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// A style is a way to show a word on a terminal.
type style string

const (
	plain  style = ""
	good   style = "\x1b[32m" // green
	fair   style = "\x1b[33m" // yellow
	bad    style = "\x1b[31m" // red
	strong style = "\x1b[1m"
	faint  style = "\x1b[2m"
	reset        = "\x1b[0m"
)

// A painted text is an argument of the console's printers that has a style.
type painted struct {
	style style
	text  string
}

func paint(s style, text string) painted { return painted{s, text} }

// Linef prints one line of an answer.
func (c *console) Linef(format string, args ...any) {
	c.answer(fmt.Sprintf(format, clean(args, c.outColor)...) + "\n")
}

// JSON prints a JSON text.
func (c *console) JSON(b []byte) { c.answer(string(text.JSON(b))) }

func (c *console) answer(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eraseProgress()
	if c.outErr != nil {
		return
	}
	if _, err := io.WriteString(c.out, s); err != nil {
		c.outErr = fmt.Errorf("writing the answer: %w", err)
	}
}

// flushed returns the error of the first write to standard output that failed.
func (c *console) flushed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outErr
}

// Errorf prints an error on standard error.
func (c *console) Errorf(format string, args ...any) { c.note(bad, "", format, args) }

// Notef prints what a user should know though nothing failed.
func (c *console) Notef(format string, args ...any) { c.note(plain, "", format, args) }

// Hintf prints what to do about the error above it.
func (c *console) Hintf(format string, args ...any) { c.note(plain, "hint: ", format, args) }

func (c *console) note(s style, kind, format string, args []any) {
	prefix := "mxauth: "
	if c.errColor && s != plain {
		prefix = string(s) + "mxauth:" + reset + " "
	}
	line := fmt.Sprintf(format, clean(args, c.errColor)...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eraseProgress()
	_, _ = io.WriteString(c.err, prefix+kind+line+"\n") // nowhere left to complain
}

// Progressf shows one line that later output replaces, if standard error is a
// terminal; else it does nothing.
func (c *console) Progressf(format string, args ...any) {
	if !c.errTerm {
		return
	}
	line := fmt.Sprintf(format, clean(args, false)...)
	// A line that the terminal breaks could not be replaced.
	if r := []rune(line); c.errWidth > 1 && len(r) >= c.errWidth {
		line = string(r[:c.errWidth-1])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eraseProgress()
	c.progress = line
	_, _ = io.WriteString(c.err, line)
}

// EndProgress takes the progress line away.
func (c *console) EndProgress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eraseProgress()
}

// eraseProgress clears the last line of the terminal. The caller holds c.mu.
func (c *console) eraseProgress() {
	if c.progress != "" {
		_, _ = io.WriteString(c.err, "\r\x1b[K")
		c.progress = ""
	}
}

// logger returns one that writes to standard error; the text handler quotes values.
func (c *console) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(c.stderr(), &slog.HandlerOptions{Level: level}))
}

// stdout and stderr are writers for this program's texts: help, usage, logs.
func (c *console) stdout() io.Writer { return writerFunc(func(b []byte) { c.answer(string(b)) }) }
func (c *console) stderr() io.Writer {
	return writerFunc(func(b []byte) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.eraseProgress()
		// The log's own quoting lets what is invisible through.
		_, _ = io.WriteString(c.err, text.Lines(string(b)))
	})
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

// clean makes every argument that is text safe, and paints it if colour is on.
func clean(args []any, color bool) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case painted:
			out[i] = text.Escape(a.text)
			if color && a.style != plain {
				out[i] = string(a.style) + text.Escape(a.text) + reset
			}
		case string:
			out[i] = text.Escape(a)
		case error:
			out[i] = text.Escape(errorText(a))
		case fmt.Stringer:
			out[i] = text.Escape(a.String())
		default:
			out[i] = cleanValue(a)
		}
	}
	return out
}

// cleanValue makes the texts of other values safe: of string types, and of lists of them.
func cleanValue(a any) any {
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.String:
		return text.Escape(v.String())
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Struct, reflect.Pointer:
		return text.Escape(fmt.Sprint(a))
	}
	return a
}

// errorText puts an error, which may be several that were joined, on one line and leaves out
// which package it came from, which is of no use to who typed a command.
func errorText(err error) string { return fault.Text(err) }
