package service

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/metranova/flow-collector/collector/diskfile"
)

// maxSavedFile limits what is read of a file of lists.
const maxSavedFile = 16 << 20

// readSaved reads a file that writeSaved wrote into content, which has the version. With an error content is not to be
// used.
func readSaved(path string, version int, content any, of *int) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	err = json.NewDecoder(io.LimitReader(file, maxSavedFile)).Decode(content)
	if err == nil && *of != version {
		err = fmt.Errorf("version %d: only version %d is understood", *of, version)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// recent returns what was heard within expiry. heard returns when that was, in Unix nanoseconds. What was heard in the
// future, by a clock that has been set back, counts as heard now: it would not expire otherwise.
func recent[T any](all []T, heard func(*T) *int64, expiry time.Duration, now time.Time) []T {
	oldest := now.Add(-expiry).UnixNano()
	all = slices.DeleteFunc(slices.Clone(all), func(x T) bool { return *heard(&x) < oldest })
	for i := range all {
		at := heard(&all[i])
		*at = min(*at, now.UnixNano())
	}
	return all
}

// writeSaved replaces a file by content, as JSON.
func writeSaved(path string, content any) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return diskfile.Replace(path, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}
