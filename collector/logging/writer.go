package logging

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

// Writer passes lines on to a file without ever blocking. A reader that stops reading (Ctrl-S, a log driver that hangs)
// must block neither receiving nor a stop. Lines that do not fit into the queue are dropped and counted. Once lines can
// be written again, one line says how many were dropped.
//
// It is safe for concurrent use. Close it when no more lines come.
type Writer struct {
	out  io.Writer
	form Form

	mu      sync.Mutex
	changed *sync.Cond
	queue   [][]byte
	bytes   int // in queue
	dropped uint64
	total   uint64 // dropped since the start
	closed  bool
	ended   chan struct{}
}

// logQueueBytes limits the queued lines.
const logQueueBytes = 1 << 20

// FlushTime is how long the last lines may take to be written when the program ends.
const FlushTime = 500 * time.Millisecond

// NewWriter writes lines to out. form is theirs, for those that the Writer adds.
func NewWriter(out io.Writer, form Form) *Writer {
	w := &Writer{out: out, form: form, ended: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	go w.write()
	return w
}

// Write queues a line. It never blocks and never fails.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.bytes+len(line) > logQueueBytes {
		w.dropped++
		w.total++
		return len(line), nil
	}
	w.queue = append(w.queue, append([]byte(nil), line...))
	w.bytes += len(line)
	w.changed.Signal()
	return len(line), nil
}

// Sync is called by zap to wait for the disk. Nothing here waits for a log.
func (w *Writer) Sync() error { return nil }

// Dropped returns how many lines were dropped since the start.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// Close writes the queued lines, for at most the given time.
func (w *Writer) Close(atMost time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.changed.Signal()
	w.mu.Unlock()
	select {
	case <-w.ended:
	case <-time.After(atMost): // nobody reads the log: the process ends all the same
	}
}

// write passes lines on until the writer is closed and the queue is empty. A line that the file does not accept,
// because its other end is gone, is dropped.
func (w *Writer) write() {
	defer close(w.ended)
	for {
		line, said, more := w.next()
		if !more {
			return
		}
		if _, err := w.out.Write(line); err != nil {
			w.mu.Lock()
			w.dropped += said + 1 // the line about dropped lines was not read either
			w.total++
			w.mu.Unlock()
		}
	}
}

// next waits for a line. If lines were dropped, it first returns a line about them; said is how many.
func (w *Writer) next() (line []byte, said uint64, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && !w.closed {
		w.changed.Wait()
	}
	if len(w.queue) == 0 {
		return nil, 0, false
	}
	line = w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	w.bytes -= len(line)
	if said = w.dropped; said > 0 {
		w.dropped = 0
		line = append(w.droppedLine(said), line...)
	}
	return line, said, true
}

func (w *Writer) droppedLine(n uint64) []byte {
	line, err := w.form.encoder().EncodeEntry(zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(),
		Message: fmt.Sprintf("%d log lines were dropped: nobody read the log fast enough", n)}, nil)
	if err != nil {
		return nil // there are no fields that could fail
	}
	defer line.Free()
	return bytes.Clone(line.Bytes())
}
