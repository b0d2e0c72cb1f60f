package routing

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
)

// probedRecords is how many records of an MRT file are read to find out whether it has routes.
const probedRecords = 100

// ProbeMRT reads the first records of an MRT file as a collector would. It returns an error if the file cannot be read,
// is not MRT, or ends without a record of MRT.
func ProbeMRT(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	plain, done, err := decompressed(bufio.NewReader(in))
	if err != nil {
		return err
	}
	defer done()
	r := mrt.NewReader(bufio.NewReader(plain), route.NewHasher())
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
