package clickhouse

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// errNotRead is the error for data on disk that cannot be read.
var errNotRead = errors.New("the data of the insert cannot be read from disk")

// body is what an attempt sends. net/http may still read a request's body after it has returned the response. After
// Close, body never touches the data again, so that the buffer can be reused.
type body struct {
	mu     sync.Mutex
	rest   io.ReadCloser // nil after Close
	read   bool          // some of it was read
	failed error         // why it could not be read to its end
}

func newBody(data io.ReadCloser) *body { return &body{rest: data} }

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rest == nil {
		return 0, io.ErrClosedPipe
	}
	n, err := b.rest.Read(p)
	b.read = b.read || n > 0
	if err != nil && err != io.EOF {
		b.failed = fmt.Errorf("%w: %w", errNotRead, err)
	}
	return n, err
}

// failure returns why the data could not be read.
func (b *body) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
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
	if b.rest == nil {
		return nil
	}
	rest := b.rest
	b.rest = nil
	return rest.Close()
}
