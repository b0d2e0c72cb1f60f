package geo

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
)

// zipFile is a zip that is open for reading.
type zipFile struct {
	*zip.Reader
	file *os.File
}

func (z *zipFile) Close() error { return z.file.Close() }

// maxDirectory limits the bytes that are read of a zip before its members: its directory, which is kept in memory. One
// of GeoLite2 has a kilobyte.
const maxDirectory = 1 << 20

// openZip opens a zip with a directory of a bounded size. Go's reader of zips has no limit of its own.
func openZip(path string) (*zipFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	in := &limitedAt{in: f, left: maxDirectory}
	z, err := zip.NewReader(in, info.Size())
	if err != nil || in.left < 0 {
		if in.left < 0 {
			err = fmt.Errorf("the directory of the zip has more than the %d bytes allowed", maxDirectory)
		}
		return nil, errors.Join(err, f.Close())
	}
	in.opened = true
	return &zipFile{z, f}, nil
}

// limitedAt reads a limited number of bytes until it is opened.
type limitedAt struct {
	in     io.ReaderAt
	left   int
	opened bool
}

func (l *limitedAt) ReadAt(p []byte, at int64) (int, error) {
	if !l.opened {
		if l.left < 0 {
			return 0, io.ErrUnexpectedEOF
		}
		l.left -= len(p)
	}
	return l.in.ReadAt(p, at)
}
