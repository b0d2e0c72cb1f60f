package tap

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/sink/message"
)

// SocketPath is where a collector with that cache directory lets its records be read.
func SocketPath(cacheDir string) string { return filepath.Join(cacheDir, "records.sock") }

// A Server lets records be read over a socket of this host. Only the collector's user and root can open it.
type Server struct {
	hub    *Hub
	layout message.Layout
	log    *zap.Logger
	socket net.Listener
	ctx    context.Context
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

// Listen opens the socket. Close ends it.
func Listen(path string, hub *Hub, layout message.Layout, log *zap.Logger) (*Server, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: another collector answers there", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	socket, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = socket.Close()
		return nil, err
	}
	s := &Server{hub: hub, layout: layout, log: log, socket: socket}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.ended.Go(s.accept)
	return s, nil
}

// Close ends the socket and all who read.
func (s *Server) Close() {
	if s == nil {
		return
	}
	s.stop()
	_ = s.socket.Close()
	s.ended.Wait()
}

func (s *Server) accept() {
	for {
		conn, err := s.socket.Accept()
		switch {
		case s.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		case err != nil: // usually because the process has no free file descriptors
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(acceptAgain):
			}
			continue
		}
		s.ended.Go(func() { s.serve(conn) })
	}
}

// A note is a line of the socket that is no record.
type note struct {
	Error string `json:"error,omitempty"`
	// records that passed the filter since the last such line and are not shown
	Left uint64 `json:"left_out,omitempty"`
}

// acceptAgain is the pause after a client could not be accepted.
const acceptAgain = 100 * time.Millisecond

// requestTime is how long a client may take to say its filter, and to take a line.
const requestTime = 10 * time.Second

// serve answers one client: a line with its filter, then records until it goes.
func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadDeadline(time.Now().Add(requestTime))
	line, err := bufio.NewReader(io.LimitReader(conn, filter.MaxLength+1)).ReadString('\n')
	if err != nil {
		return
	}
	text := line[:len(line)-1]
	match, err := compile(text, &s.layout)
	var bad *filter.Error
	if errors.As(err, &bad) {
		writeNote(conn, note{Error: bad.Show(text)})
		return
	}
	t := newTap(match, s.layout)
	if !s.hub.add(t) {
		writeNote(conn, note{Error: fmt.Sprintf("%d others read already", maxTaps)})
		return
	}
	defer s.hub.remove(t)
	_ = conn.SetReadDeadline(time.Time{})
	gone := make(chan struct{})
	go func() { // a client says nothing more: it ends when it goes
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn)
	}()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	told := uint64(0)
	for {
		_ = conn.SetWriteDeadline(time.Now().Add(requestTime))
		select {
		case <-gone:
			return
		case record := <-t.out:
			if _, err := conn.Write(record); err != nil {
				return
			}
		case <-second.C:
			t.second()
			if left := t.left.Load(); left > told {
				writeNote(conn, note{Left: left - told})
				told = left
			}
		}
	}
}

func writeNote(conn net.Conn, n note) {
	line, err := json.Marshal(n)
	if err == nil {
		_, _ = conn.Write(append(line, '\n'))
	}
}

// Read asks the collector at a socket for the records that pass a filter, and hands each line to record and what is
// left out to left, until ctx ends or the collector does.
func Read(ctx context.Context, path, text string, record func([]byte) error, left func(uint64)) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return fmt.Errorf("no collector lets its records be read there: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, text+"\n"); err != nil {
		return err
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var n note
		if json.Unmarshal(lines.Bytes(), &n) == nil && n != (note{}) {
			if n.Error != "" {
				return errors.New(n.Error)
			}
			left(n.Left)
			continue
		}
		if err := record(lines.Bytes()); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("the collector ended")
}
