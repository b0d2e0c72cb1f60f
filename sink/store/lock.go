package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// lockName is the file in the data directory that a running store holds locked; it names the process, and says when
// that is about to end.
const lockName = "store.lock"

// stopping stands behind the process in the file of a store that is about to end.
const stopping = "stopping"

const (
	lockPatience     = 3 * time.Second // for a store that may be about to end: its collector has just been killed
	stoppingPatience = 2 * time.Minute // for one that says so: it lets statements finish
	lockInterval     = 100 * time.Millisecond
)

// directoryLock is a data directory that is taken by this process, until it ends.
type directoryLock struct{ f *os.File }

// lockDirectory takes the data directory for this process, and waits for another store that is about to end. The result
// is nil where ctx ends first. Each error is one line that names the directory.
func lockDirectory(ctx context.Context, path string, log *zap.Logger) (*directoryLock, error) {
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return nil, fmt.Errorf("store directory %s cannot be used: %w", path, err)
	}
	started, told := time.Now(), false
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("store directory %s cannot be locked: %w", path, err)
		}
		process, ends := lockHolder(f)
		patience := lockPatience
		if ends {
			patience = stoppingPatience
		}
		if time.Since(started) >= patience {
			f.Close()
			return nil, fmt.Errorf("store directory %s is in use by another store (process %s)", path, process)
		}
		if ends && !told {
			told = true
			log.Info("store waits for another one, which is about to end", zap.String("process", process))
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, nil
		case <-time.After(lockInterval):
		}
	}
	l := &directoryLock{f}
	l.write(fmt.Sprintf("%d\n", os.Getpid()))
	return l, nil
}

// lockHolder is the process that the lock's file names, and whether it is about to end.
func lockHolder(f *os.File) (process string, ends bool) {
	text := make([]byte, 64)
	n, _ := f.ReadAt(text, 0)
	words := strings.Fields(string(text[:n]))
	if len(words) == 0 {
		return "unknown", false
	}
	return words[0], len(words) > 1 && words[1] == stopping
}

// markStopping tells a store that waits for the directory to go on waiting.
func (l *directoryLock) markStopping() { l.write(fmt.Sprintf("%d %s\n", os.Getpid(), stopping)) }

// write replaces the file's text, which only helps others: an error does not matter.
func (l *directoryLock) write(text string) {
	if l.f.Truncate(0) == nil {
		_, _ = l.f.WriteAt([]byte(text), 0)
	}
}
