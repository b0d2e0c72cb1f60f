package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/metranova/flow-collector/metadata/download"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/schema"
)

// Registry describes a source that is a list of files or URLs, each of which holds all or a part of a registry: its
// name, how one of its files is read, where its records go, and which kinds a snapshot has of them. One line in
// metadata.Registries puts it in use, with settings of its own (config.Registry).
type Registry struct {
	// Name is the source's name: metadata.NAME.interval and metadata.NAME.sources are its settings, "collector metadata
	// load NAME" loads it.
	Name string
	// Title is its name for people, after "the".
	Title string
	// Env has the environment variables of settings that are not called NAME_INTERVAL, NAME_SOURCES, NAME_HEADERS,
	// NAME_CA_FILE and NAME_VERIFY, by the last part of the setting's name.
	Env map[string]string
	// Table is the registry's own table; nil if its records go to a table of the data model. A table of prefixes named
	// schema.ExtensionTable(NAME) needs no Kind to be looked up as the IP reference extension NAME.
	Table *schema.MetadataTable
	// Kinds are further kinds that a snapshot has of the table.
	Kinds []Kind
	// MaxBytes limits the size of a download.
	MaxBytes int64
	// Extension is the file name extension of downloads, such as ".json".
	Extension string
	// Read reads a file; name is where it came from, for Set.Source. It returns an error if the file is not the
	// registry's, so that a wrong download is rejected.
	Read func(path, name string) (record.Set, error)
}

// RegistrySettings are the operator's settings of a registry.
type RegistrySettings struct {
	Interval time.Duration // how often it is downloaded or read; 0: only at the start
	Places   []string      // URLs and files
	Requests download.Requests
}

// Source returns the registry as a source. Downloads go to cacheDir. false: the settings have nothing to read.
func (r *Registry) Source(s RegistrySettings, cacheDir string, client *download.Client) (Source, bool) {
	if len(s.Places) == 0 {
		return Source{}, false
	}
	reading := &registryFiles{registry: r, places: s.Places, dir: cacheDir, client: client,
		requests: s.Requests}
	made := Source{
		Name: r.Name, Interval: s.Interval, Downloads: reading.downloads(), ReadLocal: reading.read,
		Files: func() []string { return slices.DeleteFunc(slices.Clone(s.Places), IsURL) },
	}
	if len(made.Downloads) > 0 {
		made.Remote, made.Fetch = true, reading.fetch
	}
	return made.WithRead(), true
}

// registryFiles reads the files and URLs of a registry.
type registryFiles struct {
	registry *Registry
	places   []string
	dir      string
	client   *download.Client
	requests download.Requests
}

// file is the path of the download of the n-th place.
func (f *registryFiles) file(n int) string {
	return filepath.Join(f.dir, fmt.Sprintf("%s-%d%s", f.registry.Name, n+1, f.registry.Extension))
}

func (f *registryFiles) downloads() (files []string) {
	for n, place := range f.places {
		if IsURL(place) {
			files = append(files, f.file(n))
		}
	}
	return files
}

func (f *registryFiles) fetch(ctx context.Context) error {
	const retries = 3
	check := func(path string) error {
		_, err := f.registry.Read(path, "")
		return err
	}
	client, err := f.client.Sending(f.requests)
	if err != nil {
		return fmt.Errorf("%s: %w", f.registry.Name, err)
	}
	var errs []error
	for n, place := range f.places {
		if IsURL(place) {
			_, err := client.With(f.registry.MaxBytes, retries).File(ctx, place, f.file(n), download.Auth{}, check)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (f *registryFiles) read(context.Context) ([]record.Set, error) {
	var sets []record.Set
	var errs []error
	for n, place := range f.places {
		path := place
		if IsURL(place) {
			place = download.WithoutSecrets(place)
			if path = f.file(n); !IsFile(path) {
				errs = append(errs, fmt.Errorf("%s: %w", place, ErrNotDownloaded))
				continue
			}
		}
		set, err := f.registry.Read(path, place)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		sets = append(sets, set)
	}
	return sets, errors.Join(errs...)
}
