package metadata

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/metranova/flow-collector/metadata/caida"
	"github.com/metranova/flow-collector/metadata/download"
	"github.com/metranova/flow-collector/metadata/files"
	"github.com/metranova/flow-collector/metadata/geo"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/source"
)

// Source is one of the places that metadata comes from.
type Source = source.Source

// RegistrySettings are the operator's settings of a registry.
type RegistrySettings = source.RegistrySettings

// SourceOptions say what the sources read. Sources leaves out a source that has nothing to read.
type SourceOptions struct {
	Dir      string   // meta_*.yml and custom_*_additions.yml are read from it
	Files    []string // more YAML files
	CacheDir string   // for downloads
	Client   *download.Client

	CAIDA         caida.Files
	CAIDAInterval time.Duration
	CAIDADownload bool // a file that is not given is downloaded
	// CAIDAFallback downloads the given files too. They are read until a download succeeds.
	CAIDAFallback bool
	// AS2OrgURL and PeeringDBURL are address templates; "": CAIDA's.
	AS2OrgURL, PeeringDBURL string

	// Geo's ASN and block files are read. If there are none, they are downloaded with the MaxMind account, if there is
	// one.
	Geo         geo.Files
	MaxMind     download.Auth // account number and licence key
	GeoInterval time.Duration
	GeoCacheDir string // for the downloads; "": CacheDir
	// GeoFallback downloads with the account even if files are given. They are read until a download succeeds.
	GeoFallback bool

	Registries map[string]source.RegistrySettings // by the registry's name

	// CAIDAURL and MaxMindURL replace the download servers; "": the real ones.
	CAIDAURL, MaxMindURL string
	Now                  func() time.Time // nil: time.Now
}

// Sources returns the sources that the options define, in the order of their first load: records refer to those of
// earlier sources.
func Sources(o SourceOptions) []Source {
	o.fill()
	var sources []Source
	if f := o.CAIDA; o.CAIDADownload || f.AS2Org != "" || f.PeeringDB != "" ||
		o.custom(f.CustomAS, customAS) != "" || o.custom(f.CustomOrg, customOrg) != "" {
		sources = append(sources, Source{
			Name: "caida", Interval: o.CAIDAInterval, Remote: o.CAIDADownload, Downloads: o.caidaDownloads(),
			Fetch: fetchIf(o.CAIDADownload, o.fetchCAIDA), ReadLocal: o.readCAIDA,
			Files: func() []string {
				f := o.caidaFiles()
				return given(f.AS2Org, f.PeeringDB, o.custom(f.CustomAS, customAS), o.custom(f.CustomOrg, customOrg))
			},
		}.WithRead())
	}
	if g := o.Geo; len(g.ASN)+len(g.Blocks) > 0 || o.MaxMind.Username != "" || o.custom(g.CustomIP, customIP) != "" {
		sources = append(sources, Source{
			Name: "geo", Interval: o.GeoInterval, Remote: o.downloadsGeo(), Downloads: o.geoDownloads(),
			Fetch: fetchIf(o.downloadsGeo(), o.fetchGeo), ReadLocal: o.readGeo,
			RetryMin: time.Hour, Attempt: filepath.Join(o.GeoCacheDir, "geo.attempt"),
			Files: func() []string {
				return given(slices.Concat(g.ASN, g.Locations, g.Blocks, []string{o.custom(g.CustomIP, customIP)})...)
			},
		}.WithRead())
	}
	for _, r := range Registries() {
		if made, ok := r.Source(o.Registries[r.Name], o.CacheDir, o.Client); ok {
			sources = append(sources, made)
		}
	}
	return append(sources, Source{Name: "files", Files: o.yamlFiles, Dir: o.Dir, ReadLocal: o.readFiles,
		Find: func() []Source { return Sources(o) }}.WithRead())
}

func fetchIf(downloads bool, fetch func(context.Context) error) func(context.Context) error {
	if !downloads {
		return nil
	}
	return fetch
}

// Files of the operator's own records, besides the meta_*.yml files. They are looked for in every load.
const (
	customAS  = "custom_as_additions.yml"
	customOrg = "custom_org_additions.yml"
	customIP  = "custom_ip_additions.yml"
)

// custom returns path, else the directory's file of that name; "" if neither exists. Additions are optional, because
// the environment files of the reference stack name files that most sites do not have.
func (o *SourceOptions) custom(path, name string) string {
	if path != "" && source.IsFile(path) {
		return path
	}
	if file := filepath.Join(o.Dir, name); o.Dir != "" && source.IsFile(file) {
		return file
	}
	return ""
}

func (o *SourceOptions) fill() {
	if o.Client == nil {
		o.Client = download.New(download.Options{})
	}
	if o.CAIDAURL == "" {
		o.CAIDAURL = caida.BaseURL
	}
	if o.MaxMindURL == "" {
		o.MaxMindURL = geo.BaseURL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.GeoCacheDir == "" {
		o.GeoCacheDir = o.CacheDir
	}
	if o.AS2OrgURL == "" {
		o.AS2OrgURL = o.CAIDAURL + caida.AS2OrgTemplate
	}
	if o.PeeringDBURL == "" {
		o.PeeringDBURL = o.CAIDAURL + caida.PeeringDBTemplate
	}
}

func given(paths ...string) []string {
	return slices.DeleteFunc(paths, func(p string) bool { return p == "" })
}

// isMetadataFile reports whether a file name of the directory is that of a file of records.
func isMetadataFile(name string) bool {
	extension := filepath.Ext(name)
	return strings.HasPrefix(name, "meta_") && (extension == ".yml" || extension == ".yaml")
}

// yamlFiles returns the files of Dir sorted by name, then the additional ones.
func (o *SourceOptions) yamlFiles() []string {
	var found []string
	if o.Dir != "" {
		entries, _ := os.ReadDir(o.Dir) // a missing directory has no files
		for _, e := range entries {
			if isMetadataFile(e.Name()) && !e.IsDir() {
				found = append(found, filepath.Join(o.Dir, e.Name()))
			}
		}
	}
	for _, path := range o.Files {
		if !slices.ContainsFunc(found, func(other string) bool { return sameFile(path, other) }) {
			found = append(found, path)
		}
	}
	return found
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return a == b
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

func (o *SourceOptions) readFiles(context.Context) ([]record.Set, error) {
	var all []record.Set
	var errs []error
	for _, path := range o.yamlFiles() {
		sets, err := files.Read(path)
		all = append(all, sets...)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Names of CAIDA's files in the cache directory.
const (
	as2OrgName    = "caida_as_org2info.jsonl.gz"
	peeringDBName = "caida_peeringdb.json"
)

func (o *SourceOptions) downloadsAS2Org() bool {
	return o.CAIDADownload && (o.CAIDA.AS2Org == "" || o.CAIDAFallback)
}

func (o *SourceOptions) downloadsPeeringDB() bool {
	return o.CAIDADownload && (o.CAIDA.PeeringDB == "" || o.CAIDAFallback)
}

func (o *SourceOptions) caidaDownloads() (files []string) {
	if o.downloadsAS2Org() {
		files = append(files, filepath.Join(o.CacheDir, as2OrgName))
	}
	if o.downloadsPeeringDB() {
		files = append(files, filepath.Join(o.CacheDir, peeringDBName))
	}
	return files
}

func (o *SourceOptions) downloadsGeo() bool {
	return o.MaxMind.Username != "" && (o.GeoFallback || len(o.Geo.ASN)+len(o.Geo.Blocks) == 0)
}

func (o *SourceOptions) geoDownloads() []string {
	if !o.downloadsGeo() {
		return nil
	}
	f := geo.GeoLite2Files(o.GeoCacheDir)
	return slices.Concat(f.ASN, f.Blocks)
}

// fetchCAIDA downloads what is not given. A failed download keeps the previous file.
func (o *SourceOptions) fetchCAIDA(ctx context.Context) error {
	var errs []error
	if o.downloadsAS2Org() {
		_, err := caida.FetchAS2Org(ctx, o.Client, o.AS2OrgURL, filepath.Join(o.CacheDir, as2OrgName), o.Now())
		errs = append(errs, err)
	}
	if o.downloadsPeeringDB() {
		_, err := caida.FetchPeeringDB(ctx, o.Client, o.PeeringDBURL, filepath.Join(o.CacheDir, peeringDBName),
			o.Now())
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// caidaFiles returns the files to read: the downloaded ones, else the given ones.
func (o *SourceOptions) caidaFiles() caida.Files {
	f := o.CAIDA
	if file := filepath.Join(o.CacheDir, as2OrgName); o.downloadsAS2Org() && source.IsFile(file) {
		f.AS2Org = file
	}
	if file := filepath.Join(o.CacheDir, peeringDBName); o.downloadsPeeringDB() && source.IsFile(file) {
		f.PeeringDB = file
	}
	f.CustomAS, f.CustomOrg = o.custom(f.CustomAS, customAS), o.custom(f.CustomOrg, customOrg)
	return f
}

func (o *SourceOptions) readCAIDA(context.Context) ([]record.Set, error) {
	f := o.caidaFiles()
	// One of the two alone would make the records vanish that only the other one has.
	if o.CAIDADownload && (!source.IsFile(f.AS2Org) && o.downloadsAS2Org() || !source.IsFile(f.PeeringDB) &&
		o.downloadsPeeringDB()) {
		return nil, fmt.Errorf("CAIDA's files: %w", source.ErrNotDownloaded)
	}
	return caida.Read(f)
}

func (o *SourceOptions) fetchGeo(ctx context.Context) error {
	_, _, err := geo.FetchGeoLite2(ctx, o.Client, o.MaxMindURL, o.GeoCacheDir, o.MaxMind)
	return err
}

func (o *SourceOptions) readGeo(context.Context) ([]record.Set, error) {
	f := o.Geo
	f.CustomIP = o.custom(f.CustomIP, customIP)
	if o.downloadsGeo() {
		fetched := geo.GeoLite2Files(o.GeoCacheDir)
		switch {
		case source.IsFile(fetched.ASN[0]) && source.IsFile(fetched.Blocks[0]):
			f.ASN, f.Blocks, f.Locations = fetched.ASN, fetched.Blocks, nil
		case len(f.ASN)+len(f.Blocks) == 0 || !slices.ContainsFunc(slices.Concat(f.ASN, f.Blocks), source.IsFile):
			return nil, fmt.Errorf("GeoLite2: %w", source.ErrNotDownloaded)
		}
	}
	return geo.Read(f)
}
