package routing

import "net"

// input is what a connection has sent and nobody has taken yet. It belongs to one goroutine.
type input struct {
	conn       net.Conn
	buffer     []byte // grows to the longest message
	start, end int    // of what is there
	room       int    // what is there moves to the front where less than this is left behind start
}

// bytes returns what is there. It is valid until the next fill.
func (in *input) bytes() []byte { return in.buffer[in.start:in.end] }

// take returns the first n bytes, which must be there. They are valid until the next fill.
func (in *input) take(n int) []byte {
	in.start += n
	return in.buffer[in.start-n : in.start]
}

// fill reads until n bytes are there.
func (in *input) fill(n int) error {
	if in.end-in.start >= n {
		return nil
	}
	if len(in.buffer)-in.start < max(n, in.room) {
		to := in.buffer
		if len(to) < n {
			to = make([]byte, max(2*len(to), n))
		}
		in.end = copy(to, in.bytes())
		in.buffer, in.start = to, 0
	}
	for in.end-in.start < n {
		got, err := in.conn.Read(in.buffer[in.end:])
		in.end += got
		if err != nil && in.end-in.start < n {
			return err
		}
	}
	return nil
}
