package caida

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/metranova/flow-collector/metadata/download"
)

// BaseURL is where CAIDA publishes its data sets.
const BaseURL = "https://publicdata.caida.org/datasets"

// How far back to search for the newest file: as-org2info is published about every three months, the PeeringDB dump
// daily.
const (
	monthsBack = 12
	daysBack   = 31
)

// Templates of the addresses below BaseURL. {date}, {year}, {month} and {day} are replaced by a file's date.
const (
	AS2OrgTemplate    = "/as-organizations/{date}.as-org2info.jsonl.gz"
	PeeringDBTemplate = "/peeringdb/{year}/{month}/peeringdb_2_dump_{year}_{month}_{day}.json"
)

// Limits of downloads in bytes. The files of 2024 have 5 and 110 MB.
const (
	maxAS2Org    = 64 << 20
	maxPeeringDB = 512 << 20
)

// FetchAS2Org downloads the newest as-org2info file to path: that of the current month (now), else of an earlier one.
// template is the whole address, such as BaseURL+AS2OrgTemplate. An address without a date is tried once.
func FetchAS2Org(ctx context.Context, c *download.Client, template, path string,
	now time.Time) (changed bool, err error) {
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	return newest(tries(template, monthsBack+1), func(back int) (bool, error) {
		return c.With(maxAS2Org, 3).File(ctx, dated(template, first.AddDate(0, -back, 0)), path, download.Auth{},
			checkAS2Org)
	})
}

// FetchPeeringDB downloads the newest PeeringDB dump to path: that of the current day (now), else of an earlier one.
// template is the whole address, such as BaseURL+PeeringDBTemplate. An address without a date is tried once.
func FetchPeeringDB(ctx context.Context, c *download.Client, template, path string,
	now time.Time) (changed bool, err error) {
	return newest(tries(template, daysBack+1), func(back int) (bool, error) {
		return c.With(maxPeeringDB, 3).File(ctx, dated(template, now.UTC().AddDate(0, 0, -back)), path, download.Auth{},
			checkPeeringDB)
	})
}

func dated(template string, t time.Time) string {
	return strings.NewReplacer("{date}", t.Format("20060102"), "{year}", t.Format("2006"), "{month}", t.Format("01"),
		"{day}", t.Format("02")).Replace(template)
}

// tries returns how many dates to try.
func tries(template string, most int) int {
	if dated(template, time.Time{}) == template {
		return 1
	}
	return most
}

// newest tries one file after the other until one exists. Any error but "not found" ends the search.
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
	if tries == 1 {
		return false, first
	}
	return false, fmt.Errorf("%w, and neither are the %d before it", first, tries-1)
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
