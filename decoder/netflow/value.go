package netflow

import (
	"encoding/binary"
	"math"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// unsigned reads a big-endian integer of any width. One wider than 8 bytes saturates unless its upper bytes are 0.
func unsigned(b []byte) uint64 {
	switch len(b) {
	case 0:
		return 0
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	var n uint64
	for _, c := range b {
		if n>>56 != 0 {
			return math.MaxUint64
		}
		n = n<<8 | uint64(c)
	}
	return n
}

// unsigned32, unsigned16 and unsigned8 saturate: a number that does not fit must not look like another one. They check
// the usual width first.
func unsigned32(b []byte) uint32 {
	if len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return uint32(min(unsigned(b), math.MaxUint32))
}

func unsigned16(b []byte) uint16 {
	if len(b) == 2 {
		return binary.BigEndian.Uint16(b)
	}
	return uint16(min(unsigned(b), math.MaxUint16))
}

func unsigned8(b []byte) uint8 {
	if len(b) == 1 {
		return b[0]
	}
	return uint8(min(unsigned(b), math.MaxUint8))
}

// labelEntry reads the label, experimental bits and bottom bit of a label stack entry (IE 70-79). A field of 4 bytes
// that begins with something is a whole entry, with its TTL.
func labelEntry(b []byte) uint32 {
	n := unsigned(b)
	if len(b) == 4 && n > 0xffffff {
		n >>= 8
	}
	return uint32(n & 0xffffff)
}

// forwardingStatus reads IE 89. In 4 bytes it is the last one (RFC 7270 §4.12); some exporters fill the first.
func forwardingStatus(b []byte) uint8 {
	if n := low8(b); n != 0 || len(b) == 0 {
		return n
	}
	return b[0]
}

// deltaMs reads a time in microseconds before the export (IE 158, 159). A flow that ends in the second of the export,
// after its whole seconds, has a negative one.
func deltaMs(b []byte) int64 {
	n := min(unsigned(b), 1<<50)
	if len(b) == 4 && n > math.MaxUint32-aheadMs*1000 {
		return int64(int32(n)) / 1000
	}
	return int64(n / 1000)
}

// low8 reads the last byte, and low16 the last two, of a field of flags that exporters send too wide.
func low8(b []byte) uint8 {
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1]
}

func low16(b []byte) uint16 {
	if len(b) < 2 {
		return uint16(low8(b))
	}
	return binary.BigEndian.Uint16(b[len(b)-2:])
}

// packetCount reads how many packets are sampled, or out of how many; 0: unknown.
func packetCount(b []byte) uint64 {
	if unknown(b) {
		return 0
	}
	return unsigned(b)
}

// unknown reports whether all bits of a number are set, in 4 bytes or more: no exporter samples one of so many packets.
// In 2 bytes it is a rate.
func unknown(b []byte) bool {
	if len(b) < 4 || b[0] != 0xff {
		return false
	}
	for _, c := range b {
		if c != 0xff {
			return false
		}
	}
	return true
}

// float reads a float64, or a float32 in its place (RFC 7011 §6.2).
func float(b []byte) float64 {
	switch len(b) {
	case 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case 8:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return 0
}

// setAddr4 writes an IPv4 address, mapped, into an empty Addr. It stores in place, because building an Addr byte by
// byte and then copying it stalls the processor: three of them cost half of a NetFlow v5 record.
func setAddr4(to *flow.Addr, b []byte) {
	binary.BigEndian.PutUint64(to[8:], 0xffff<<32|uint64(binary.BigEndian.Uint32(b)))
}

func addr6(b []byte) flow.Addr { return flow.Addr(b) }

// addr reads an address of either family; false for any other length.
func addr(b []byte) (flow.Addr, bool) {
	switch len(b) {
	case 4:
		return flow.AddrFrom4([4]byte(b)), true
	case 16:
		return addr6(b), true
	}
	return flow.Addr{}, false
}

// The forms of time stamps that RFC 5103 elements can have.
const (
	formSeconds = iota
	formMillis
	formMicros
	formNanos
)

// ntpEpoch is 1970 in seconds since 1900 (RFC 7011 §6.1.8).
const ntpEpoch = 2208988800

// tenYearsMs is how far a plain count of micro- or nanoseconds may be from the export time to be taken for one.
const tenYearsMs = 10 * 365 * 24 * 3600 * 1000

// nearMs is how long before the export time a time may be to be taken for one in another unit than its element's.
const nearMs = 60 * dayMs

// millis converts a time stamp to Unix milliseconds, and reports whether that is a possible time. Some exporters mix
// up the units, and send seconds in IE 152 and 153 or milliseconds in 150 and 151. If a time is impossible in its own
// unit, and close to the export time in another, it is of that unit. An uptime in milliseconds can be taken for seconds
// during one hour in 49 days only.
func (c *context) millis(form uint8, b []byte) (ms int64, possible bool) {
	ms = c.ownUnit(form, b)
	if c.possible(ms) {
		return ms, true
	}
	if ms == 0 || len(b) > 8 {
		return ms, false
	}
	n := unsigned(b)
	for _, other := range [...]int64{
		int64(min(n, 1<<40)) * 1000, int64(min(n, 1<<50)), int64(n / 1e3), int64(n / 1e6), // seconds to nanoseconds
		(int64(n>>32)-ntpEpoch)*1000 + fractionMillis(formNanos, n&math.MaxUint32),
		int64(n>>32)*1000 + fractionMillis(formNanos, n&math.MaxUint32), // NTP's form, since 1970
	} {
		if c.near(other) {
			c.session.read(exporter.TimeUnitsMixed)
			return other, true
		}
	}
	return ms, false
}

// near reports whether a time is one that the datagram's flows have as a rule.
func (c *context) near(ms int64) bool {
	return ms <= c.latestMs && ms > c.exportMs-nearMs && ms >= firstDateMs
}

// ownUnit interprets a time stamp in its element's unit. Micro- and nanoseconds are NTP time stamps (RFC 7011 §6.1.9,
// 6.1.10). Some exporters send plain counts since 1970; the one of the two that is close to the export time is taken.
func (c *context) ownUnit(form uint8, b []byte) int64 {
	switch form {
	case formSeconds:
		return int64(min(unsigned(b), 1<<40)) * 1000
	case formMillis:
		return int64(min(unsigned(b), 1<<50))
	}
	if len(b) == 16 {
		b = b[:8] // pmacct sends a time stamp of two words
	}
	n := unsigned(b)
	if n == 0 {
		return 0
	}
	plain := int64(n / 1000)
	if form == formNanos {
		plain = int64(n / 1e6)
	}
	seconds := int64(n >> 32)
	if seconds < ntpEpoch {
		if d := plain - c.exportMs; -tenYearsMs < d && d < tenYearsMs {
			return plain
		}
		if ms := seconds*1000 + plainFraction(form, n&math.MaxUint32); c.near(ms) {
			if c.session != nil {
				c.session.read(exporter.PlainFractions)
			}
			return ms // seconds since 1970, and a fraction in the element's unit
		}
		seconds += 1 << 32 // the era that begins in 2036
	}
	return (seconds-ntpEpoch)*1000 + c.fraction(form, n&math.MaxUint32)
}

// fraction returns the fraction of a second of an NTP time stamp, in milliseconds.
func (c *context) fraction(form uint8, fraction uint64) int64 {
	if c.session == nil {
		return fractionMillis(form, fraction)
	}
	switch c.session.fractions.observe(uint32(fraction)) {
	case plainMicros:
		c.session.read(exporter.PlainFractions)
		return int64(fraction / 1e3)
	case plainNanos:
		c.session.read(exporter.PlainFractions)
		return int64(fraction / 1e6)
	}
	return fractionMillis(form, fraction)
}

// plainFraction converts a fraction in micro- or nanoseconds, by its form, to milliseconds. One that is too large for
// that is a binary one.
func plainFraction(form uint8, fraction uint64) int64 {
	switch {
	case form == formMicros && fraction < 1e6:
		return int64(fraction / 1e3)
	case form == formNanos && fraction < 1e9:
		return int64(fraction / 1e6)
	}
	return fractionMillis(form, fraction)
}

// fractionMillis converts a binary fraction of a second to whole milliseconds. Exporters truncate the fraction, that of
// microseconds after 21 bits, so it is first rounded to the form's own unit: otherwise 433 ms would become 432.
func fractionMillis(form uint8, fraction uint64) int64 {
	perSecond := uint64(1e9)
	if form == formMicros {
		perSecond = 1e6
	}
	return int64((fraction*perSecond + 1<<31) >> 32 / (perSecond / 1000))
}

// fractions tells of which kind the fractions in an exporter's NTP time stamps are. Some exporters (VPP, Citrix
// NetScaler) write plain micro- or nanoseconds instead of units of 1/2^32 second. One value does not show it; a long
// run below a million or a billion does, because three in four true fractions are above a billion. One above a billion
// ends the run.
type fractions struct {
	last         uint32
	belowMillion uint8
	belowBillion uint8
}

const (
	trueFractions = iota
	plainMicros
	plainNanos
)

// The least length of a run of different fractions. By chance, true fractions give such a run once in 10^40.
const (
	millionRun = 16
	billionRun = 64
)

// observe takes the next fraction and returns its kind.
func (f *fractions) observe(fraction uint32) int {
	switch {
	case fraction == 0 || fraction == f.last:
	case fraction >= 1e9:
		*f = fractions{last: fraction}
	default:
		f.last = fraction
		f.belowBillion = min(f.belowBillion+1, billionRun)
		if f.belowMillion++; fraction >= 1e6 {
			f.belowMillion = 0
		}
		f.belowMillion = min(f.belowMillion, millionRun)
	}
	switch {
	case f.belowMillion == millionRun:
		return plainMicros
	case f.belowBillion == billionRun:
		return plainNanos
	}
	return trueFractions
}
