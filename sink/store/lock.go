package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockName is the file in the data directory that a running store holds locked; it names the process.
const lockName = "store.lock"

// lockDirectory makes the data directory and takes it for this process, until the returned file is closed. Each error is
// one line that names the directory.
func lockDirectory(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("store directory %s cannot be made: %w", path, err)
	}
	if err := unix.Access(path, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return nil, fmt.Errorf("store directory %s cannot be written by this user (uid %d): %w", path, os.Getuid(), err)
	}
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return nil, fmt.Errorf("store directory %s cannot be used: %w", path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("store directory %s cannot be locked: %w", path, err)
		}
		owner := make([]byte, 32)
		n, _ := f.Read(owner)
		return nil, fmt.Errorf("store directory %s is in use by another store (process %s)", path, strings.TrimSpace(string(owner[:n])))
	}
	if err := f.Truncate(0); err == nil {
		fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return f, nil
}
