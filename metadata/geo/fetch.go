package geo

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/metranova/flow-collector/metadata/download"
)

// BaseURL is MaxMind's download address for customers.
const BaseURL = "https://download.maxmind.com/geoip/databases"

// maxZip limits the bytes of a zip. Those of 2024 have 5 and 50 MB.
const maxZip = 512 << 20

const (
	asnEdition  = "GeoLite2-ASN-CSV"
	cityEdition = "GeoLite2-City-CSV"
)

// FetchGeoLite2 downloads GeoLite2's ASN and City databases, as zipped CSV, into a directory and returns their paths.
// MaxMind needs an account number and a licence key, and allows some 30 downloads a day: each file is requested once,
// without retries.
func FetchGeoLite2(ctx context.Context, c *download.Client, base, dir string,
	account download.Auth) (f Files, changed bool, err error) {
	for _, edition := range []string{asnEdition, cityEdition} {
		path := filepath.Join(dir, edition+".zip")
		address := fmt.Sprintf("%s/%s/download?suffix=zip", base, edition)
		fresh, err := c.With(maxZip, -1).File(ctx, address, path, account, checkZip)
		if err != nil {
			return Files{}, changed, err
		}
		changed = changed || fresh
	}
	return GeoLite2Files(dir), changed, nil
}

// GeoLite2Files returns the files that FetchGeoLite2 downloads into a directory.
func GeoLite2Files(dir string) Files {
	return Files{
		ASN:    []string{filepath.Join(dir, asnEdition+".zip")},
		Blocks: []string{filepath.Join(dir, cityEdition+".zip")},
	}
}

func checkZip(path string) error {
	z, err := openZip(path)
	if err != nil {
		return err
	}
	return z.Close()
}
