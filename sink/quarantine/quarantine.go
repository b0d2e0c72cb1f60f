// Package quarantine keeps on disk what a server refused permanently, with the reason, until an operator has looked at
// it. It does not know what the blocks contain, and imports nothing of this project.
//
// For each day, run and INSERT statement there is a pair of files. NAME.native has the blocks as they were sent, one
// after the other, which ClickHouse can read as one file in Native format. NAME.jsonl has a line of JSON for each block
// (Record): when, why, which statement, and where in the other file. A block is on disk before its line, so every line
// is true. While the pair is inserted again, NAME.progress has a line for each step (Insertion), so that an interrupted
// insertion can be resumed. A pair is deleted only when every block in it is stored, and under a lock on the directory,
// which Put takes too.
//
// Every line has the version of its format. Version 1 is the only one; a line without a version is of version 1. A file
// with a line of a later version is refused with an error that names it, and stays unchanged.
package quarantine

import (
	crand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Options configure a Quarantine. Only Dir has no usable zero value.
type Options struct {
	Dir string // created if it is missing, when the first block is written
	// MaxBytes limits the size of all files in Dir together. Blocks beyond it are refused. 0: 1 GiB.
	MaxBytes int64
}

// Record describes what was refused of one insert, and why: a line of NAME.jsonl.
type Record struct {
	Version int `json:"version"` // filled in by Put; 0 is 1

	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
	Code   int       `json:"code"` // the server's error code, the HTTP status, or 0
	Error  string    `json:"error"`
	// Stored means that the table has the rows; only a view failed.
	Stored bool   `json:"stored"`
	Query  string `json:"query"` // the INSERT statement without FORMAT
	Token  string `json:"token"` // the deduplication token with which they were sent
	Rows   int    `json:"rows"`
	// Exporters are the addresses of the rows' exporters, if known.
	Exporters []string `json:"exporters,omitempty"`
	Offset    int64    `json:"offset"` // of the block in NAME.native
	Bytes     int64    `json:"bytes"`
	// Sum is the block's CRC-32C; nil: unknown.
	Sum *uint32 `json:"crc32c,omitempty"`
}

// version is the version of the lines that this package writes, and the latest that it reads.
const version = 1

// checkVersion refuses a line of a later version.
func checkVersion(name string, line, is int) error {
	if is > version || is < 0 {
		return fmt.Errorf("%s: line %d is of version %d, this collector knows version %d: use the collector that "+
			"wrote it, or a later one",
			name, line, is, version)
	}
	return nil
}

// ErrFull is the error for rows that do not fit.
var ErrFull = errors.New("the quarantine is full: look at its contents and delete them, or increase " +
	"quarantine.max_bytes")

// Quarantine receives refused blocks. It is safe for concurrent use.
type Quarantine struct {
	o   Options
	run string // identifies this process in the names of its files
	now func() time.Time

	mu      sync.Mutex
	queries []string // of this run; a statement's index is part of its files' names
	bytes   int64    // size of all files
	counted bool
}

// New returns a Quarantine. It does not touch the directory yet.
func New(o Options) *Quarantine {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	run := make([]byte, 4)
	crand.Read(run)
	return &Quarantine{o: o, run: hex.EncodeToString(run), now: time.Now}
}

const (
	blocksExtension   = ".native"
	recordsExtension  = ".jsonl"
	progressExtension = ".progress"
)

// Put writes a block and its record; it fills in Version, Time, Offset, Bytes and Sum. When it returns, both are on
// disk; after an error neither is.
func (q *Quarantine) Put(r Record, data []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.put(&r, data); err != nil {
		return fmt.Errorf("quarantine %d rows in %s: %w", r.Rows, q.o.Dir, err)
	}
	return nil
}

func (q *Quarantine) put(r *Record, data []byte) error {
	if err := os.MkdirAll(q.o.Dir, 0o700); err != nil {
		return err
	}
	unlock, err := lock(q.o.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	sum := crc32.Checksum(data, castagnoli)
	r.Version, r.Time, r.Bytes, r.Sum = version, q.now().UTC(), int64(len(data)), &sum
	name := filepath.Join(q.o.Dir, fmt.Sprintf("%s-%s-%d", r.Time.Format(time.DateOnly), q.run, q.number(r.Query)))
	blocks, err := openAppend(name + blocksExtension)
	if err != nil {
		return err
	}
	defer blocks.close()
	r.Offset = blocks.size
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if err := q.reserve(r.Bytes + int64(len(line))); err != nil {
		return err
	}
	records, err := openAppend(name + recordsExtension)
	if err != nil {
		return err
	}
	defer records.close()
	if err := blocks.write(data); err != nil {
		return err
	}
	if err := records.write(line); err != nil {
		return errors.Join(err, blocks.cut())
	}
	q.bytes += r.Bytes + int64(len(line))
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// lock keeps other processes from adding files to the directory or deleting some.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(d.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), d.Close())
	}
	return func() { _ = d.Close() }, nil // closing unlocks
}

// lockPair is lock for the directory of a pair of files.
func lockPair(name string) (unlock func(), err error) { return lock(filepath.Dir(name)) }

// number returns the index of a statement among those of this run.
func (q *Quarantine) number(query string) int {
	for i, known := range q.queries {
		if known == query {
			return i + 1
		}
	}
	q.queries = append(q.queries, query)
	return len(q.queries)
}

// reserve reports whether n bytes fit. The operator may have deleted files.
func (q *Quarantine) reserve(n int64) error {
	if q.counted && q.bytes+n <= q.o.MaxBytes {
		return nil
	}
	total, err := size(q.o.Dir)
	if err != nil {
		return err
	}
	q.bytes, q.counted = total, true
	if total+n > q.o.MaxBytes {
		return ErrFull
	}
	return nil
}

// size returns the size of a directory's files.
func size(dir string) (total int64, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		if info, err := file.Info(); err == nil {
			total += info.Size()
		}
	}
	return total, nil
}

// appended is a file that is appended to.
type appended struct {
	*os.File
	size int64 // before the next write
}

func openAppend(path string) (*appended, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &appended{f, info.Size()}, nil
}

// write appends and syncs. After an error the file is as before, if the disk allows it.
func (a *appended) write(data []byte) error {
	_, err := a.Write(data)
	if err == nil {
		err = a.Sync()
	}
	if err != nil {
		return errors.Join(err, a.cut())
	}
	return nil
}

func (a *appended) cut() error { return a.Truncate(a.size) }
func (a *appended) close()     { _ = a.Close() } // everything in it is synced
