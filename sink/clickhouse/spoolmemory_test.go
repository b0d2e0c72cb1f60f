package clickhouse

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/native"
)

// counting is a server that is down at first, and then counts bytes.
type counting struct {
	driver.Conn
	up    atomic.Bool
	bytes atomic.Int64
}

func (c *counting) InsertFormat(_ context.Context, _, _ string, data io.Reader) error {
	if !c.up.Load() {
		return errors.New("it is down")
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, data, make([]byte, 4<<10))
	c.bytes.Add(n)
	return err
}

// shortening cuts the files of a spool while the first insert is read from it.
type shortening struct {
	counting
	dir  string
	once sync.Once
	errs []error
}

func (s *shortening) InsertFormat(ctx context.Context, format, query string, data io.Reader) error {
	if !s.up.Load() {
		return errors.New("it is down")
	}
	s.once.Do(func() {
		files, _ := filepath.Glob(filepath.Join(s.dir, "*.spool"))
		for _, file := range files {
			s.errs = append(s.errs, os.Truncate(file, 1000))
		}
	})
	_, err := io.Copy(io.Discard, data)
	return err
}

// An insert that cannot be read from disk any more is no failure of the server, and is lost as damaged.
func TestInsertThatCannotBeReadFromDisk(t *testing.T) {
	dir := t.TempDir()
	conn := &shortening{dir: dir}
	w := NewWriter(conn, withSpool(openSpool(t, dir)))
	w.Enqueue(&Insert{Query: insertOf("").Query, Rows: 7, Data: []byte("ab"),
		Fills: []native.Fill{{At: 1, N: 1 << 20, Byte: 'x'}}})
	until(t, "it is on disk", func() bool { return w.Stats().Spooled.Inserts == 1 })
	conn.up.Store(true)
	until(t, "it is lost", func() bool { return w.Stats().Lost[sink.SpoolDamaged].Rows == 7 })
	closeWriter(t, w)
	s := w.Stats()
	allThere(t, 1, s)
	if s.Delivered.Inserts != 0 || s.LastError == nil || errors.Is(s.LastError, errNotRead) ||
		errors.Join(conn.errs...) != nil {
		t.Errorf("files %v, last error %v, stats %+v", conn.errs, s.LastError, s)
	}
}

// Inserts are some times larger on disk than in the queue. That must not be in memory, neither on the way there nor
// back.
func TestInsertsGoToDiskAndBackInParts(t *testing.T) {
	const inserts, size = 4, 32 << 20
	conn := &counting{}
	w := NewWriter(conn, withSpool(openSpool(t, t.TempDir())))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range inserts {
		w.Enqueue(&Insert{Query: insertOf("").Query, Rows: 1, Data: []byte("ab"),
			Fills: []native.Fill{{At: 1, N: size - 2, Byte: 'x'}}})
	}
	until(t, "all is on disk", func() bool { return w.Stats().Spooled.Inserts == inserts })
	conn.up.Store(true)
	until(t, "all is delivered", func() bool { return w.Stats().Delivered.Inserts == inserts })
	runtime.ReadMemStats(&after)
	closeWriter(t, w)
	if n := conn.bytes.Load(); n != inserts*size {
		t.Errorf("%d bytes came, %d were sent", n, inserts*size)
	}
	if s := w.Stats(); s.FromSpool.Bytes != inserts*size || s.Spool.Waiting.Entries != 0 {
		t.Errorf("stats %+v", s)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > inserts*size/4 {
		t.Errorf("%d bytes were allocated for inserts of %d", n, inserts*size)
	}
}
