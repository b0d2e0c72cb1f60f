package store

import (
	"io"
	"sync/atomic"
)

// maxHeld bounds, in bytes, what all requests together hold in memory of what clients sent: SQL, external tables, and
// the beginning of an insert's data. It is for a client that asks for a large max_query_size, or for many at once.
const maxHeld = 256 << 20

// heldBytes is what the requests hold now. It is safe for concurrent use.
type heldBytes struct{ n atomic.Int64 }

// held returns a reader whose bytes count as held until q.release, and which fails where all requests hold too much.
func (q *request) held(r io.Reader) io.Reader { return &heldReader{q, r} }

type heldReader struct {
	q *request
	r io.Reader
}

func (h *heldReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.q.heldBytes += int64(n)
	if h.q.total.n.Add(int64(n)) > maxHeld {
		return 0, newException(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
			"Requests hold %d MiB of statements and tables: no more are taken now", maxHeld>>20)
	}
	return n, err
}

// release gives back what the request holds.
func (q *request) release() {
	q.total.n.Add(-q.heldBytes)
	q.heldBytes = 0
}
