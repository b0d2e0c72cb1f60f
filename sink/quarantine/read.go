package quarantine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is a pair of files and what they hold.
type File struct {
	Name    string // path without extension
	Records []Record
}

// Read returns what a directory holds, oldest first; nothing where there is no directory.
func Read(dir string) ([]File, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+recordsExtension))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var files []File
	for _, name := range names {
		f, err := ReadFile(name)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// maxLine bounds a record's text.
const maxLine = 1 << 20

// ReadFile reads the records of a pair of files, by the name of either. A last line that was not written whole is left out.
func ReadFile(name string) (File, error) {
	f := File{Name: strings.TrimSuffix(strings.TrimSuffix(name, recordsExtension), blocksExtension)}
	text, err := os.Open(f.Name + recordsExtension)
	if err != nil {
		return f, err
	}
	defer text.Close()
	lines := bufio.NewReader(io.LimitReader(text, 1<<30))
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return f, err
		}
		var r Record
		if len(line) > maxLine || json.Unmarshal(line, &r) != nil || r.Offset < 0 || r.Bytes < 0 {
			return f, fmt.Errorf("%s: line %d is not a record of the quarantine", f.Name+recordsExtension, len(f.Records)+1)
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
	return data, nil
}

// Remove deletes the pair.
func (f *File) Remove() error {
	return errors.Join(os.Remove(f.Name+recordsExtension), os.Remove(f.Name+blocksExtension))
}
