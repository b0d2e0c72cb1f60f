package capture

import (
	"errors"
	"io"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// ReadAll calls use for every datagram of some captures. If a capture ends early, the others are still read.
func ReadAll(paths []string, use func(exporter.Datagram)) (Skipped, error) {
	var skipped Skipped
	var failures []error
	for _, path := range paths {
		r, err := Open(path)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		for {
			dg, err := r.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					failures = append(failures, err)
				}
				break
			}
			use(dg)
		}
		s := r.Skipped()
		skipped.NotUDP += s.NotUDP
		skipped.Fragments += s.Fragments
		skipped.Cut += s.Cut
		failures = append(failures, r.Close())
	}
	return skipped, errors.Join(failures...)
}
