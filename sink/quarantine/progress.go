package quarantine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The states of a block that is being inserted again.
const (
	stateSent      = "sent"       // sent; after a crash or a failure it may be stored
	stateNotStored = "not_stored" // the latest attempt certainly stored nothing
	stateDone      = "done"       // it is stored
)

// progressLine is a line of NAME.progress.
type progressLine struct {
	Version int       `json:"version"`
	Offset  int64     `json:"offset"` // of the block
	State   string    `json:"state"`
	Time    time.Time `json:"time"`
}

// progress holds the states of the blocks of a pair, by offset.
type progress struct {
	done map[int64]bool
	sent map[int64]time.Time // when a block that may be stored was first sent
}

// readProgress reads a progress file; a missing one is empty. It returns the length of the complete lines: an
// incomplete last line is left out.
func readProgress(name string) (progress, int, error) {
	p := progress{map[int64]bool{}, map[int64]time.Time{}}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return p, 0, nil
	}
	if err != nil {
		return p, 0, err
	}
	whole := 0
	for n := 1; ; n++ {
		line, _, found := bytes.Cut(text[whole:], []byte("\n"))
		if !found {
			return p, whole, nil
		}
		var l progressLine
		if err := json.Unmarshal(line, &l); err != nil {
			return p, whole, fmt.Errorf("%s: line %d is not one of a progress file", name, n)
		}
		if err := checkVersion(name, n, l.Version); err != nil {
			return p, whole, err
		}
		switch _, known := p.sent[l.Offset]; l.State {
		case stateDone:
			p.done[l.Offset] = true
		case stateNotStored:
			delete(p.sent, l.Offset)
		case stateSent:
			if !known {
				p.sent[l.Offset] = l.Time
			}
		default:
			return p, whole, fmt.Errorf("%s: line %d: unknown state %q", name, n, l.State)
		}
		whole += len(line) + 1
	}
}

// Insertion inserts the contents of a pair of files. It can be interrupted by a failure or a crash: what was stored
// until then is on disk, and no longer in File.Records. A running collector may add to the pair meanwhile. It is for
// one goroutine.
type Insertion struct {
	name string // of the pair
	file *os.File
	seen progress
}

// ErrBusy means that another process is inserting the pair.
var ErrBusy = errors.New("another `collector quarantine insert` is under way")

// Begin starts or resumes the insertion of a pair. No other process can do so until Close.
func (f *File) Begin() (*Insertion, error) {
	if _, err := os.Stat(f.Name + recordsExtension); err != nil {
		return nil, err
	}
	name := f.Name + progressExtension
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	i := &Insertion{name: f.Name, file: file}
	if err := i.begin(name); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return i, nil
}

func (i *Insertion) begin(name string) error {
	if err := unix.Flock(int(i.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s: %w", i.name, ErrBusy)
	}
	mine, err := i.file.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(name); err != nil || !os.SameFile(mine, now) {
		return fmt.Errorf("%s: %w", i.name, ErrBusy) // the other process has just ended, and removed the files
	}
	whole := 0
	if i.seen, whole, err = readProgress(name); err != nil {
		return err
	}
	return i.file.Truncate(int64(whole))
}

// MaybeStored returns when a block was first sent whose result is unknown; false if there was no such attempt.
func (i *Insertion) MaybeStored(r *Record) (time.Time, bool) {
	at, ok := i.seen.sent[r.Offset]
	return at, ok
}

// Sent notes that a block is about to be sent.
func (i *Insertion) Sent(r *Record, now time.Time) error {
	if _, known := i.seen.sent[r.Offset]; !known {
		i.seen.sent[r.Offset] = now
	}
	return i.note(r, stateSent, now)
}

// NotStored notes that it was certainly not stored.
func (i *Insertion) NotStored(r *Record, now time.Time) error {
	delete(i.seen.sent, r.Offset)
	return i.note(r, stateNotStored, now)
}

// Done notes that it is stored.
func (i *Insertion) Done(r *Record, now time.Time) error {
	i.seen.done[r.Offset] = true
	return i.note(r, stateDone, now)
}

// note writes a line and syncs it.
func (i *Insertion) note(r *Record, state string, now time.Time) error {
	line, err := json.Marshal(progressLine{Version: version, Offset: r.Offset, State: state, Time: now.UTC()})
	if err != nil {
		return err
	}
	if _, err := i.file.Write(append(line, '\n')); err != nil {
		return err
	}
	return i.file.Sync()
}

// Finish deletes the files if every block in them is stored. It returns false if a running collector has added some.
func (i *Insertion) Finish() (removed bool, err error) {
	unlock, err := lockPair(i.name)
	if err != nil {
		return false, err
	}
	defer unlock()
	f, err := ReadFile(i.name)
	if err != nil || len(f.Records) > 0 {
		return false, err
	}
	if f.torn {
		return false,
			fmt.Errorf("%s: the last line is incomplete; all other blocks are stored. Look at it, then delete the "+
				"files", i.name+recordsExtension)
	}
	return true, f.Remove()
}

// Close ends the insertion, finished or not.
func (i *Insertion) Close() error { return i.file.Close() }
