package metadata

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/metadata/record"
)

// version is what the table has of a record.
type version struct {
	number uint32 // of the newest version; 0: none, or its ref has no number
	time   uint32 // when it was inserted, in seconds since 1970
	seen   uint16 // the number of the set of this load that it was in; 0: in none yet
	known  bool   // the table has the record
	listed bool   // meta_source says that the source has it
	kept   bool   // it was in the set that is being loaded, but is not right or not the first one
	hash   record.Hash
}

// versions are the newest versions of a table's records. Ids are kept as 128 bits of hash: a table of prefixes has
// millions.
type versions struct {
	seeds  [2]maphash.Seed
	byID   map[[2]uint64]version
	set    uint16 // the number of the set that is being loaded, from 1
	listed int    // what its source had
}

// gone reports whether the source had the record and does not have it any more.
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

// makeRef is the ref of a version.
func makeRef(id string, number uint32) string {
	return id + "__v" + strconv.FormatUint(uint64(number), 10)
}

// refNumber is the number at the end of a ref, 0 if there is none.
func refNumber(ref string) uint32 {
	i := strings.LastIndex(ref, "__v")
	if i < 0 {
		return 0
	}
	n, err := strconv.ParseUint(ref[i+len("__v"):], 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// readVersions reads the newest versions of a table.
func (d *database) readVersions(ctx context.Context, t *record.Table) (*versions, error) {
	v := newVersions()
	if t.Versioned {
		// Millions of ids are too many for the engine to group in memory: the newest is found here.
		query := "SELECT toString(id), ref, hash, toUnixTimestamp(insert_time) FROM " + d.name(t.Name)
		if err := d.rows(ctx, query, func(r *rowReader) {
			key, ref, hash := v.key(r.text()), r.text(), r.text()
			s := version{number: refNumber(ref), time: r.uint32(), known: true}
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

// readUnversioned makes hashes of the applications that are there.
func (d *database) readUnversioned(ctx context.Context, t *record.Table, v *versions) error {
	var row record.Row
	var buf []byte
	var failed error
	err := d.rows(ctx, "SELECT id, toJSONString(ext), tag, protocol, port_range_min, port_range_max FROM "+
		d.name(t.Name)+" FINAL", func(r *rowReader) {
		raw := record.Raw{"id": r.text(), "ext": r.text(), "tag": r.texts(), "protocol": r.text(),
			"port_range_min": uint64(r.uint16()), "port_range_max": uint64(r.uint16())}
		if r.err != nil {
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
	err := d.rows(ctx, "SELECT id FROM "+d.name(sourceTable)+" FINAL WHERE table_name = "+literal(table)+
		" AND source = "+literal(source)+" AND present", func(r *rowReader) { yield(r.text()) })
	if err != nil {
		return fmt.Errorf("read what %s has of %s: %w", source, table, err)
	}
	return nil
}

// rows runs a query and calls row for each row of its result; row must read all columns.
func (d *database) rows(ctx context.Context, query string, row func(*rowReader)) (err error) {
	body, err := d.conn.QueryFormat(ctx, "RowBinary", query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	r := &rowReader{r: bufio.NewReaderSize(body, 1<<20)}
	for {
		if _, err := r.r.Peek(1); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		row(r)
		if r.err != nil {
			if errors.Is(r.err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			return r.err
		}
	}
}

// rowReader reads values of RowBinary. After an error all values are empty.
type rowReader struct {
	r   *bufio.Reader
	buf []byte
	err error
}

// bytes are the next n bytes, valid until the next call.
func (r *rowReader) bytes(n int) []byte {
	if cap(r.buf) < n {
		r.buf = make([]byte, 2*n)
	}
	r.buf = r.buf[:n]
	if r.err == nil {
		_, r.err = io.ReadFull(r.r, r.buf)
	}
	if r.err != nil {
		clear(r.buf)
	}
	return r.buf
}

// maxText is the most that a text or list may claim to have; more means that row reads other columns than there are.
const maxText = 64 << 20

func (r *rowReader) length() int {
	if r.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(r.r)
	if err == nil && n > maxText {
		err = fmt.Errorf("a text of %d bytes", n)
	}
	if err != nil {
		r.err = err
		return 0
	}
	return int(n)
}

func (r *rowReader) text() string { return string(r.bytes(r.length())) }

// nullText is "" for NULL.
func (r *rowReader) nullText() string {
	if r.null() {
		return ""
	}
	return r.text()
}

func (r *rowReader) null() bool     { return r.bytes(1)[0] == 1 }
func (r *rowReader) uint8() uint8   { return r.bytes(1)[0] }
func (r *rowReader) uint16() uint16 { return binary.LittleEndian.Uint16(r.bytes(2)) }
func (r *rowReader) uint32() uint32 { return binary.LittleEndian.Uint32(r.bytes(4)) }
func (r *rowReader) int64() int64   { return int64(binary.LittleEndian.Uint64(r.bytes(8))) }

func (r *rowReader) texts() []string {
	texts := make([]string, 0)
	for range r.length() {
		texts = append(texts, r.text())
	}
	return texts
}
