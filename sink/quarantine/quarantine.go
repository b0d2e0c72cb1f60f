// Package quarantine keeps on disk what a server refused for good, with the reason, until an operator has looked at it.
// It knows nothing of what the blocks hold and imports nothing of this project.
//
// For each day, run and INSERT statement there is a pair of files. NAME.native has the blocks as they were sent, one
// behind the other: what ClickHouse reads as one file of Native format. NAME.jsonl has a line of JSON for each of them
// (Record): when, why, which statement, where in the other file. A block is on the disk before its line is, so a line
// that is there is true. While the pair is inserted after all, NAME.progress has a line for each step (Insertion), so
// that an insertion that was interrupted goes on where it was. A pair is deleted only under a lock on the directory,
// which Put takes too, and when every block in it is stored.
//
// Every line has the version of its format. Version 1 is the only one; a line without a version is of version 1. A file
// with a line of a later version is refused with an error that names it, and stays as it is.
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

// Options bound a Quarantine. Only Dir has no useful zero value.
type Options struct {
	Dir string // made where it is missing, when something has to go there
	// MaxBytes bounds all files of Dir together; what has no room is refused. 0: 1 GiB.
	MaxBytes int64
}

// Record says what of one insert was refused, and why: a line of NAME.jsonl.
type Record struct {
	Version int `json:"version"` // filled in by Put; 0 is 1

	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
	Code   int       `json:"code"` // the server's error code, the HTTP status, or 0
	Error  string    `json:"error"`
	// Stored: the rows are in the table, and only a view did not take them.
	Stored bool   `json:"stored"`
	Query  string `json:"query"` // the INSERT statement without FORMAT
	Token  string `json:"token"` // the deduplication token that they were sent with
	Rows   int    `json:"rows"`
	// Exporters are the addresses of those that the rows are of, if known.
	Exporters []string `json:"exporters,omitempty"`
	Offset    int64    `json:"offset"` // of the block in NAME.native
	Bytes     int64    `json:"bytes"`
	// Sum is the block's CRC-32C. nil: it is not known.
	Sum *uint32 `json:"crc32c,omitempty"`
}

// version is that of the lines which this package writes, and the latest that it reads.
const version = 1

// checkVersion refuses a line of a later version.
func checkVersion(name string, line, is int) error {
	if is > version || is < 0 {
		return fmt.Errorf("%s: line %d is of version %d, this collector knows version %d: use the collector that wrote it, or a later one",
			name, line, is, version)
	}
	return nil
}

// ErrFull is for rows that have no room.
var ErrFull = errors.New("the quarantine is full: look at what it holds and delete it, or give it more room (quarantine.max_bytes)")

// Quarantine takes refused blocks. Its methods may be called by several goroutines.
type Quarantine struct {
	o   Options
	run string // of this process, in the names of its files
	now func() time.Time

	mu      sync.Mutex
	queries []string // of this run; the place is in the names of the files
	bytes   int64    // of all files
	counted bool
}

// New returns a Quarantine. The directory is not touched yet.
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

// Put writes a block and its record, of which Version, Time, Offset, Bytes and Sum are filled in. Both are on the disk
// when it returns; after an error neither is.
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

// lock keeps other processes from adding to the directory's files, or deleting some.
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
	return func() { _ = d.Close() }, nil // which unlocks
}

// lockPair is lock for the directory of a pair of files.
func lockPair(name string) (unlock func(), err error) { return lock(filepath.Dir(name)) }

// number is the place of a statement among those of this run.
func (q *Quarantine) number(query string) int {
	for i, known := range q.queries {
		if known == query {
			return i + 1
		}
	}
	q.queries = append(q.queries, query)
	return len(q.queries)
}

// reserve reports whether there is room. The operator may have made some.
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

// size adds up a directory's files.
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

// appended is a file that is written to at its end.
type appended struct {
	*os.File
	size int64 // before
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

// write appends and syncs; after an error the file is as it was, if the disk lets it.
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
func (a *appended) close()     { _ = a.Close() } // all in it is synced
