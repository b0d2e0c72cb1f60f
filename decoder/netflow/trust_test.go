package netflow

import (
	"net/netip"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func TestTrust(t *testing.T) {
	name := []item{el(1, u32(0)), el(130, ip("198.51.100.9"))}
	huge, small := []item{el(1, u32(0)), el(34, u32(1_000_000))}, []item{el(1, u32(0)), el(34, u32(5))}
	state := func(l *lab, items []item) {
		l.send(ipfix(header{exportS: exportS}, set(3, optionsIPFIX(400, 1, items...)), set(400, dataOf(items...))))
	}
	data := func(l *lab) (r flow.Record) {
		l.received += int64(10 * time.Second)
		return l.send(ipfix(header{exportS: exportS}, set(2, templateOf(300, v4Flow()...)), dataSet(300, 1)))[0]
	}
	router := func(t *testing.T) *lab {
		l := newLab(t, Options{})
		for range 10 {
			data(l)
		}
		return l
	}
	forged := func(l *lab, items []item) {
		l.source = netip.AddrPortFrom(l.source.Addr(), 9)
		state(l, items)
		l.source = netip.AddrPortFrom(l.source.Addr(), 4000)
	}
	own, stated := ip128("192.0.2.1"), ip128("198.51.100.9")
	t.Run("what an exporter says first", func(t *testing.T) {
		l := newLab(t, Options{})
		state(l, name)
		state(l, huge)
		r := data(l)
		equal(t, "exporter", r.Exporter, stated)
		equal(t, "rate", r.SamplingRate, 1_000_000)
	})
	t.Run("another name", func(t *testing.T) {
		l := router(t)
		state(l, name)
		equal(t, "exporter", data(l).Exporter, own)
		equal(t, "doubted", l.stream(flow.IPFIX, 0).Failed(exporter.OptionsDoubted), 1)
	})
	t.Run("a rate of many times", func(t *testing.T) {
		l := router(t)
		state(l, huge)
		equal(t, "rate", data(l).SamplingRate, 1)
	})
	t.Run("a rate that changes a little", func(t *testing.T) {
		l := router(t)
		state(l, small)
		equal(t, "rate", data(l).SamplingRate, 5)
	})
	late := []item{el(1, u32(0)), el(34, u32(1000))}
	t.Run("a rate that is announced late", func(t *testing.T) {
		l := router(t)
		state(l, late)
		equal(t, "rate", data(l).SamplingRate, 1000)
		equal(t, "doubted", l.stream(flow.IPFIX, 0).Failed(exporter.OptionsDoubted), 0)
		state(l, []item{el(1, u32(0)), el(34, u32(20_000))})
		equal(t, "rate after a change", data(l).SamplingRate, 1000)
	})
	t.Run("late, from a port that sends no data", func(t *testing.T) {
		l := router(t)
		forged(l, late)
		equal(t, "rate", data(l).SamplingRate, 1)
	})
	t.Run("late, with another sequence number", func(t *testing.T) {
		for number, want := range map[uint32]uint32{1: 1000, 900: 1000, 1<<32 - 900: 1000, 5000: 1, 1<<32 - 5000: 1} {
			l := router(t)
			l.send(ipfix(header{exportS: exportS, sequence: number}, set(3, optionsIPFIX(400, 1, late...)),
				set(400, dataOf(late...))))
			equal(t, "rate", data(l).SamplingRate, want)
		}
	})
	t.Run("late, for records that say their own", func(t *testing.T) {
		l := newLab(t, Options{})
		own := append(v4Flow(), el(34, u32(5)))
		for range 10 {
			l.received += int64(10 * time.Second)
			equal(t, "rate", l.one(flow.IPFIX, own...).SamplingRate, 5)
		}
		state(l, late)
		equal(t, "doubted", l.stream(flow.IPFIX, 0).Failed(exporter.OptionsDoubted), 1)
	})
	t.Run("a port that sends no data", func(t *testing.T) {
		l := router(t)
		forged(l, small)
		equal(t, "rate", data(l).SamplingRate, 1)
	})
	t.Run("repeated over time", func(t *testing.T) {
		l := router(t)
		for range 30 {
			state(l, name)
			data(l)
		}
		equal(t, "exporter", data(l).Exporter, stated)
	})
	t.Run("repeated at once", func(t *testing.T) {
		l := router(t)
		for range 100 {
			state(l, huge)
		}
		equal(t, "rate", data(l).SamplingRate, 1)
	})
	t.Run("the exporter says otherwise in between", func(t *testing.T) {
		l := newLab(t, Options{})
		state(l, small)
		for range 60 {
			data(l)
			forged(l, huge)
			state(l, small)
		}
		equal(t, "rate", data(l).SamplingRate, 5)
	})
	t.Run("many different ones", func(t *testing.T) {
		l := router(t)
		for n := range uint32(1000) {
			state(l, []item{el(1, u32(0)), el(34, u32(1000+n))})
		}
		if n := len(l.d.sources[own].doubts); n > maxDoubts {
			t.Errorf("%d doubts are kept", n)
		}
	})
}
