package bgp

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/route"
)

// worstUpdates are bodies of UPDATEs that take the longest to read: as long as RFC 8654 allows, full of one thing.
func worstUpdates() map[string][]byte {
	const room = MaxExtended - HeaderBytes - 4
	fill := func(n int, piece func(i int) []byte) (b []byte) {
		for i := 0; ; i++ {
			p := piece(i)
			if len(b)+len(p) > n {
				return b
			}
			b = append(b, p...)
		}
	}
	usual := []byte{0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf5, 0x40, 3, 4, 192, 0, 2, 1}
	body := func(withdrawn, attributes, announced []byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, uint16(len(withdrawn)))
		b = binary.BigEndian.AppendUint16(append(b, withdrawn...), uint16(len(attributes)))
		return append(append(b, attributes...), announced...)
	}
	long := func(kind byte, value []byte) []byte {
		b := append([]byte(nil), usual...)
		flags := byte(0xd0)
		if kind == attrPath {
			b, flags = append([]byte(nil), usual[:4]...), 0x50
			b = append(b, usual[13:]...)
		}
		b = append(b, flags, kind)
		return append(binary.BigEndian.AppendUint16(b, uint16(len(value))), value...)
	}
	const attributes = room - 64
	one := []byte{24, 10, 0, 0}
	return map[string][]byte{
		"withdrawn /0": body(make([]byte, room), nil, nil),
		"announced /0": body(nil, usual, make([]byte, room-len(usual))),
		"announced /32": body(nil, usual, fill(room-len(usual), func(i int) []byte {
			return []byte{32, 10, byte(i >> 8), byte(i), 1}
		})),
		"communities": body(nil, long(attrCommunities, fill(attributes, func(i int) []byte {
			return binary.BigEndian.AppendUint32(nil, uint32(i)*2654435761)
		})), one),
		"extended communities": body(nil, long(attrExtended, fill(attributes, func(i int) []byte {
			return binary.BigEndian.AppendUint64(nil, uint64(i)*0x9e3779b97f4a7c15)
		})), one),
		"large communities": body(nil, long(attrLarge, fill(attributes, func(i int) []byte {
			return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(i)*2654435761), uint64(i))
		})), one),
		"a long path": body(nil, long(attrPath, fill(attributes, func(i int) []byte {
			return append([]byte{2, 255}, fill(4*255, func(j int) []byte {
				return binary.BigEndian.AppendUint32(nil, uint32(i*255+j))
			})...)
		})), one),
		"many segments": body(nil, long(attrPath, fill(attributes, func(i int) []byte {
			return []byte{byte(1 + i%2), 1, 0, 0, byte(i >> 8), byte(i)}
		})), one),
		"unknown attributes": body(nil, append(append([]byte(nil), usual...), fill(attributes, func(i int) []byte {
			return []byte{0xc0, byte(100 + i%100), 0}
		})...), one),
		"MP_UNREACH of VPN": body(nil, func() []byte {
			v := append([]byte{0, 1, 128}, fill(attributes, func(int) []byte {
				return []byte{88, 0, 0, 0x31, 0, 0, 0, 1, 0, 0, 0, 1}
			})...)
			return append(binary.BigEndian.AppendUint16([]byte{0x90, attrUnreach}, uint16(len(v))), v...)
		}(), nil),
	}
}

// threadTime is the CPU time of this thread.
func threadTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The worst UPDATEs that a neighbour can send are read within the time that is allowed for one. What is read of them is
// the same each time.
func BenchmarkWorstUpdates(b *testing.B) {
	for name, body := range worstUpdates() {
		b.Run(name, func(b *testing.B) {
			w := NewWalker(Rules{FourByteAS: true}, route.NewHasher())
			batch := &route.Batch{Decode: Decode}
			var a route.Attributes
			runtime.LockOSThread() // whose CPU time counts, whatever else this host does
			defer runtime.UnlockOSThread()
			begun := threadTime()
			for b.Loop() {
				batch.Reset()
				_ = w.Update(body, batch)
				for i := range batch.Bundles {
					a.Reset()
					_ = Decode(batch.Bundles[i].Data, &a)
				}
			}
			if len(batch.Changes) == 0 {
				b.Fatal("nothing was read")
			}
			b.ReportMetric(float64((threadTime()-begun).Microseconds())/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(len(batch.Changes)), "changes")
		})
	}
}
