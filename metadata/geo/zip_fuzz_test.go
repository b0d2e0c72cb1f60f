package geo

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/metranova/flow-collector/metadata/bounds"
	"github.com/metranova/flow-collector/metadata/record"
)

// FuzzZip reads anything as a downloaded zip. No more is read of its members than the limits allow.
func FuzzZip(f *testing.F) {
	member := func(name, text string, method uint16) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil || z.Close() != nil {
			f.Fatal(err)
		}
		return b.Bytes()
	}
	const rows = "network,geoname_id,latitude,longitude\n192.0.2.0/24,1,46.2,6.1\n2001:db8::/32,2,,\n"
	f.Add(member("x/City-Blocks-IPv4.csv", rows, zip.Deflate))
	f.Add(member("City-Blocks-IPv6.csv", rows, zip.Store))
	f.Add(member("../../City-Blocks.csv", "\xef\xbb\xbf"+rows, zip.Deflate))
	f.Add(member("README.txt", rows, zip.Store))
	f.Add(bytes.Replace(member("Blocks.csv", rows, zip.Store), []byte{0, 0, 0, 0, 0, 0}, []byte{0, 0, 99, 0, 0, 0}, 1))
	path := filepath.Join(f.TempDir(), "x.zip")
	limits := bounds.Limits{Total: 1 << 12, Entry: 1 << 10}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		read := 0
		err := eachMember(path, "Blocks", limits, func(record.Problem) {}, func(r *table) error {
			return r.each(1, func(cells []string) error {
				for _, cell := range cells {
					read += len(cell)
				}
				return nil
			})
		})
		if read > 2<<12 {
			t.Errorf("%d bytes of cells: %v", read, err)
		}
		if err == nil && checkZip(path) != nil {
			t.Error("a zip that can be read is not taken")
		}
	})
}
