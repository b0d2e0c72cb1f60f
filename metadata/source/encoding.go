package source

import (
	"encoding/binary"
	"io"
	"net/netip"
	"strings"

	"github.com/metranova/flow-collector/enrich"
)

// EndTag ends the records of a file. No kind may use it.
const EndTag = 0xff

// Encoder writes records in the format of the snapshot file: the kind's tag and the record's fields. Texts follow their
// length (uvarint), numbers are uvarint, addresses follow their length and have 4 or 16 bytes. It keeps the first
// error.
type Encoder struct {
	Out     io.Writer
	Records uint64 // written so far
	Err     error
	buf     []byte
}

// End writes the end of the records and their number.
func (e *Encoder) End() error {
	if e.Err == nil {
		_, e.Err = e.Out.Write(binary.AppendUvarint([]byte{EndTag}, e.Records))
	}
	return e.Err
}

func (e *Encoder) begin(tag byte) { e.buf = append(e.buf[:0], tag) }

func (e *Encoder) end() {
	e.Records++
	if e.Err == nil {
		_, e.Err = e.Out.Write(e.buf)
	}
}

// Bool appends a truth value as 0 or 1.
func (e *Encoder) Bool(b bool) {
	if b {
		e.Number(1)
		return
	}
	e.Number(0)
}

// Text appends texts.
func (e *Encoder) Text(texts ...string) {
	for _, s := range texts {
		e.buf = append(binary.AppendUvarint(e.buf, uint64(len(s))), s...)
	}
}

// Number appends numbers.
func (e *Encoder) Number(numbers ...uint64) {
	for _, n := range numbers {
		e.buf = binary.AppendUvarint(e.buf, n)
	}
}

// Address appends an address.
func (e *Encoder) Address(a netip.Addr) {
	if a.Is4() {
		a4 := a.As4()
		e.buf = append(append(e.buf, 4), a4[:]...)
		return
	}
	a16 := a.As16()
	e.buf = append(append(e.buf, 16), a16[:]...)
}

// Prefix appends a prefix.
func (e *Encoder) Prefix(p netip.Prefix) {
	e.Address(p.Addr())
	e.buf = append(e.buf, byte(p.Bits()))
}

// IP appends a record's prefix. The id is written as the length of the part of the ref that it mostly is.
func (e *Encoder) IP(v enrich.IPPrefix) {
	e.Prefix(v.Prefix)
	e.Number(uint64(v.ASID))
	e.Text(v.Ref)
	if strings.HasPrefix(v.Ref, v.ID) {
		e.Number(uint64(len(v.ID)) + 1)
		return
	}
	e.Number(0)
	e.Text(v.ID)
}

// Decoder reads what an Encoder wrote. After invalid data it returns zero values.
type Decoder struct {
	rest      string
	extension string // of the latest record that has one
	bad       bool
}

// NewDecoder reads records from a string. Texts are parts of it, without a copy.
func NewDecoder(records string) *Decoder { return &Decoder{rest: records} }

// Decode passes on all records. false: the data is invalid, or has a kind that is not in kinds.
func (d *Decoder) Decode(kinds []Kind, to *Target) bool {
	var byTag [256]Kind
	for _, k := range kinds {
		byTag[k.Tag()] = k
	}
	for n := uint64(0); ; n++ {
		tag := d.byte()
		if tag == EndTag {
			records := d.Number()
			return !d.bad && records == n && d.rest == ""
		}
		k := byTag[tag]
		if k == nil {
			return false
		}
		if k.Decode(d, to); d.bad {
			return false
		}
	}
}

// Bool reads a truth value.
func (d *Decoder) Bool() bool { return d.Number() == 1 }

// More reports whether the data was valid so far, for loops whose length comes from the data.
func (d *Decoder) More() bool { return !d.bad }

// Shared reads a text that consecutive records have in common, as one copy for all of them.
func (d *Decoder) Shared() string {
	if text := d.Text(); text != d.extension {
		d.extension = strings.Clone(text)
	}
	return d.extension
}

func (d *Decoder) take(n int) string {
	if n < 0 || n > len(d.rest) {
		d.bad, d.rest = true, ""
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

// byte reads one byte.
func (d *Decoder) byte() byte {
	if s := d.take(1); s != "" {
		return s[0]
	}
	return 0
}

// Number reads a number.
func (d *Decoder) Number() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	d.bad = true
	return 0
}

// Text reads a text. It is part of the file's contents, which stay in memory as long as the text.
func (d *Decoder) Text() string {
	n := d.Number()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	return d.take(int(n))
}

// Copy reads a text as a copy, which a snapshot can keep.
func (d *Decoder) Copy() string { return strings.Clone(d.Text()) }

// Address reads an address.
func (d *Decoder) Address() netip.Addr {
	switch d.byte() {
	case 4:
		if s := d.take(4); s != "" {
			return netip.AddrFrom4([4]byte([]byte(s)))
		}
	case 16:
		if s := d.take(16); s != "" {
			return netip.AddrFrom16([16]byte([]byte(s)))
		}
	}
	d.bad = true
	return netip.Addr{}
}

// Prefix reads a prefix.
func (d *Decoder) Prefix() netip.Prefix {
	p := netip.PrefixFrom(d.Address(), int(d.byte()))
	d.bad = d.bad || !p.IsValid()
	return p
}

// IP reads a record's prefix. Its texts are parts of the file's contents.
func (d *Decoder) IP() enrich.IPPrefix {
	v := enrich.IPPrefix{Prefix: d.Prefix(), ASID: uint32(d.Number()), Ref: d.Text()}
	switch n := d.Number(); {
	case n == 0:
		v.ID = d.Text()
	case n-1 <= uint64(len(v.Ref)):
		v.ID = v.Ref[:n-1]
	default:
		d.bad = true
	}
	return v
}
