package quarantine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is a pair of files with its records.
type File struct {
	Name    string   // path without extension
	Records []Record // of the blocks that are not yet inserted
	Done    int      // how many blocks an unfinished insertion has stored
	torn    bool     // the last line is incomplete
}

// Read returns the contents of a directory, oldest first; nothing if the directory does not exist. Files that cannot be
// read are left out, and the error has a line for each.
func Read(dir string) ([]File, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+recordsExtension))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var files []File
	var errs []error
	for _, name := range names {
		f, err := ReadFile(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, f)
	}
	return files, errors.Join(errs...)
}

// maxLine limits the length of a record's line.
const maxLine = 1 << 20

// Base returns the name of a pair of files without extension, from the name of one of them.
func Base(name string) string {
	for _, extension := range []string{recordsExtension, blocksExtension, progressExtension} {
		if base, found := strings.CutSuffix(name, extension); found {
			return base
		}
	}
	return name
}

// ReadFile reads the records of a pair of files, by the name of either. An incomplete last line is left out.
func ReadFile(name string) (File, error) {
	f := File{Name: Base(name)}
	done, _, err := readProgress(f.Name + progressExtension)
	if err != nil {
		return f, err
	}
	text, err := os.Open(f.Name + recordsExtension)
	if err != nil {
		return f, err
	}
	defer text.Close()
	lines := bufio.NewReaderSize(io.LimitReader(text, 1<<30), maxLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			f.torn = len(line) > 0
			return f, nil
		}
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !tooLong {
			return f, err
		}
		var r Record
		if tooLong || json.Unmarshal(line, &r) != nil || r.Offset < 0 || r.Bytes < 0 {
			return f, fmt.Errorf("%s: line %d is not a record of the quarantine", f.Name+recordsExtension, n)
		}
		if err := checkVersion(f.Name+recordsExtension, n, r.Version); err != nil {
			return f, err
		}
		if done.done[r.Offset] {
			f.Done++
			continue
		}
		f.Records = append(f.Records, r)
	}
}

// Data reads the block of a record.
func (f *File) Data(r *Record) ([]byte, error) {
	blocks, err := os.Open(f.Name + blocksExtension)
	if err != nil {
		return nil, err
	}
	defer blocks.Close()
	info, err := blocks.Stat()
	if err != nil {
		return nil, err
	}
	if r.Bytes > info.Size() || r.Offset > info.Size()-r.Bytes {
		return nil, fmt.Errorf("%s: no block of %d bytes at %d", blocks.Name(), r.Bytes, r.Offset)
	}
	data := make([]byte, r.Bytes)
	if _, err := blocks.ReadAt(data, r.Offset); err != nil {
		return nil, err
	}
	if r.Sum != nil && crc32.Checksum(data, castagnoli) != *r.Sum {
		return nil, fmt.Errorf("%s: the block of %d bytes at %d is damaged: its checksum differs", blocks.Name(),
			r.Bytes, r.Offset)
	}
	return data, nil
}

// Remove deletes the pair, the records first. If a crash leaves the other files, what a running collector adds to them
// comes after the blocks that the progress file covers.
func (f *File) Remove() error {
	if err := os.Remove(f.Name + recordsExtension); err != nil {
		return err
	}
	if err := os.Remove(f.Name + progressExtension); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Remove(f.Name + blocksExtension)
}
