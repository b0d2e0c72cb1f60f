package rpki

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/diskfile"
	vrps "github.com/metranova/flow-collector/enrich/rpki"
	"github.com/metranova/flow-collector/metadata/bounds"
)

// Limits of a file. The VRPs of the whole Internet take some 100 MB.
const (
	maxFile    = 512 << 20 // bytes, decompressed
	maxEntry   = 64 << 10  // bytes of a value
	maxDepth   = 100       // of values that are skipped
	maxEntries = 2 * vrps.Max
)

// file is the source that is used while no cache has data. Client.mu guards it; only keep changes it.
type file struct {
	path    string
	seen    os.FileInfo // of the file that was read last; nil: none
	table   *vrps.Table
	since   time.Time
	updated time.Time // when the file was made
	expires time.Time // when the first VRP expires; zero: none does
	skipped int
	err     string
	errors  uint64
	updates uint64
}

func (f *file) report() Source {
	x := Source{Name: f.path, State: stateFile, Since: f.since, Updated: f.updated, Error: f.err, Errors: f.errors,
		Updates: f.updates, Skipped: f.skipped}
	if f.table != nil {
		x.Payloads = f.table.Len()
	}
	return x
}

// checkFile reads the file if it has changed or a VRP in it has expired. If it cannot be read, the old data stays in
// use.
func (c *Client) checkFile(now time.Time) {
	f := c.file
	info, err := os.Stat(f.path)
	if err == nil && !diskfile.Changed(f.seen, info) && (f.expires.IsZero() || now.Before(f.expires)) {
		return
	}
	var p Payloads
	if err == nil {
		p, err = ReadFile(f.path, now)
	}
	c.mu.Lock()
	was := f.err
	if err != nil {
		f.err = err.Error()
		f.errors++
	} else {
		f.table, f.expires, f.skipped, f.err, f.since = p.Table, p.Expires, p.Skipped, "", now
		f.updates++
		if f.updated = p.Made; p.Made.IsZero() {
			f.updated = info.ModTime()
		}
	}
	if f.seen = info; info == nil {
		f.expires = time.Time{}
	}
	text := f.err
	c.mu.Unlock()
	switch {
	case err != nil && text != was:
		c.Log.Warn("an RPKI file cannot be used", zap.String("file", f.path), zap.Error(err))
	case err == nil && p.Skipped > 0:
		c.Log.Warn("an RPKI file has payloads that cannot be used", zap.String("file", f.path),
			zap.Int("payloads", p.Skipped), zap.String("first", p.Why))
	}
	c.choose(now)
}

// Payloads is the content of a file.
type Payloads struct {
	Table   *vrps.Table
	Made    time.Time // when the file was made, by its metadata; zero: unknown
	Expires time.Time // when the first VRP expires; zero: none does
	Skipped int       // VRPs that are invalid or have expired
	Why     string    // why the first of them was skipped
}

// ReadFile reads a file. VRPs that have expired at now are skipped. The error names the file.
func ReadFile(path string, now time.Time) (Payloads, error) {
	f, err := os.Open(path)
	if err != nil {
		return Payloads{}, fmt.Errorf("read RPKI data: %w", err)
	}
	defer f.Close()
	p, err := Read(f, now)
	if err != nil {
		return p, fmt.Errorf("read RPKI data of %s: %w", path, err)
	}
	return p, nil
}

// roa is one VRP in a file.
type roa struct {
	Prefix    string          `json:"prefix"`
	MaxLength *int            `json:"maxLength"`
	ASN       json.RawMessage `json:"asn"`     // a number, or a string such as "64500" or "AS64500"
	Expires   int64           `json:"expires"` // Unix seconds; 0: never
}

// Read reads the JSON format of routinator, rpki-client, stayrtr and pmacct's rpki_roas_file: an object with a list
// "roas", which may be compressed with gzip. Invalid VRPs are skipped and counted. It is an error if all are, but not
// if the list is empty. Memory is bounded, whatever the file holds.
func Read(from io.Reader, now time.Time) (p Payloads, err error) {
	in, err := bounds.New(from, bounds.Limits{Total: maxFile, Entry: maxEntry})
	if err != nil {
		return p, err
	}
	d := bounds.NewDecoder(in, in)
	if err := expect(d, '{'); err != nil {
		return p, err
	}
	b, found := vrps.NewBuilder(nil), false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return p, where(d, err)
		}
		switch key {
		case "roas":
			found = true
			if err := p.list(d, b, now); err != nil {
				return p, err
			}
		case "metadata":
			if err := p.metadata(d); err != nil {
				return p, err
			}
		default:
			if err := d.Skip(maxDepth); err != nil {
				return p, where(d, err)
			}
		}
	}
	if err := expect(d, '}'); err != nil {
		return p, err
	}
	if !found {
		return p, errors.New(`the list "roas" is missing`)
	}
	p.Table = b.Table()
	if p.Table.Len() == 0 && p.Skipped > 0 {
		return p, fmt.Errorf("all %d payloads are invalid or have expired: %s", p.Skipped, p.Why)
	}
	return p, nil
}

// where adds the position in the file to an error.
func where(d *bounds.Decoder, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("byte %d: the file ends too early", d.InputOffset())
	}
	return fmt.Errorf("byte %d: %w", d.InputOffset(), err)
}

func expect(d *bounds.Decoder, want json.Delim) error {
	token, err := d.Token()
	if err != nil {
		return where(d, err)
	}
	if token != want {
		return fmt.Errorf("byte %d: %v instead of %s", d.InputOffset(), token, want)
	}
	return nil
}

// metadata reads the time when the file was made: buildtime (rpki-client), generatedTime (routinator) or generated.
func (p *Payloads) metadata(d *bounds.Decoder) error {
	var m struct {
		BuildTime     string          `json:"buildtime"`
		GeneratedTime string          `json:"generatedTime"`
		Generated     json.RawMessage `json:"generated"`
	}
	if err := d.Decode(&m); err != nil {
		var typ *json.UnmarshalTypeError
		if errors.As(err, &typ) {
			return nil // unknown format: the caller uses the file's modification time
		}
		return where(d, err)
	}
	for _, text := range []string{m.BuildTime, m.GeneratedTime} {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			p.Made = at
			return nil
		}
	}
	if seconds, err := strconv.ParseInt(string(bytes.Trim(m.Generated, `"`)), 10, 64); err == nil && seconds > 0 {
		p.Made = time.Unix(seconds, 0)
	}
	return nil
}

func (p *Payloads) list(d *bounds.Decoder, b *vrps.Builder, now time.Time) error {
	if err := expect(d, '['); err != nil {
		return err
	}
	for n := 1; d.More(); n++ {
		if n > maxEntries {
			return fmt.Errorf("more than %d payloads", maxEntries)
		}
		var r roa
		err := d.Decode(&r)
		var typ *json.UnmarshalTypeError
		if err != nil && !errors.As(err, &typ) {
			return where(d, err)
		}
		var v vrps.VRP
		if err == nil {
			v, err = r.payload()
		}
		expires := time.Unix(r.Expires, 0)
		switch {
		case err != nil:
		case r.Expires > 0 && !now.Before(expires):
			err = fmt.Errorf("%s has expired", v)
		case r.Expires > 0 && (p.Expires.IsZero() || expires.Before(p.Expires)):
			p.Expires = expires
		}
		if err != nil {
			if p.Skipped++; p.Skipped == 1 {
				p.Why = fmt.Sprintf("payload %d: %v", n, err)
			}
			continue
		}
		if _, err := b.Add(v); err != nil { // a duplicate is no error: several trust anchors may have the same VRP
			return err
		}
	}
	return expect(d, ']')
}

func (r *roa) payload() (v vrps.VRP, err error) {
	prefix, err := netip.ParsePrefix(r.Prefix)
	if err != nil {
		return v, fmt.Errorf("%q is not a prefix", r.Prefix)
	}
	if prefix.Addr().Is4In6() {
		return v, fmt.Errorf("%q is an IPv4-mapped prefix", r.Prefix)
	}
	most := prefix.Bits()
	if r.MaxLength != nil {
		most = *r.MaxLength
	}
	if most < prefix.Bits() || most > prefix.Addr().BitLen() {
		return v, fmt.Errorf("maxLength %d of %s", most, prefix)
	}
	text := strings.Trim(string(r.ASN), `"`)
	if len(text) > 2 && strings.EqualFold(text[:2], "AS") {
		text = text[2:]
	}
	as, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return v, fmt.Errorf("%s is not an AS number", r.ASN)
	}
	return vrps.VRP{Prefix: prefix.Masked(), MaxLength: uint8(most), AS: uint32(as)}, nil
}
