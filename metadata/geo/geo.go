package geo

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/metranova/flow-collector/metadata/files"
	"github.com/metranova/flow-collector/metadata/record"
)

// Files are the inputs; each list may mix formats. Only blocks in GeoLite2's CSV format need Locations; a zip with
// blocks contains them.
type Files struct {
	ASN, Locations, Blocks []string
	CustomIP               string // additions; "": none
}

// location is the location of a block. GeoLite2 has empty cells, which differ from NULL: known is false for NULL.
type location struct {
	known                                            bool
	city, continent, country, code, subName, subCode string
}

// block is a prefix in a blocks file.
type block struct {
	network             string // as written in the file
	prefix              netip.Prefix
	location            location
	latitude, longitude any
}

// reader reads the files once.
type reader struct {
	files     Files
	asn       *bart.Table[uint32]
	locations map[string]location // by geoname id
	placeText int                 // bytes of the locations' texts
	custom    map[string]files.Addition
	order     []string // the keys of custom, in file order
	problems  []record.Problem
}

// Read reads the ASN and location files. It returns the set of AS prefixes and the set of IP records, which reads the
// large block files while it is iterated. The AS of a block is that of the longest ASN block that contains it.
// Additions are merged over the block with their id; their AS counts as an ASN block.
func Read(f Files) ([]record.Set, error) {
	r := &reader{files: f, asn: new(bart.Table[uint32]), locations: map[string]location{},
		custom: map[string]files.Addition{}}
	if len(f.ASN)+len(f.Blocks) == 0 && f.CustomIP == "" {
		return nil, errors.New("neither an ASN nor a block file")
	}
	for _, path := range f.ASN {
		if err := r.readASN(path); err != nil {
			return nil, err
		}
	}
	locations := f.Locations
	for _, path := range f.Blocks {
		if isZip(path) {
			locations = append(locations[:len(locations):len(locations)], path)
		}
	}
	for _, path := range locations {
		if err := r.readLocations(path); err != nil {
			return nil, err
		}
	}
	additions, err := files.Additions(f.CustomIP, r.report)
	if err != nil {
		return nil, err
	}
	for _, a := range additions {
		if _, twice := r.custom[a.ID]; twice {
			r.report(record.Problem{Place: a.Place, ID: a.ID, Reason: "id: there is a record with it already"})
			continue
		}
		r.custom[a.ID] = a
		r.order = append(r.order, a.ID)
	}
	return []record.Set{
		{Table: record.ASPrefix, Source: "geo", Each: r.eachASN, MayBeEmpty: len(f.ASN) == 0},
		{Table: record.IP, Source: "geo", Each: r.eachBlock, MayBeEmpty: len(f.Blocks) == 0},
	}, nil
}

func (r *reader) report(p record.Problem) {
	const most = 1000
	if len(r.problems) < most {
		r.problems = append(r.problems, p)
	}
}

func (r *reader) readASN(path string) error {
	n := 0
	err := eachASNBlock(path, func(p netip.Prefix, as uint32) {
		if n++; n > maxASN {
			return
		}
		if as != 0 { // 0 is reserved (RFC 7607): nobody originates it
			r.asn.Insert(p, as)
		}
	}, r.report)
	if err != nil {
		return inFile(path, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: no ASN block in it", path)
	}
	if n > maxASN {
		return fmt.Errorf("%s: more than %d ASN blocks", path, maxASN)
	}
	return nil
}

func (r *reader) eachASN(yield func(record.Raw, string) error, report func(record.Problem)) error {
	raw := record.Raw{}
	for p, as := range r.asn.All() {
		raw["id"] = p.String()
		raw["ip_subnet"] = []record.Subnet{subnet(p)}
		raw["as_id"] = uint64(as)
		if err := yield(raw, "asn files"); err != nil {
			return err
		}
	}
	for _, id := range r.order {
		a := r.custom[id]
		withSubnets := r.withSubnets(id, a.Record)
		if err := files.Origins(id, withSubnets, a.Place, yield); err != nil {
			return err
		}
	}
	return nil
}

// withSubnets adds the block's own prefix to an addition to it.
func (r *reader) withSubnets(id string, raw record.Raw) record.Raw {
	if raw["ip_subnet"] != nil {
		return raw
	}
	p, err := netip.ParsePrefix(id)
	if err != nil {
		return raw
	}
	return record.Raw{"as_id": raw["as_id"], "ip_subnet": []any{p.String()}}
}

func (r *reader) eachBlock(yield func(record.Raw, string) error, report func(record.Problem)) error {
	for _, p := range r.problems {
		report(p)
	}
	merged := map[string]bool{}
	raw := record.Raw{}
	for _, path := range r.files.Blocks {
		n := 0
		err := r.eachBlockOf(path, func(b *block) error {
			if n++; n > maxBlocks {
				return fmt.Errorf("more than %d blocks", maxBlocks)
			}
			clear(raw)
			r.fill(raw, b)
			place := path
			if a, ok := r.custom[b.network]; ok {
				merged[b.network] = true
				place = a.Place
				for k, v := range a.Record {
					raw[k] = v
				}
			}
			return yield(raw, place)
		}, report)
		if err != nil {
			return inFile(path, err)
		}
		if n == 0 {
			return fmt.Errorf("%s: no block in it", path)
		}
	}
	for _, id := range r.order {
		if merged[id] {
			continue
		}
		if err := yield(r.custom[id].Record, r.custom[id].Place); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) fill(raw record.Raw, b *block) {
	raw["id"] = b.network
	raw["ip_subnet"] = []record.Subnet{{Address: b.network[:strings.IndexByte(b.network, '/')],
		Bits: uint8(b.prefix.Bits())}}
	if _, as, ok := r.asn.LookupPrefixLPM(b.prefix); ok && as != 0 {
		raw["as_id"] = uint64(as)
	}
	if l := &b.location; l.known {
		raw["city_name"], raw["continent_name"], raw["country_name"] = l.city, l.continent, l.country
		raw["country_code"], raw["country_sub_name"], raw["country_sub_code"] = l.code, l.subName, l.subCode
	}
	raw["latitude"], raw["longitude"] = b.latitude, b.longitude
}

// eachBlockOf reads a file of blocks in any of the formats.
func (r *reader) eachBlockOf(path string, yield func(*block) error, report func(record.Problem)) error {
	if isDatabase(path) {
		return eachDatabaseBlock(path, yield)
	}
	return eachTable(path, "Blocks", report, func(t *table) error { return r.eachBlockRow(t, yield) })
}

func (r *reader) eachBlockRow(t *table, yield func(*block) error) error {
	if t.hasHeader() {
		return r.eachGeoLite2Block(t, yield)
	}
	return eachRangeBlock(t, yield)
}

func subnet(p netip.Prefix) record.Subnet {
	return record.Subnet{Address: p.Addr().String(), Bits: uint8(p.Bits())}
}

// inFile prefixes an error with the path, unless it has it already.
func inFile(path string, err error) error {
	if strings.HasPrefix(err.Error(), path) {
		return err
	}
	var at *os.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
