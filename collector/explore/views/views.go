// Package views saves questions of package explore under names, in one JSON file. Several processes can use the file: a
// change locks the directory and replaces the file.
package views

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/diskfile"
	"github.com/metranova/flow-collector/collector/explore"
)

// Limits, because everyone who may see the traffic can save views.
const (
	MaxViews = 500
	maxName  = 100  // characters
	maxQuery = 6000 // bytes: a filter of the greatest length, escaped, and the rest
	// MaxSize is the maximum size of a file of views in bytes.
	MaxSize = 4 << 20
)

// fileName is the file's name in the collector's cache directory.
const fileName = "explore-views.json"

// View is a question under a name.
type View struct {
	Name  string    `json:"name"`
	Query string    `json:"query"` // the parameters of the question's page: by=src.as&last=24h
	Owner string    `json:"owner,omitempty"`
	Saved time.Time `json:"saved"`
}

// file is the content of the file. Version is that of the format.
type file struct {
	Version int    `json:"version"`
	Views   []View `json:"views"`
}

const version = 1

// ErrOwner is the error of a change to another user's view.
var ErrOwner = errors.New("another user saved the view of this name")

// File is a file of views. Its methods are safe for concurrent use, and for use by several processes.
type File struct {
	path string

	mu   sync.Mutex
	read os.FileInfo // of the file that list is from; nil: none
	list []View
}

// In returns the file in a cache directory. The file need not exist.
func In(dir string) *File { return &File{path: filepath.Join(dir, fileName)} }

// List returns the views by name. The slice must not be changed. The error names the file.
func (f *File) List() ([]View, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load()
}

// load reads the file if it has changed. The caller holds mu.
func (f *File) load() ([]View, error) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		f.read, f.list = nil, nil
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read saved views: %w", err)
	}
	if !diskfile.Changed(f.read, info) {
		return f.list, nil
	}
	in, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("read saved views: %w", err)
	}
	defer in.Close()
	list, err := Read(in)
	if err != nil {
		return nil, fmt.Errorf("read saved views of %s: %w", f.path, err)
	}
	f.read, f.list = info, list
	return list, nil
}

// Read reads what Write writes. It returns an error, and no view, if one of them is not valid.
func Read(in io.Reader) ([]View, error) {
	text, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxSize {
		return nil, fmt.Errorf("the file has more than %d bytes", MaxSize)
	}
	var x file
	if err := json.Unmarshal(text, &x); err != nil {
		return nil, fmt.Errorf("not a file of views: %w", err)
	}
	if x.Version != version {
		return nil, fmt.Errorf("it is a file of version %d, and this collector reads version %d", x.Version, version)
	}
	var list []View
	for _, v := range x.Views {
		if v, err = v.checked(); err != nil {
			return nil, err
		}
		list = put(list, v)
	}
	if len(list) > MaxViews {
		return nil, fmt.Errorf("the file has %d views, more than %d", len(list), MaxViews)
	}
	return list, nil
}

// Write writes views as JSON.
func Write(out io.Writer, list []View) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if list == nil {
		list = []View{}
	}
	return encoder.Encode(file{version, list})
}

// checked validates the view and returns it with its name and question in canonical form.
func (v View) checked() (View, error) {
	v.Name = strings.Join(strings.Fields(v.Name), " ")
	n := utf8.RuneCountInString(v.Name)
	switch {
	case n == 0:
		return v, errors.New("a view needs a name")
	case n > maxName || utf8.RuneCountInString(v.Owner) > maxName:
		return v, fmt.Errorf("a name has at most %d characters", maxName)
	case !utf8.ValidString(v.Name) || strings.ContainsFunc(v.Name+v.Owner, unicode.IsControl):
		return v, errors.New("a name has a character that cannot be shown")
	}
	values, err := url.ParseQuery(strings.TrimPrefix(v.Query, "?"))
	if err != nil {
		return v, fmt.Errorf("view %q: %q are no parameters of a page", v.Name, v.Query)
	}
	q, err := explore.Parse(values, time.Now())
	if err != nil {
		return v, fmt.Errorf("view %q: %w", v.Name, err)
	}
	v.Query = q.Values().Encode()
	if len(v.Query) > maxQuery {
		return v, fmt.Errorf("view %q: its question has %d bytes, and at most %d are kept", v.Name, len(v.Query),
			maxQuery)
	}
	return v, nil
}

// put returns the list with a view in its place by name.
func put(list []View, v View) []View {
	i, found := slices.BinarySearchFunc(list, v.Name,
		func(x View, name string) int { return strings.Compare(x.Name, name) })
	if found {
		list[i] = v
		return list
	}
	return slices.Insert(list, i, v)
}

// Save saves views. A view of the same name is replaced if owner saved it or admin is true. Otherwise the error is
// ErrOwner and nothing is saved.
func (f *File) Save(views []View, owner string, admin bool) error {
	return f.change(func(list []View) ([]View, error) {
		for _, v := range views {
			v, err := v.checked()
			if err != nil {
				return nil, err
			}
			if old := Find(list, v.Name); old != nil && !admin && old.Owner != owner {
				return nil, fmt.Errorf("%w: %s", ErrOwner, v.Name)
			}
			list = put(list, v)
		}
		if len(list) > MaxViews {
			return nil, fmt.Errorf("at most %d views are kept: delete some", MaxViews)
		}
		return list, nil
	})
}

// Delete deletes a view that owner saved, or any view if admin is true.
func (f *File) Delete(name, owner string, admin bool) error {
	return f.change(func(list []View) ([]View, error) {
		old := Find(list, name)
		if old == nil {
			return nil, fmt.Errorf("there is no view %q", name)
		}
		if !admin && old.Owner != owner {
			return nil, fmt.Errorf("%w: %s", ErrOwner, name)
		}
		return slices.DeleteFunc(list, func(v View) bool { return v.Name == name }), nil
	})
}

// Find returns the view with a name, or nil.
func Find(list []View, name string) *View {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// change replaces the views in the file by what edit returns for them. edit can change its argument.
func (f *File) change(edit func([]View) ([]View, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("save views: %w", err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("save views: %w", err)
	}
	defer lock.Close() // which unlocks it
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("save views: lock %s: %w", dir, err)
	}
	f.read = nil // read the file even if its time is the same: the clock of files can be too coarse
	list, err := f.load()
	if err != nil {
		return err
	}
	if list, err = edit(slices.Clone(list)); err != nil {
		return err
	}
	f.read = nil
	var text bytes.Buffer
	if err := Write(&text, list); err != nil {
		return fmt.Errorf("save views: %w", err)
	}
	if err := f.replace(text.Bytes(), lock); err != nil {
		return fmt.Errorf("save views: %w", err)
	}
	return nil
}

// replace writes the file. It gets the directory's owner, so that the collector can read what a command of root writes.
func (f *File) replace(text []byte, dir *os.File) error {
	out, err := os.CreateTemp(dir.Name(), "."+fileName+".*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // of no use unless it was renamed
	_, err = out.Write(text)
	if info, statError := dir.Stat(); statError == nil && os.Geteuid() == 0 {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			err = errors.Join(err, out.Chown(int(owner.Uid), int(owner.Gid)))
		}
	}
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), f.path)
}
