package metadata

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/tables"
)

// version is the table's state of a record.
type version struct {
	number uint32 // of the newest version; 0: none, or its ref has no number
	time   uint32 // when it was inserted, in Unix seconds
	seen   uint16 // the number of the latest set of this load that had it; 0: none yet
	known  bool   // the table has the record
	listed bool   // meta_source says that the source has it
	kept   bool   // it was in the set that is being loaded, but wrong or a duplicate
	hash   record.Hash
}

// versions are the newest versions of a table's records. Of ids only a 128-bit hash is kept, because a table of
// prefixes has millions.
type versions struct {
	seeds  [2]maphash.Seed
	byID   map[[2]uint64]version
	set    uint16 // the number of the set that is being loaded, from 1
	listed int    // how many records its source had
}

// gone reports whether the source had the record and no longer has it.
func (v *versions) gone(s version) bool { return s.listed && s.seen != v.set && !s.kept }

func newVersions() *versions {
	return &versions{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		byID:  map[[2]uint64]version{},
	}
}

func (v *versions) key(id string) [2]uint64 {
	return [2]uint64{maphash.String(v.seeds[0], id), maphash.String(v.seeds[1], id)}
}

// readVersions reads the newest versions of a table.
func (d *database) readVersions(ctx context.Context, t *record.Table) (*versions, error) {
	v := newVersions()
	if t.Versioned {
		// Millions of ids are too many for the engine to group in memory: the newest version is chosen here.
		query := "SELECT toString(id), ref, hash, toUnixTimestamp(insert_time) FROM " + d.Name(t.Name)
		if err := d.Rows(ctx, query, func(r *record.Reader) {
			key, ref, hash := v.key(r.Text()), r.Text(), r.Text()
			s := version{number: tables.RefNumber(ref), time: r.Uint32(), known: true}
			if old := v.byID[key]; old.known && (old.time > s.time || old.time == s.time && old.number > s.number) {
				return
			}
			if n, err := hex.Decode(s.hash[:], []byte(hash[:min(len(hash), 32)])); err != nil || n != len(s.hash) {
				s.hash = record.Hash{}
			}
			v.byID[key] = s
		}); err != nil {
			return nil, fmt.Errorf("read the versions of %s: %w", t.Name, err)
		}
	} else if err := d.readUnversioned(ctx, t, v); err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Name, err)
	}
	return v, nil
}

// readListed begins the next set: it reads which of the table's records its source has.
func (d *database) readListed(ctx context.Context, t *record.Table, source string, v *versions) error {
	if v.set++; v.set > 1 {
		for key, s := range v.byID {
			s.listed, s.kept = false, false
			v.byID[key] = s
		}
	}
	v.listed = 0
	return d.eachListed(ctx, t.Name, source, func(id string) {
		key := v.key(id)
		s := v.byID[key]
		s.listed = true
		v.byID[key] = s
		v.listed++
	})
}

// readUnversioned hashes the applications in the table.
func (d *database) readUnversioned(ctx context.Context, t *record.Table, v *versions) error {
	var row record.Row
	var buf []byte
	var failed error
	err := d.Rows(ctx, "SELECT id, toJSONString(ext), tag, protocol, port_range_min, port_range_max FROM "+
		d.Name(t.Name)+" FINAL", func(r *record.Reader) {
		raw := record.Raw{"id": r.Text(), "ext": r.Text(), "tag": r.Texts(), "protocol": r.Text(),
			"port_range_min": uint64(r.Uint16()), "port_range_max": uint64(r.Uint16())}
		if r.Err() != nil {
			return
		}
		var err error
		if row, err = t.Coerce(raw, row); err != nil {
			failed = err
			return
		}
		s := version{known: true}
		s.hash, buf = t.Hash(row, buf)
		v.byID[v.key(t.ID(row))] = s
	})
	return errors.Join(err, failed)
}

// eachListed calls yield with the records that a source has.
func (d *database) eachListed(ctx context.Context, table, source string, yield func(id string)) error {
	err := d.Rows(ctx, "SELECT id FROM "+d.Name(sourceTable)+" FINAL WHERE table_name = "+literal(table)+
		" AND source = "+literal(source)+" AND present", func(r *record.Reader) { yield(r.Text()) })
	if err != nil {
		return fmt.Errorf("read what %s has of %s: %w", source, table, err)
	}
	return nil
}
