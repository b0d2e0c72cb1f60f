package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/url"
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
	"github.com/metranova/flow-collector/metadata/scireg"
)

// Source is one of the places that metadata comes from.
type Source struct {
	Name string // "files", "caida", "geo" or "scireg"
	// Interval is how often a Refresher reads it, beside when a file changes; 0: at the start only.
	Interval time.Duration
	// Remote says that reading it may download something.
	Remote bool
	// Files are those it reads now, to watch for changes; Dir is where more of them may come, "" for nowhere.
	Files func() []string
	Dir   string
	// Downloads are the files that it downloads to; nil where it downloads none.
	Downloads []string
	// Read reads it. Sets and an error may come together: some of it could not be read.
	Read func(ctx context.Context) ([]record.Set, error)
}

// SourceOptions say what the sources read. A source with nothing to read is left out of Sources.
type SourceOptions struct {
	Dir      string   // meta_*.yml and custom_*_additions.yml are read from it
	Files    []string // further YAML files
	CacheDir string   // for downloads
	Client   *download.Client

	CAIDA         caida.Files // a file that is not given is downloaded, if CAIDADownload is set
	CAIDAInterval time.Duration
	CAIDADownload bool

	Geo         geo.Files     // without ASN and block files they are downloaded, if there is a MaxMind account
	MaxMind     download.Auth // account number and licence key
	GeoInterval time.Duration

	SciReg         []string // URLs and files
	SciRegInterval time.Duration

	// CAIDAURL and MaxMindURL replace the places to download from; "" is theirs.
	CAIDAURL, MaxMindURL string
	Now                  func() time.Time // nil: time.Now
}

// Sources are the sources that the options give, in the order in which they are to be loaded first: records refer to those of the
// sources before.
func Sources(o SourceOptions) []Source {
	o.fill()
	var sources []Source
	if c := o.CAIDA; o.CAIDADownload || c != (caida.Files{}) {
		sources = append(sources, Source{
			Name: "caida", Interval: o.CAIDAInterval, Remote: o.CAIDADownload, Downloads: o.caidaDownloads(), Read: o.readCAIDA,
			Files: func() []string { return given(c.AS2Org, c.PeeringDB, c.CustomAS, c.CustomOrg) },
		})
	}
	if g := o.Geo; len(g.ASN)+len(g.Blocks) > 0 || g.CustomIP != "" || o.MaxMind.Username != "" {
		sources = append(sources, Source{
			Name: "geo", Interval: o.GeoInterval, Remote: o.downloadsGeo(), Downloads: o.geoDownloads(), Read: o.readGeo,
			Files: func() []string { return given(slices.Concat(g.ASN, g.Locations, g.Blocks, []string{g.CustomIP})...) },
		})
	}
	if len(o.SciReg) > 0 {
		sources = append(sources, Source{
			Name: "scireg", Interval: o.SciRegInterval, Remote: slices.ContainsFunc(o.SciReg, isURL), Downloads: o.sciRegDownloads(), Read: o.readSciReg,
			Files: func() []string { return slices.DeleteFunc(slices.Clone(o.SciReg), isURL) },
		})
	}
	return append(sources, Source{Name: "files", Files: o.yamlFiles, Dir: o.Dir, Read: o.readFiles})
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
	for name, path := range map[string]*string{
		"custom_as_additions.yml":  &o.CAIDA.CustomAS,
		"custom_org_additions.yml": &o.CAIDA.CustomOrg,
		"custom_ip_additions.yml":  &o.Geo.CustomIP,
	} {
		if file := filepath.Join(o.Dir, name); *path == "" && o.Dir != "" && isFile(file) {
			*path = file
		}
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// withoutPassword is a URL as it may be shown and stored.
func withoutPassword(source string) string {
	if u, err := url.Parse(source); err == nil && isURL(source) {
		return u.Redacted()
	}
	return source
}

func given(paths ...string) []string {
	return slices.DeleteFunc(paths, func(p string) bool { return p == "" })
}

// isMetadataFile reports whether a file of the directory with that name is one of records.
func isMetadataFile(name string) bool {
	extension := filepath.Ext(name)
	return strings.HasPrefix(name, "meta_") && (extension == ".yml" || extension == ".yaml")
}

// yamlFiles are the files of Dir by name, then the further ones.
func (o *SourceOptions) yamlFiles() []string {
	var found []string
	if o.Dir != "" {
		entries, _ := os.ReadDir(o.Dir) // a directory that is not there has none
		for _, e := range entries {
			if isMetadataFile(e.Name()) && !e.IsDir() {
				found = append(found, filepath.Join(o.Dir, e.Name()))
			}
		}
	}
	return append(found, o.Files...)
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

func (o *SourceOptions) caidaDownloads() (files []string) {
	if o.CAIDADownload && o.CAIDA.AS2Org == "" {
		files = append(files, filepath.Join(o.CacheDir, as2OrgName))
	}
	if o.CAIDADownload && o.CAIDA.PeeringDB == "" {
		files = append(files, filepath.Join(o.CacheDir, peeringDBName))
	}
	return files
}

func (o *SourceOptions) geoDownloads() []string {
	if !o.downloadsGeo() {
		return nil
	}
	f := geo.GeoLite2Files(o.CacheDir)
	return slices.Concat(f.ASN, f.Blocks)
}

func (o *SourceOptions) sciRegDownloads() (files []string) {
	for n, source := range o.SciReg {
		if isURL(source) {
			files = append(files, o.sciRegFile(n))
		}
	}
	return files
}

// sciRegFile is where the n-th of the registry's sources is downloaded to.
func (o *SourceOptions) sciRegFile(n int) string {
	return filepath.Join(o.CacheDir, fmt.Sprintf("scireg-%d.json", n+1))
}

// readCAIDA downloads what is not given. A download that fails leaves the file of the last one to be read.
func (o *SourceOptions) readCAIDA(ctx context.Context) ([]record.Set, error) {
	f := o.CAIDA
	var failed []error
	fetch := func(path *string, name string, get func(context.Context, *download.Client, string, string, time.Time) (bool, error)) {
		if *path != "" || !o.CAIDADownload {
			return
		}
		file := filepath.Join(o.CacheDir, name)
		if _, err := get(ctx, o.Client, o.CAIDAURL, file, o.Now()); err != nil {
			failed = append(failed, err)
		}
		if isFile(file) {
			*path = file
		}
	}
	fetch(&f.AS2Org, as2OrgName, caida.FetchAS2Org)
	fetch(&f.PeeringDB, peeringDBName, caida.FetchPeeringDB)
	// One of the two alone would make the records that the other one has vanish.
	if len(failed) > 0 && (f.AS2Org == "" || f.PeeringDB == "") {
		return nil, errors.Join(failed...)
	}
	sets, err := caida.Read(f)
	return sets, errors.Join(append(failed, err)...)
}

func (o *SourceOptions) downloadsGeo() bool {
	return len(o.Geo.ASN)+len(o.Geo.Blocks) == 0 && o.MaxMind.Username != ""
}

func (o *SourceOptions) readGeo(ctx context.Context) ([]record.Set, error) {
	f := o.Geo
	var failed error
	if o.downloadsGeo() {
		var fetched geo.Files
		if fetched, _, failed = geo.FetchGeoLite2(ctx, o.Client, o.MaxMindURL, o.CacheDir, o.MaxMind); failed != nil {
			if fetched = geo.GeoLite2Files(o.CacheDir); !isFile(fetched.ASN[0]) || !isFile(fetched.Blocks[0]) {
				return nil, failed
			}
		}
		f.ASN, f.Blocks = fetched.ASN, fetched.Blocks
	}
	sets, err := geo.Read(f)
	return sets, errors.Join(failed, err)
}

func (o *SourceOptions) readSciReg(ctx context.Context) ([]record.Set, error) {
	var sets []record.Set
	var errs []error
	for n, source := range o.SciReg {
		path := source
		if isURL(source) {
			path = o.sciRegFile(n)
			if _, err := o.Client.File(ctx, source, path, download.Auth{}, scireg.Check); err != nil {
				errs = append(errs, err)
				if !isFile(path) {
					continue
				}
			}
		}
		set, err := scireg.Read(path, withoutPassword(source))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		sets = append(sets, set)
	}
	return sets, errors.Join(errs...)
}
