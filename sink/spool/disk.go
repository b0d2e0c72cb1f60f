package spool

import (
	"errors"
	"os"
)

// file is a segment's file while it is appended to. Tests replace it by one that forgets what was not synced.
type file interface {
	WriteAt(b []byte, offset int64) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// disk has the operations that make data survive a power failure.
type disk struct {
	create func(path string) (file, error)
	sync   func(path string) error // the content of a file, or the names in a directory
}

var osDisk = disk{
	create: func(path string) (file, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) },
	sync: func(path string) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	},
}
