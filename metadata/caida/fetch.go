package caida

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/metranova/flow-collector/metadata/download"
)

// BaseURL is where CAIDA publishes its data sets.
const BaseURL = "https://publicdata.caida.org/datasets"

// How far back the search for the newest file goes: as-org2info comes about once in three months, the PeeringDB dump daily.
const (
	monthsBack = 12
	daysBack   = 31
)

// FetchAS2Org brings the newest as-org2info file to path: that of the month of now, or of the months before it.
func FetchAS2Org(ctx context.Context, c *download.Client, base, path string, now time.Time) (changed bool, err error) {
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	return newest(monthsBack+1, func(back int) (bool, error) {
		month := first.AddDate(0, -back, 0)
		address := fmt.Sprintf("%s/as-organizations/%s.as-org2info.jsonl.gz", base, month.Format("20060102"))
		return c.File(ctx, address, path, download.Auth{}, checkAS2Org)
	})
}

// FetchPeeringDB brings the newest PeeringDB dump to path: that of the day of now, or of the days before it.
func FetchPeeringDB(ctx context.Context, c *download.Client, base, path string, now time.Time) (changed bool, err error) {
	return newest(daysBack+1, func(back int) (bool, error) {
		day := now.UTC().AddDate(0, 0, -back)
		address := fmt.Sprintf("%s/peeringdb/%s/peeringdb_2_dump_%s.json", base, day.Format("2006/01"), day.Format("2006_01_02"))
		return c.File(ctx, address, path, download.Auth{}, checkPeeringDB)
	})
}

// newest tries one file after the other until one is there. Anything but "not found" ends the search.
func newest(tries int, fetch func(back int) (bool, error)) (bool, error) {
	var first error
	for back := range tries {
		changed, err := fetch(back)
		if !errors.Is(err, download.ErrNotFound) {
			return changed, err
		}
		if first == nil {
			first = err
		}
	}
	return false, fmt.Errorf("%w, nor is any of the %d before it there", first, tries-1)
}

func checkAS2Org(path string) error {
	m := newMerged()
	if err := m.readAS2Org(path); err != nil {
		return err
	}
	if len(m.as) == 0 || len(m.orgs) == 0 {
		return errors.New("no AS or no organization in it")
	}
	return nil
}

func checkPeeringDB(path string) error {
	return newMerged().readPeeringDB(path)
}
