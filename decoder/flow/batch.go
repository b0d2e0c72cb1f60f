package flow

import "sync"

// batchRecords is how many records are handed on together: enough to amortize the call, few enough to stay in the
// first-level cache during the following stages.
const batchRecords = 32

// Batch collects the records of one datagram in memory that it reuses, and hands them on when it is full or flushed.
// The slices in a record (ASPath, Communities, SRv6Segments) are the batch's memory and valid as long as it is. A Batch
// belongs to one goroutine.
type Batch struct {
	_ [0]sync.Mutex // go vet reports copies

	emit    func([]Record)
	n       int
	numbers []uint32
	addrs   []Addr
	records [batchRecords]Record
}

// NewBatch returns a batch that hands its records to emit. The slice is valid during the call only.
func NewBatch(emit func([]Record)) *Batch {
	return &Batch{emit: emit}
}

// Next appends an empty record and returns it. A full batch is flushed first.
func (b *Batch) Next() *Record {
	if b.n == batchRecords {
		b.Flush()
	}
	r := &b.records[b.n]
	b.n++
	*r = Record{}
	return r
}

// Drop discards the record of the last Next.
func (b *Batch) Drop() { b.n-- }

// Numbers returns memory for up to n numbers of the last record, of length 0.
func (b *Batch) Numbers(n int) []uint32 {
	b.numbers, n = grow(b.numbers, n)
	return b.numbers[n:n:len(b.numbers)]
}

// Addrs returns memory for up to n addresses of the last record, of length 0.
func (b *Batch) Addrs(n int) []Addr {
	b.addrs, n = grow(b.addrs, n)
	return b.addrs[n:n:len(b.addrs)]
}

// Flush hands on the records that are left.
func (b *Batch) Flush() {
	if b.n > 0 {
		b.emit(b.records[:b.n])
	}
	b.n = 0
	b.numbers = b.numbers[:0]
	b.addrs = b.addrs[:0]
}

// grow makes s longer by n and returns it with its former length. Slices of the old s stay valid when it moves.
func grow[T any](s []T, n int) ([]T, int) {
	was := len(s)
	if was+n > cap(s) {
		s = append(make([]T, 0, 2*(was+n)), s...)
	}
	return s[:was+n], was
}
