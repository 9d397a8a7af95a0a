package bulk

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/mxauth/mxauth/internal/fault"
)

// A journal is a text file: a line that says whose it is, and a line for each domain that is
// finished, in the order in which they were. Each line begins with the CRC-32 of its JSON.
//
//	mxauth-survey 1 5f1c0a77 {"list":"9f86d081...","entries":1000,"settings":"probe=false"}
//	0c9f1d2e {"n":0,"text":"example.org","row":{"v":1,"line":1,...}}
//
// A line is written by one call, so that a program that is killed leaves at most a part of the
// last line, which the next run removes.
const (
	journalMagic   = "mxauth-survey"
	journalVersion = 1
	// maxRecord bounds a line: twice what a row of the most hosts with a fault each takes.
	maxRecord = 1 << 20
	// maxEntries bounds the memory for where the records are: 8 bytes an entry.
	maxEntries = 100_000_000
)

// Errors of [OpenJournal] and [Run].
var (
	// ErrNotJournal: the file is not empty and no journal.
	ErrNotJournal = fault.New("bulk", "the file is not a journal of a survey")
	// ErrJournalVersion: the journal was written by another version, which this one cannot read.
	ErrJournalVersion = fault.New("bulk", "the journal has another version")
	// ErrJournalDamaged: a line of the journal is not what was written.
	ErrJournalDamaged = fault.New("bulk", "the journal is damaged")
	// ErrOtherList: the journal belongs to another list.
	ErrOtherList = fault.New("bulk", "the journal belongs to another list")
	// ErrOtherSettings: the journal was written with other settings.
	ErrOtherSettings = fault.New("bulk", "the journal was written with other settings")
	// ErrJournalInUse: another survey has the journal open.
	ErrJournalInUse = fault.New("bulk", "another survey uses the journal")
	// ErrJournalWrite: the journal cannot be written to, for example because the disk is full.
	ErrJournalWrite = fault.New("bulk", "writing the journal")
)

// A JournalHeader says what a journal belongs to.
type JournalHeader struct {
	List     string `json:"list"`     // [Count].Hash; "" if it is not known
	Entries  int    `json:"entries"`  // [Count].Entries
	Settings string `json:"settings"` // what changes the results
}

// A record is the line of one finished domain.
type record struct {
	N    int    `json:"n"` // of the entry, from 0
	Text string `json:"text"`
	Row  *Row   `json:"row"`
}

// journalFile is what a Journal needs of its file.
type journalFile interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// A Journal keeps the rows of finished domains, so that a survey that ended early can be
// continued. It is for one [Run] at a time. Close it after use.
type Journal struct {
	f       journalFile
	end     int64   // where the next line goes
	offsets []int64 // of the record of each entry; 0 where there is none
	kept    int     // records
	failed  error
}

// OpenJournal opens the journal at path, or creates it with mode 0600. The errors are those
// above, or of the file system.
func OpenJournal(path string, h JournalHeader) (*Journal, error) {
	switch st, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is not a regular file", ErrNotJournal)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	j, err := newJournal(f, h)
	if err != nil {
		_ = f.Close()
	}
	return j, err
}

// newJournal reads a journal to its end, or begins one.
func newJournal(f journalFile, h JournalHeader) (*Journal, error) {
	j := &Journal{f: f}
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), 1<<16)
	first, err := readLine(r)
	switch {
	case errors.Is(err, io.EOF) && bytes.HasPrefix([]byte(journalMagic+" "), first[:min(len(first), len(journalMagic)+1)]):
		return j, j.begin(h) // empty, or cut before a domain was finished
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, ErrJournalDamaged):
		return nil, err
	case err != nil:
		return nil, ErrNotJournal
	}
	if err := checkHeader(first, h); err != nil {
		return nil, err
	}
	j.end = int64(len(first)) + 1
	for n := 2; ; n++ {
		line, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF):
			if len(line) > 0 { // the last line was cut
				if err := f.Truncate(j.end); err != nil {
					return nil, fmt.Errorf("%w: %w", ErrJournalWrite, err)
				}
			}
			if h.List != "" {
				return j, j.checkEnd(h.Entries)
			}
			return j, nil
		case err != nil && !errors.Is(err, ErrJournalDamaged):
			return nil, err
		}
		var rec record
		if err != nil || !decodeLine(line, &rec) || rec.N < 0 || rec.N >= maxEntries || rec.Row == nil {
			return nil, fmt.Errorf("%w in line %d", ErrJournalDamaged, n)
		}
		j.note(rec.N, j.end)
		j.end += int64(len(line)) + 1
	}
}

// readLine returns a line without its end; with io.EOF what is left of one.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		b, err := r.ReadSlice('\n')
		line = append(line, b...)
		switch {
		case len(line) > maxRecord:
			return nil, ErrJournalDamaged
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return line, err
		}
		return line[:len(line)-1], nil
	}
}

// checkHeader holds the first line of a journal against what is surveyed now.
func checkHeader(line []byte, h JournalHeader) error {
	rest, ok := bytes.CutPrefix(line, []byte(journalMagic+" "))
	if !ok {
		return ErrNotJournal
	}
	version, body, _ := bytes.Cut(rest, []byte(" "))
	v, err := strconv.Atoi(string(version))
	switch {
	case err != nil:
		return ErrNotJournal
	case v != journalVersion:
		return fmt.Errorf("%w: %d, and this program writes %d", ErrJournalVersion, v, journalVersion)
	}
	var was JournalHeader
	switch {
	case !decodeLine(body, &was):
		return fmt.Errorf("%w in line 1", ErrJournalDamaged)
	case was.List != "" && h.List != "" && was.List != h.List:
		return fmt.Errorf("%w: that has %d entries, this one %d", ErrOtherList, was.Entries, h.Entries)
	case was.Settings != h.Settings:
		return fmt.Errorf("%w: %s, and now %s", ErrOtherSettings, was.Settings, h.Settings)
	}
	return nil
}

// begin writes the first line.
func (j *Journal) begin(h JournalHeader) error {
	if err := j.f.Truncate(0); err != nil {
		return fmt.Errorf("%w: %w", ErrJournalWrite, err)
	}
	return j.write(append(fmt.Appendf(nil, "%s %d ", journalMagic, journalVersion), encodeLine(h)...))
}

// write appends a line. After a failure the file has what it had before, as far as possible.
func (j *Journal) write(line []byte) error {
	if j.failed != nil {
		return j.failed
	}
	if _, err := j.f.WriteAt(line, j.end); err != nil {
		_ = j.f.Truncate(j.end) // a part of a line is removed by the next run, too
		j.failed = fmt.Errorf("%w: %w", ErrJournalWrite, err)
		return j.failed
	}
	j.end += int64(len(line))
	return nil
}

// note remembers where the record of an entry is.
func (j *Journal) note(n int, offset int64) {
	if n >= len(j.offsets) {
		j.offsets = append(j.offsets, make([]int64, n+1-len(j.offsets))...)
	}
	if j.offsets[n] == 0 {
		j.kept++
	}
	j.offsets[n] = offset
}

// Kept returns how many domains are finished.
func (j *Journal) Kept() int { return j.kept }

// add keeps the row of an entry.
func (j *Journal) add(n int, text string, row *Row) error {
	at := j.end
	if err := j.write(encodeLine(record{n, text, row})); err != nil {
		return err
	}
	j.note(n, at)
	return nil
}

// row returns the row of an entry; nil if it is not finished. An error wraps [ErrOtherList] if
// it is another domain's.
func (j *Journal) row(n int, text string) (*Row, error) {
	if n >= len(j.offsets) || j.offsets[n] == 0 {
		return nil, nil
	}
	at := j.offsets[n]
	line, err := readLine(bufio.NewReader(io.NewSectionReader(j.f, at, j.end-at)))
	if err != nil {
		return nil, err
	}
	var rec record
	switch {
	case !decodeLine(line, &rec) || rec.Row == nil:
		return nil, fmt.Errorf("%w: a line has changed", ErrJournalDamaged)
	case rec.Text != text:
		return nil, fmt.Errorf("%w: entry %d is %q there, and %q in this one", ErrOtherList, n+1, rec.Text, text)
	}
	return rec.Row, nil
}

// checkEnd reports a journal that knows more entries than the list has.
func (j *Journal) checkEnd(entries int) error {
	if len(j.offsets) > entries {
		return fmt.Errorf("%w: that has at least %d entries, this one %d", ErrOtherList, len(j.offsets), entries)
	}
	return nil
}

// Close writes what is left to the disk and closes the file.
func (j *Journal) Close() error {
	err := errors.Join(j.f.Sync(), j.f.Close())
	if err != nil && j.failed == nil {
		return fmt.Errorf("%w: %w", ErrJournalWrite, err)
	}
	return nil
}

// encodeLine makes a line of a value.
func encodeLine(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // types of this package
	}
	line := fmt.Appendf(make([]byte, 0, len(b)+10), "%08x ", crc32.ChecksumIEEE(b))
	return append(append(line, b...), '\n')
}

// decodeLine reads a line, without its end, and reports whether it is whole.
func decodeLine(line []byte, v any) bool {
	sum, body, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return false
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	return err == nil && len(sum) == 8 && uint32(want) == crc32.ChecksumIEEE(body) && json.Unmarshal(body, v) == nil
}
