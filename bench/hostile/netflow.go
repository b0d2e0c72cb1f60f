package hostile

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"
)

var be = binary.BigEndian

// shorts appends numbers of 16 bits.
func shorts(b []byte, list ...int) []byte {
	for _, n := range list {
		b = be.AppendUint16(b, uint16(n))
	}
	return b
}

// words appends numbers of 32 bits.
func words(b []byte, list ...uint32) []byte {
	for _, n := range list {
		b = be.AppendUint32(b, n)
	}
	return b
}

// set appends a set with its head (RFC 3954 §5.2, RFC 7011 §3.3).
func set(b []byte, id int, body []byte) []byte {
	return append(shorts(b, id, 4+len(body)), body...)
}

// v9 returns a datagram of NetFlow v9.
func (m *maker) v9(domain, number int, sets ...[]byte) []byte {
	b := words(nil, 9<<16|1, 1_000_000, uint32(m.now.Unix()), uint32(number), uint32(domain))
	return append(b, bytes.Join(sets, nil)...)
}

// ipfix returns a message of IPFIX.
func (m *maker) ipfix(number int, sets ...[]byte) []byte {
	b := words(nil, 10<<16, uint32(m.now.Unix()), uint32(number), 1)
	b = append(b, bytes.Join(sets, nil)...)
	be.PutUint16(b[2:], uint16(len(b)))
	return b
}

func (m *maker) fill(b []byte) {
	for i := range b {
		b[i] = byte(m.Uint32())
	}
}

// Elements and their lengths.
var (
	flow20 = []int{8, 4, 12, 4, 7, 2, 11, 2, 1, 4, 2, 4}
	flow36 = append(flow20[:12:12], 10, 4, 14, 4, 16, 4, 17, 4)
	flow6  = []int{27, 16, 28, 16, 4, 1, 1, 4, 10, 4}
	// flowWide has in addition ToS, TCP flags, VLANs, MAC addresses, next hop, application.
	flowWide = append(flow36[:20:20], 5, 1, 6, 1, 58, 2, 59, 2, 56, 6, 80, 6, 18, 4, 95, 4)
	// flowRD has in addition the route distinguisher of the flow's VPN.
	flowRD = append(flow20[:12:12], 90, 8)
	// flowAll has nearly all that a row can hold: flowWide, the BGP next hop, the distinguisher and MPLS labels.
	flowAll = append(flowWide[:36:36], 63, 16, 90, 8, 70, 3, 71, 3, 72, 3, 73, 3, 74, 3, 75, 3)
)

// template returns a template record of elements and their lengths.
func template(id int, fields ...int) []byte {
	return shorts(shorts(nil, id, len(fields)/2), fields...)
}

func header(m *maker) func(int) []byte {
	return func(int) []byte { return m.v9(1, 1) }
}

func garbage(m *maker) func(int) []byte {
	return func(int) []byte {
		b := make([]byte, 40+m.IntN(1400))
		m.fill(b)
		return b
	}
}

func domains(m *maker) func(int) []byte {
	return func(i int) []byte { return m.v9(i, 1) }
}

func domainTemplates(m *maker) func(int) []byte {
	t := set(nil, 0, template(256, flow20...))
	return func(i int) []byte { return m.v9(i, 1, t) }
}

func held(m *maker) func(int) []byte {
	data := set(nil, 300, make([]byte, 58_000))
	return func(int) []byte { return m.v9(1, 1, data) }
}

func heldSmall(m *maker) func(int) []byte {
	var b []byte
	for k := range 1000 {
		b = set(b, 300+k, make([]byte, 60))
	}
	return func(int) []byte { return m.v9(1, 1, b) }
}

// heldRows has new templates in each datagram, behind their data.
func heldRows(m *maker) func(int) []byte {
	const sets, length = 24, 20
	rows := make([]byte, 128*length)
	return func(i int) []byte {
		var b []byte
		for k := range sets {
			id := 256 + i%40*sets + k
			m.fill(rows)
			b = set(set(b, id, rows), 0, template(id, flow20...))
		}
		return m.v9(i/40, 1, b)
	}
}

func templates(atOnce int) func(*maker) func(int) []byte {
	return func(m *maker) func(int) []byte {
		return func(i int) []byte {
			var b []byte
			for k := range atOnce {
				b = append(b, template(256+(i*atOnce+k)%1024, 8, 4)...)
			}
			return m.v9(i*atOnce/1024, 1, set(nil, 0, b))
		}
	}
}

func wideTemplates(m *maker) func(int) []byte {
	var fields []int
	for range 1024 {
		fields = append(fields, 8, 1)
	}
	return func(i int) []byte { return m.v9(i/1024, 1, set(nil, 0, template(256+i%1024, fields...))) }
}

func redefinitions(m *maker) func(int) []byte {
	return func(i int) []byte {
		var b []byte
		for k := range 8000 {
			b = append(b, template(256+k%1024, 8+(i+k/1024)%2*4, 4)...)
		}
		return m.v9(1, 1, set(nil, 0, b))
	}
}

func withdrawals(m *maker) func(int) []byte {
	var b []byte
	for range 400 {
		b = set(b, 2, shorts(nil, 2, 0))
		b = set(b, 2, template(256, flow20...))
		b = set(b, 3, shorts(nil, 3, 0))
	}
	return func(i int) []byte { return m.ipfix(i, b) }
}

func emptySets(m *maker) func(int) []byte {
	var b []byte
	for range 16_000 {
		b = set(b, 300, nil)
	}
	return func(int) []byte { return m.v9(1, 1, b) }
}

// names are of interfaces (IE 82, by the scope interface).
func names(atOnce, length int) func(*maker) func(int) []byte {
	return func(m *maker) func(int) []byte {
		t := set(nil, 1, append(shorts(nil, 256, 4, 4), shorts(nil, 2, 4, 82, length)...))
		name := bytes.Repeat([]byte{'n'}, length)
		return func(i int) []byte {
			var b []byte
			for k := range atOnce {
				b = append(words(b, uint32(i*atOnce+k)), name...)
			}
			return m.v9(1, i, t, set(nil, 256, b))
		}
	}
}

func vrfs(m *maker) func(int) []byte {
	t := set(nil, 3, append(shorts(nil, 259, 3, 1), shorts(nil, 234, 4, 236, 65535, 90, 8)...))
	return func(i int) []byte {
		var b []byte
		for k := range 1000 {
			name := strconv.FormatUint(m.Uint64()|1<<63, 10)
			b = words(b, uint32(i*1000+k))
			b = append(append(b, byte(len(name))), name...)
			b = be.AppendUint64(b, m.Uint64())
		}
		return m.ipfix(i, t, set(nil, 259, b))
	}
}

// namesUsed has names of interfaces in the first datagrams and in each 64th, and in the others records of these
// interfaces and of VRFs without names.
func namesUsed(m *maker) func(int) []byte {
	const all, atOnce, naming, records, length = 10_000, 1000, 64, 128, 32
	options := set(nil, 3, append(shorts(nil, 259, 2, 1), shorts(nil, 10, 4, 82, 10)...))
	data := set(nil, 2, template(256, 8, 4, 12, 4, 7, 2, 11, 2, 1, 4, 2, 4, 10, 4, 14, 4, 234, 4))
	next := 0
	return func(i int) []byte {
		var b []byte
		if i < all/atOnce || i%naming == 0 {
			for range atOnce {
				next = next%all + 1
				b = append(words(b, uint32(next)), strconv.Itoa(1_000_000_000+next)...)
			}
			return m.ipfix(i*records, options, set(nil, 259, b))
		}
		b = make([]byte, records*length)
		m.fill(b)
		for k := 0; k < len(b); k += length {
			words(b[k+20:k+20], 1+m.Uint32N(all), 1+m.Uint32N(all), 1+m.Uint32N(2*all))
		}
		return m.ipfix(i*records, data, set(nil, 256, b))
	}
}

func rates(m *maker) func(int) []byte {
	t := set(nil, 1, append(shorts(nil, 258, 4, 8), shorts(nil, 1, 4, 48, 1, 34, 4)...))
	return func(i int) []byte {
		var b []byte
		for k := range 500 {
			b = words(append(words(b, 0), byte(k)), m.Uint32()|1<<31)
		}
		return m.v9(1, i, t, set(nil, 258, b))
	}
}

// ratesUsed has sampling rates of interfaces that are random, in 50 domains, and records of such interfaces.
func ratesUsed(m *maker) func(int) []byte {
	options := set(nil, 1, append(shorts(nil, 258, 4, 8), shorts(nil, 2, 4, 34, 4, 50, 4)...))
	data := set(nil, 0, template(256, 8, 4, 12, 4, 1, 4, 10, 4, 14, 4))
	return func(i int) []byte {
		var b []byte
		for range 1000 {
			b = words(b, m.Uint32(), m.Uint32N(1<<20)|1, m.Uint32N(1<<16))
		}
		rows := make([]byte, 100*20)
		m.fill(rows)
		return m.v9(i%50, i, data, options, set(nil, 258, b), set(nil, 256, rows))
	}
}

// ratesSeveral has sampling rates of pairs of things, in 50 domains, and records that name all of these.
func ratesSeveral(m *maker) func(int) []byte {
	rates := m.ratesOfPairs()
	return func(i int) []byte {
		rows := make([]byte, 128*36)
		m.fill(rows)
		return rates(i, rows, func() uint32 { return m.Uint32N(1000) })
	}
}

// ratesSame has rates of the same pairs of things in every other domain, and records of these in the domains between.
func ratesSame(m *maker) func(int) []byte {
	rates := m.ratesOfPairs()
	return func(i int) []byte {
		var rows []byte
		for range 128 {
			rows = words(rows, m.Uint32(), m.Uint32(), m.Uint32())
			for range 6 {
				rows = words(rows, uint32((i+1)%2*100)+m.Uint32N(16))
			}
		}
		return rates(i, rows, func() uint32 { return uint32(i%2*100) + m.Uint32N(16) })
	}
}

// ratesOfPairs returns messages of 50 domains, each with rates of 60 of the pairs of all kinds of things, and records.
func (m *maker) ratesOfPairs() func(i int, rows []byte, id func() uint32) []byte {
	things := []int{10, 14, 234, 235, 141, 142}
	templates := set(nil, 2, template(256, 8, 4, 12, 4, 1, 4, 10, 4, 14, 4, 234, 4, 235, 4, 141, 4, 142, 4))
	var pairs int
	for i, a := range things {
		for _, b := range things[:i] {
			templates = set(templates, 3, append(shorts(nil, 300+pairs, 3, 2), shorts(nil, b, 4, a, 4, 34, 4)...))
			pairs++
		}
	}
	return func(i int, rows []byte, id func() uint32) []byte {
		all := append([]byte(nil), templates...)
		for p := range pairs {
			p = (p + i) % pairs
			var b []byte
			for range 60 {
				b = words(b, id(), id(), m.Uint32N(1<<20)|1)
			}
			all = set(all, 300+p, b)
		}
		b := m.ipfix(i, all, set(nil, 256, rows))
		be.PutUint32(b[12:], uint32(i%50))
		return b
	}
}

// allNew has in a jumbo frame 256 new templates, 256 names, as many rates, and 80 flow records.
func allNew(m *maker) func(int) []byte {
	const atOnce, records, length = 256, 80, 36
	known := shorts(nil, 2000, 4, 8, 2, 4, 82, 8, 34, 4) // by the scope interface
	data := template(2001, flow36...)
	rows := make([]byte, records*length)
	return func(i int) []byte {
		var definitions, options []byte
		for k := range atOnce {
			definitions = append(definitions, template(256+(i*atOnce+k)%1024, 8, 4)...)
			options = words(append(words(options, m.Uint32()), "portname"...), m.Uint32N(1<<20)|1)
		}
		m.fill(rows)
		return m.v9(i*atOnce/1024, i, set(nil, 0, append(data[:len(data):len(data)], definitions...)),
			set(nil, 1, known), set(nil, 2000, options), set(nil, 2001, rows))
	}
}

func renames(m *maker) func(int) []byte {
	t := set(nil, 1, append(shorts(nil, 258, 4, 8), shorts(nil, 1, 4, 130, 4, 34, 4)...))
	return func(i int) []byte { return m.v9(1, i, t, set(nil, 258, words(nil, 0, m.Uint32(), 1<<32-1))) }
}

func jumps(m *maker) func(int) []byte {
	t := set(nil, 0, template(256, flow20...))
	return func(int) []byte {
		b := make([]byte, 20)
		m.fill(b)
		return m.v9(1, int(m.Uint32()), t, set(nil, 256, b))
	}
}

// rows are random records, as many as fit into size.
func rows(size int, fields ...int) func(*maker) func(int) []byte {
	return func(m *maker) func(int) []byte {
		length := 0
		for k := 1; k < len(fields); k += 2 {
			length += fields[k]
		}
		t := set(nil, 0, template(256, fields...))
		b := make([]byte, size/length*length)
		return func(i int) []byte {
			m.fill(b)
			return m.v9(1, i, t, set(nil, 256, b))
		}
	}
}

// totals has octetTotalCount and packetTotalCount (IE 85, 86) of flows that each began at another time.
func totals(m *maker) func(int) []byte {
	t := set(nil, 2, template(256, 8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 85, 8, 86, 8, 152, 8, 153, 8))
	return func(i int) []byte {
		var b []byte
		for range 30 {
			b = shorts(words(b, m.Uint32(), m.Uint32()), m.IntN(1<<16), 443)
			b = be.AppendUint64(be.AppendUint64(append(b, 6), 1000), 10)
			ms := uint64(m.now.UnixMilli())
			b = be.AppendUint64(be.AppendUint64(b, ms-uint64(m.IntN(60_000))), ms)
		}
		return m.ipfix(i*30, t, set(nil, 256, b))
	}
}

// mixed has one protocol after the other, with the same domain, template and numbers.
func mixed(m *maker) func(int) []byte {
	v9 := rows(1_400, flow20...)(m)
	all := []func(int) []byte{v9, v5(30)(m), samples(10)(m), days(10, 0)(m), header(m), texts(m), interfaces(m)}
	return func(i int) []byte { return all[i%len(all)](i) }
}

func repeated(m *maker) func(int) []byte {
	var fields []int
	for range 40 {
		fields = append(fields, flow36...)
	}
	return rows(60_000, fields...)(m)
}

func texts(m *maker) func(int) []byte {
	t := set(nil, 2, template(256, 8, 4, 12, 4, 1, 4, 82, 65535, 94, 65535))
	return func(i int) []byte {
		text := make([]byte, 120)
		var b []byte
		for range 200 {
			m.fill(text)
			b = words(b, 0x0a000001, 0x0a000002, 1000)
			b = append(append(b, 120), text...)
			b = append(append(b, 120), text...)
		}
		return m.ipfix(i, t, set(nil, 256, b))
	}
}

// lists has a basicList (IE 291, RFC 6313) in each record.
func lists(m *maker) func(int) []byte {
	t := set(nil, 2, template(256, 8, 4, 1, 4, 291, 65535))
	var b []byte
	for range 1000 {
		b = append(words(b, 1, 2), 255, 0, 30, 4, 1, 35, 0, 1)
		b = append(b, make([]byte, 25)...)
	}
	return func(i int) []byte { return m.ipfix(i, t, set(nil, 256, b)) }
}

// frames has the beginning of a frame (IE 315) in each record.
func frames(m *maker) func(int) []byte {
	const length = 64 + 4
	t := set(nil, 2, template(256, 315, 64, 1, 4))
	b := make([]byte, 900*length)
	return func(i int) []byte {
		m.fill(b)
		for k := 0; k < len(b); k += length {
			copy(b[k+12:], []byte{8, 0, 0x45, 0, 0, 200, 0, 0, 0, 0, 64, 6})
		}
		return m.ipfix(i, t, set(nil, 256, b))
	}
}

// days has times of one day after the other.
func days(atOnce, direction int) func(*maker) func(int) []byte {
	return func(m *maker) func(int) []byte {
		t := set(nil, 2, template(256, 152, 8, 153, 8, 8, 4, 12, 4, 1, 4, 2, 4))
		return func(i int) []byte {
			var b []byte
			for k := range atOnce {
				ms := uint64(m.now.Add(time.Duration(direction*((i*atOnce+k)%1830)) * 24 * time.Hour).UnixMilli())
				b = be.AppendUint64(be.AppendUint64(b, ms), ms)
				b = words(b, 0x0a000001, 0x0a000002, 1000, 1)
			}
			return m.ipfix(i*atOnce, t, set(nil, 256, b))
		}
	}
}

func v5(records int) func(*maker) func(int) []byte {
	return func(m *maker) func(int) []byte {
		b := make([]byte, 24+48*records)
		return func(int) []byte {
			m.fill(b[24:])
			words(shorts(b[:0], 5, records), 1_000_000, uint32(m.now.Unix()), 0, m.Uint32(), 0)
			return b
		}
	}
}
