package stages

import (
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/bench/hostile"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/enrich"
)

// Harm is what the datagrams of a flood take of one worker.
type Harm struct {
	Kind  string  `json:"kind"`
	Bytes float64 `json:"bytes"`            // of a datagram
	Rows  float64 `json:"rows"`             // that it gives
	Micro float64 `json:"us_per_datagram"`  // of a core
	Heap  float64 `json:"kept_mebibytes"`   // that stays when the flood is over, with the block's memory
	Block float64 `json:"bytes_of_a_block"` // that a datagram's rows take in blocks
}

// Flood measures n datagrams of a kind, in a worker that has seen none before.
func Flood(kind hostile.Kind, n int, snapshot *atomic.Pointer[enrich.Snapshot]) Harm {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := heap()
	c, f := NewChain(Encode, snapshot), kind.Flood(1, time.Now())
	var cpu time.Duration
	var size int
	first := netip.AddrFrom4([4]byte{127, 66, 0, 1})
	for range n {
		source, payload := f.Next(first)
		size += len(payload)
		now := time.Now()
		dg := exporter.Datagram{Source: netip.AddrPortFrom(source, 4000), Received: now.UnixNano(), Payload: payload}
		began := threadCPU()
		c.Process([]exporter.Datagram{dg}, now)
		cpu += threadCPU() - began
	}
	h := Harm{
		Kind: kind.Name, Bytes: float64(size) / float64(n), Rows: float64(c.Records()) / float64(n),
		Micro: float64(cpu.Nanoseconds()) / 1000 / float64(n), Heap: (heap() - before) / (1 << 20),
		Block: float64(c.Bytes()) / float64(n),
	}
	runtime.KeepAlive(c)
	return h
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
