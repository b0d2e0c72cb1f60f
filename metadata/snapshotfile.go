package metadata

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/metranova/flow-collector/enrich"
)

// The snapshot file keeps what a snapshot was built from, so that the collector can start without ClickHouse:
//
//	magic, records, the kind recordEnd, the number of records (uvarint), xxhash64 of all before it (8 bytes, little-endian)
//
// A record is its kind (a byte) and its fields: texts with their length (uvarint), numbers as uvarint, addresses as 4
// or 16 bytes after their length. The version is in the magic. A file of another version, older or newer, is not read:
// it holds nothing that the tables do not have, and the next snapshot replaces it.
const (
	fileMagic   = "flow-collector metadata 1\n"
	magicPrefix = "flow-collector metadata "
)

const (
	recordDevice byte = iota + 1
	recordInterface
	recordApplication
	recordAS
	recordOrganization
	recordIP
	recordASBlock
	recordExtension
	recordEnd = 0xff
)

// errNoSnapshotFile is the error of a file that is not whole, or not one of this version.
var errNoSnapshotFile = errors.New("not a whole snapshot file of this version")

// snapshotWriter writes a snapshot file aside; commit puts it in place.
type snapshotWriter struct {
	path    string
	file    *os.File
	out     *bufio.Writer
	sum     *xxhash.Digest
	buf     []byte
	records uint64
	err     error
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
	_, w.err = w.out.WriteString(fileMagic)
	return w, nil
}

// abandon removes what was written, unless it is in place.
func (w *snapshotWriter) abandon() {
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}

// commit ends the file and moves it over the old one.
func (w *snapshotWriter) commit() error {
	if err := w.finish(); err != nil {
		return err
	}
	return os.Rename(w.file.Name(), w.path)
}

// finish ends the file, whose name is still its own.
func (w *snapshotWriter) finish() error {
	if w.err == nil {
		_, w.err = w.out.Write(binary.AppendUvarint([]byte{recordEnd}, w.records))
	}
	if err := errors.Join(w.err, w.out.Flush()); err != nil {
		return err
	}
	if _, err := w.file.Write(binary.LittleEndian.AppendUint64(nil, w.sum.Sum64())); err != nil {
		return err
	}
	return errors.Join(w.file.Sync(), w.file.Close())
}

func (w *snapshotWriter) feed() feed {
	return feed{
		device: func(v enrich.Device) {
			w.begin(recordDevice, v.ID, v.Ref)
			w.number(uint64(v.Version), uint64(len(v.Loopbacks)))
			for _, a := range v.Loopbacks {
				w.address(a)
			}
			w.end()
		},
		iface: func(v enrich.MetaInterface) {
			w.begin(recordInterface, v.ID, v.Ref, v.DeviceID)
			w.number(uint64(v.FlowIndex), bit(v.HasFlowIndex), bit(v.Edge), uint64(v.Version))
			w.end()
		},
		application: func(v enrich.Application) {
			w.begin(recordApplication, v.ID, v.Protocol)
			w.number(uint64(v.PortMin), uint64(v.PortMax))
			w.end()
		},
		as: func(v enrich.AS) {
			w.begin(recordAS, v.Ref, v.Name, v.OrganizationID, v.OrganizationRef)
			w.number(uint64(v.ID))
			w.end()
		},
		organization: func(v enrich.Organization) {
			w.begin(recordOrganization, v.ID, v.Ref, v.Name)
			w.end()
		},
		ip: func(v enrich.IPPrefix) {
			w.begin(recordIP)
			w.ip(v)
			w.end()
		},
		asBlock: func(v enrich.ASPrefix) {
			w.begin(recordASBlock)
			w.prefix(v.Prefix)
			w.number(uint64(v.ASID))
			w.end()
		},
		extension: func(name string, v enrich.IPPrefix) {
			w.begin(recordExtension, name)
			w.ip(v)
			w.end()
		},
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (w *snapshotWriter) begin(kind byte, texts ...string) {
	w.buf = append(w.buf[:0], kind)
	for _, s := range texts {
		w.text(s)
	}
}

func (w *snapshotWriter) end() {
	w.records++
	if w.err == nil {
		_, w.err = w.out.Write(w.buf)
	}
}

func (w *snapshotWriter) text(s string) {
	w.buf = append(binary.AppendUvarint(w.buf, uint64(len(s))), s...)
}

func (w *snapshotWriter) number(numbers ...uint64) {
	for _, n := range numbers {
		w.buf = binary.AppendUvarint(w.buf, n)
	}
}

func (w *snapshotWriter) address(a netip.Addr) {
	if a.Is4() {
		a4 := a.As4()
		w.buf = append(append(w.buf, 4), a4[:]...)
		return
	}
	a16 := a.As16()
	w.buf = append(append(w.buf, 16), a16[:]...)
}

func (w *snapshotWriter) prefix(p netip.Prefix) {
	w.address(p.Addr())
	w.buf = append(w.buf, byte(p.Bits()))
}

// ip writes the id as the first part of the ref, which it mostly is.
func (w *snapshotWriter) ip(v enrich.IPPrefix) {
	w.prefix(v.Prefix)
	w.number(uint64(v.ASID))
	w.text(v.Ref)
	if strings.HasPrefix(v.Ref, v.ID) {
		w.number(uint64(len(v.ID)) + 1)
		return
	}
	w.number(0)
	w.text(v.ID)
}

// LoadSnapshotFile makes a snapshot of the file that a Refresher keeps. It is all of the snapshot or an error.
func LoadSnapshotFile(path string) (*enrich.Snapshot, error) {
	data, err := readAll(path)
	if err != nil {
		return nil, err
	}
	b := enrich.NewBuilder()
	const subnetBytes = 40 // of the file, about
	b.Grow(len(data) / subnetBytes)
	if err := readSnapshot(data, builderFeed(b)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b.Build()
}

// readAll reads a file as a string, whose parts can be handed on without a copy.
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

func readSnapshot(data string, f feed) error {
	const sumBytes = 8
	if version, rest := strings.CutPrefix(data, magicPrefix); rest && !strings.HasPrefix(data, fileMagic) {
		version, _, _ = strings.Cut(version[:min(len(version), 20)], "\n")
		return fmt.Errorf("a snapshot file of version %q, which this program does not read: it is made again", version)
	}
	if !strings.HasPrefix(data, fileMagic) || len(data) < len(fileMagic)+sumBytes {
		return errNoSnapshotFile
	}
	body, sum := data[:len(data)-sumBytes], data[len(data)-sumBytes:]
	if binary.LittleEndian.Uint64([]byte(sum)) != xxhash.Sum64String(body) {
		return errNoSnapshotFile
	}
	r := &snapshotReader{rest: body[len(fileMagic):]}
	for n := uint64(0); ; n++ {
		kind := r.byte()
		if kind == recordEnd {
			if records := r.number(); r.bad || records != n || r.rest != "" {
				return errNoSnapshotFile
			}
			return nil
		}
		if !r.record(kind, f) {
			return errNoSnapshotFile
		}
	}
}

// snapshotReader reads the fields of records; after an error they are zero and bad is set.
type snapshotReader struct {
	rest      string
	extension string // of the last record of one
	bad       bool
}

// record hands on a record; false is a bad one. Texts that a snapshot keeps are copied, so that it does not keep the
// file; those of prefixes it copies itself.
func (r *snapshotReader) record(kind byte, f feed) bool {
	switch kind {
	case recordDevice:
		v := enrich.Device{ID: r.copy(), Ref: r.copy(), Version: int64(r.number())}
		for range r.number() {
			v.Loopbacks = append(v.Loopbacks, r.address())
			if r.bad {
				return false
			}
		}
		f.device(v)
	case recordInterface:
		f.iface(enrich.MetaInterface{ID: r.copy(), Ref: r.copy(), DeviceID: r.copy(), FlowIndex: uint32(r.number()),
			HasFlowIndex: r.number() == 1, Edge: r.number() == 1, Version: int64(r.number())})
	case recordApplication:
		f.application(enrich.Application{ID: r.copy(), Protocol: r.copy(), PortMin: uint16(r.number()),
			PortMax: uint16(r.number())})
	case recordAS:
		v := enrich.AS{Ref: r.copy(), Name: r.copy(), OrganizationID: r.copy(), OrganizationRef: r.copy()}
		v.ID = uint32(r.number())
		f.as(v)
	case recordOrganization:
		f.organization(enrich.Organization{ID: r.copy(), Ref: r.copy(), Name: r.copy()})
	case recordIP:
		if v := r.ip(); !r.bad {
			f.ip(v)
		}
	case recordASBlock:
		v := enrich.ASPrefix{Prefix: r.prefix(), ASID: uint32(r.number())}
		if !r.bad {
			f.asBlock(v)
		}
	case recordExtension:
		name := r.text()
		if v := r.ip(); !r.bad {
			if name != r.extension {
				r.extension = strings.Clone(name)
			}
			f.extension(r.extension, v)
		}
	default:
		return false
	}
	return !r.bad
}

func (r *snapshotReader) take(n int) string {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, ""
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *snapshotReader) byte() byte {
	if s := r.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (r *snapshotReader) number() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.bad = true
	return 0
}

func (r *snapshotReader) text() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	return r.take(int(n))
}

func (r *snapshotReader) copy() string { return strings.Clone(r.text()) }

func (r *snapshotReader) address() netip.Addr {
	switch r.byte() {
	case 4:
		if s := r.take(4); s != "" {
			return netip.AddrFrom4([4]byte([]byte(s)))
		}
	case 16:
		if s := r.take(16); s != "" {
			return netip.AddrFrom16([16]byte([]byte(s)))
		}
	}
	r.bad = true
	return netip.Addr{}
}

func (r *snapshotReader) prefix() netip.Prefix {
	p := netip.PrefixFrom(r.address(), int(r.byte()))
	r.bad = r.bad || !p.IsValid()
	return p
}

func (r *snapshotReader) ip() enrich.IPPrefix {
	v := enrich.IPPrefix{Prefix: r.prefix(), ASID: uint32(r.number()), Ref: r.text()}
	switch n := r.number(); {
	case n == 0:
		v.ID = r.text()
	case n-1 <= uint64(len(v.Ref)):
		v.ID = v.Ref[:n-1]
	default:
		r.bad = true
	}
	return v
}
