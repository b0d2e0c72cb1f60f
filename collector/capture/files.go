package capture

import (
	"errors"
	"io"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// ReadAll calls use for every datagram of some captures. If a capture ends early, the others are still read.
func ReadAll(paths []string, use func(exporter.Datagram)) (Skipped, error) {
	return ReadStreams(paths, use, nil)
}

// ReadStreams calls datagram for every UDP datagram and segment for the bytes of every TCP stream of some captures, in
// the captures' order. segment reports whether it reads that stream; packets with data of other streams are counted as
// not UDP. If a capture ends early, the others are still read.
func ReadStreams(paths []string, datagram func(exporter.Datagram), segment func(Segment) bool) (Skipped, error) {
	var skipped Skipped
	var failures []error
	for _, path := range paths {
		r, err := Open(path)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		r.segments = segment
		for {
			dg, err := r.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					failures = append(failures, err)
				}
				break
			}
			datagram(dg)
		}
		s := r.Skipped()
		skipped.NotUDP += s.NotUDP
		skipped.Fragments += s.Fragments
		skipped.Cut += s.Cut
		failures = append(failures, r.Close())
	}
	return skipped, errors.Join(failures...)
}
