package metadata

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/source"
)

// The snapshot file holds what a snapshot was built from, so that the collector can start without ClickHouse:
//
//	magic, records, the tag source.EndTag, the number of records (uvarint),
//	xxhash64 of all before it (8 bytes, little-endian)
//
// A record is the tag of its kind (a byte) and its fields; see source.Encoder. The version is part of the magic. A file
// of another version, older or newer, is not read: everything in it is in the tables too, and the next snapshot
// replaces it.
const (
	fileMagic   = "flow-collector metadata 2\n"
	magicPrefix = "flow-collector metadata "
)

// errNoSnapshotFile is the error for a file that is incomplete, or not of this version.
var errNoSnapshotFile = errors.New("not a complete snapshot file of this version")

// snapshotWriter writes a snapshot to a temporary file; commit renames it.
type snapshotWriter struct {
	source.Encoder
	path string
	file *os.File
	out  *bufio.Writer
	sum  *xxhash.Digest
}

func createSnapshotFile(path string) (*snapshotWriter, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	w := &snapshotWriter{path: path, file: f, sum: xxhash.New()}
	w.out = bufio.NewWriterSize(io.MultiWriter(f, w.sum), 1<<20)
	w.Out = w.out
	_, w.Err = w.out.WriteString(fileMagic)
	return w, nil
}

// abandon removes the temporary file, unless it was committed.
func (w *snapshotWriter) abandon() {
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}

// commit completes the file and replaces the old one by it.
func (w *snapshotWriter) commit() error {
	if err := w.finish(); err != nil {
		return err
	}
	return os.Rename(w.file.Name(), w.path)
}

// finish completes the temporary file.
func (w *snapshotWriter) finish() error {
	if err := errors.Join(w.End(), w.out.Flush()); err != nil {
		return err
	}
	if _, err := w.file.Write(binary.LittleEndian.AppendUint64(nil, w.sum.Sum64())); err != nil {
		return err
	}
	return errors.Join(w.file.Sync(), w.file.Close())
}

// LoadSnapshotFile builds a snapshot from the file that a Refresher writes. It is either complete or an error.
func LoadSnapshotFile(path string) (*enrich.Snapshot, error) {
	data, err := readAll(path)
	if err != nil {
		return nil, err
	}
	b := enrich.NewBuilder()
	const subnetBytes = 40 // in the file, approximately
	b.Grow(len(data) / subnetBytes)
	if err := readSnapshot(data, &source.Target{Builder: b}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b.Build()
}

// readAll reads a file as a string, so that parts of it can be used without a copy.
func readAll(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(int(info.Size()))
	if _, err := io.Copy(&b, f); err != nil {
		return "", err
	}
	return b.String(), nil
}

func readSnapshot(data string, to *source.Target) error {
	const sumBytes = 8
	if version, rest := strings.CutPrefix(data, magicPrefix); rest && !strings.HasPrefix(data, fileMagic) {
		version, _, _ = strings.Cut(version[:min(len(version), 20)], "\n")
		return fmt.Errorf("a snapshot file of version %q, which this program does not read: it will be replaced",
			version)
	}
	if !strings.HasPrefix(data, fileMagic) || len(data) < len(fileMagic)+sumBytes {
		return errNoSnapshotFile
	}
	body, sum := data[:len(data)-sumBytes], data[len(data)-sumBytes:]
	if binary.LittleEndian.Uint64([]byte(sum)) != xxhash.Sum64String(body) {
		return errNoSnapshotFile
	}
	if !source.NewDecoder(body[len(fileMagic):]).Decode(fileKinds(), to) {
		return errNoSnapshotFile
	}
	return nil
}
