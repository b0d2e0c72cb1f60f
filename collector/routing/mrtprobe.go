package routing

import (
	"errors"
	"fmt"
	"io"

	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
)

// probedRecords is how many records of an MRT file are read to find out whether it has routes.
const probedRecords = 100

// ProbeMRT reads the first records of an MRT file as a collector would. It returns an error if the file cannot be read,
// is not MRT, or if none of these records has routes or peers.
func ProbeMRT(path string) error {
	r, done, err := openMRT(path, route.NewHasher())
	if err != nil {
		return err
	}
	defer done()
	for range probedRecords {
		if err = r.Next(func(*mrt.Peer) *route.Batch { return nil }); err != nil {
			break
		}
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case r.Records == r.Skipped+r.Bad:
		return fmt.Errorf("%w: none of the first %d records is of MRT with routes", mrt.ErrFormat, r.Records)
	}
	return nil
}
