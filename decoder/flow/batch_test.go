package flow

import (
	"slices"
	"testing"
)

func TestBatchHandsOnFullAndFlushed(t *testing.T) {
	var sizes []int
	var domains []uint32
	b := NewBatch(func(records []Record) {
		sizes = append(sizes, len(records))
		for i := range records {
			domains = append(domains, records[i].Domain)
		}
	})
	const n = 2*batchRecords + 3
	for i := range uint32(n) {
		b.Next().Domain = i
	}
	b.Flush()
	b.Flush()
	if want := []int{batchRecords, batchRecords, 3}; !slices.Equal(sizes, want) {
		t.Errorf("handed on %v records, want %v", sizes, want)
	}
	for i, d := range domains {
		if d != uint32(i) {
			t.Fatalf("record %d is number %d", i, d)
		}
	}
}

func TestBatchNextIsEmpty(t *testing.T) {
	b := NewBatch(func([]Record) {})
	r := b.Next()
	r.Set(SrcAddr)
	r.Bytes = 7
	b.Flush()
	if got := b.Next(); got.Has != 0 || got.Bytes != 0 {
		t.Errorf("a reused record still holds %v, %d bytes", got.Has, got.Bytes)
	}
}

func TestBatchDrop(t *testing.T) {
	var got []uint32
	b := NewBatch(func(records []Record) {
		for i := range records {
			got = append(got, records[i].Domain)
		}
	})
	b.Next().Domain = 1
	b.Next().Domain = 2
	b.Drop()
	b.Next().Domain = 3
	b.Flush()
	if want := []uint32{1, 3}; !slices.Equal(got, want) {
		t.Errorf("handed on %v, want %v", got, want)
	}
}

// Memory of one record must not overlap that of another, nor move under it when the batch's memory grows.
func TestBatchMemoryIsStable(t *testing.T) {
	b := NewBatch(func([]Record) {})
	var lists [][]uint32
	for i := range uint32(batchRecords) {
		r := b.Next()
		r.ASPath = append(b.Numbers(3), i, i+1, i+2)
		r.Communities = append(b.Numbers(2), 100+i, 200+i)
		lists = append(lists, r.ASPath, r.Communities)
		r.SRv6Segments = append(b.Addrs(1), Addr{15: byte(i)})
	}
	for i := range uint32(batchRecords) {
		if got, want := lists[2*i], []uint32{i, i + 1, i + 2}; !slices.Equal(got, want) {
			t.Errorf("path of record %d is %v, want %v", i, got, want)
		}
		if got, want := lists[2*i+1], []uint32{100 + i, 200 + i}; !slices.Equal(got, want) {
			t.Errorf("communities of record %d are %v, want %v", i, got, want)
		}
		if got := b.records[i].SRv6Segments[0][15]; got != byte(i) {
			t.Errorf("segment of record %d ends in %d", i, got)
		}
	}
}

func TestBatchAllocatesNothing(t *testing.T) {
	b := NewBatch(func([]Record) {})
	use := func() {
		for range 100 {
			r := b.Next()
			r.ASPath = append(b.Numbers(8), 1, 2, 3)
			r.SRv6Segments = append(b.Addrs(2), Addr{})
		}
		b.Flush()
	}
	use()
	if n := testing.AllocsPerRun(100, use); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}
