package clickhouse

import (
	"io"
	"sync"

	"github.com/metranova/flow-collector/sink/native"
)

// body is what an attempt sends. net/http may still read a request's body after it has returned the response. After
// Close, body never touches the data again, so that the buffer can be reused.
type body struct {
	mu   sync.Mutex
	rest io.Reader
	shut bool
	read bool // some of it was read
}

func newBody(ins *Insert) *body {
	var sources []io.Reader
	ins.blocks(func(block native.Packed) {
		source := native.NewSource(block)
		sources = append(sources, &source)
	})
	return &body{rest: io.MultiReader(sources...)}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shut {
		return 0, io.ErrClosedPipe
	}
	n, err := b.rest.Read(p)
	b.read = b.read || n > 0
	return n, err
}

// wasRead reports whether anything of the data was sent, or was about to be.
func (b *body) wasRead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read
}

// Close releases the data.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest, b.shut = nil, true
	return nil
}
