package store

import (
	"bytes"
	"io"
)

// RefuseForeignFiles looks for files in a data directory that are not the user's.
var RefuseForeignFiles = refuseForeignFiles

// EncodingNames are the Content-Encodings of requests and answers.
func EncodingNames() []string {
	var names []string
	for _, e := range encodings {
		names = append(names, e.name)
	}
	return names
}

// Encode compresses as an answer is compressed.
func Encode(name string, data []byte) ([]byte, error) {
	for _, e := range encodings {
		if e.name == name {
			var b bytes.Buffer
			w, err := e.write(&b)
			if err != nil {
				return nil, err
			}
			if _, err := w.Write(data); err != nil {
				return nil, err
			}
			err = w.Close()
			return b.Bytes(), err
		}
	}
	return nil, io.EOF
}

// Decode decompresses as a request is decompressed.
func Decode(name string, data []byte) ([]byte, error) {
	r, err := decodeBody(bytes.NewReader(data), name)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
