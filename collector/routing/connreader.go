package routing

import "net"

// connReader reads a connection through a buffer that lends out its bytes without copying them. It is not safe for
// concurrent use.
type connReader struct {
	conn       net.Conn
	buffer     []byte // grows to the longest message
	start, end int    // buffer[start:end] is read and not taken yet
	room       int    // unread bytes move to the front when less than this is left from start to the buffer's end
}

// bytes returns what is read and not taken yet. It is valid until the next fill.
func (in *connReader) bytes() []byte { return in.buffer[in.start:in.end] }

// take returns the next n bytes, which must have been read. They are valid until the next fill.
func (in *connReader) take(n int) []byte {
	in.start += n
	return in.buffer[in.start-n : in.start]
}

// resize gives the buffer another size, but at least that of its contents, and sets room.
func (in *connReader) resize(size, room int) {
	buffer := make([]byte, max(size, in.end-in.start))
	in.start, in.end = 0, copy(buffer, in.bytes())
	in.buffer, in.room = buffer, room
}

// fill reads until at least n bytes can be taken.
func (in *connReader) fill(n int) error {
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
