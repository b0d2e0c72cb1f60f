package quarantine

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzReadFile reads anything as the files of a quarantine. What is read of a block is within the file of blocks.
func FuzzReadFile(f *testing.F) {
	const records = `{"version":1,"query":"INSERT INTO t (a)","token":"a","rows":1,"offset":0,"bytes":5}
{"query":"INSERT INTO t (a)","token":"b","rows":2,"offset":5,"bytes":9223372036854775807,"crc32c":7}
`
	const progress = `{"version":1,"offset":0,"state":"sent","time":"2026-03-05T12:00:00Z"}
{"version":1,"offset":0,"state":"done"}
`
	f.Add([]byte(records), []byte(progress), []byte("block"))
	f.Add([]byte(records[:100]), []byte(progress[:100]), []byte("blocks"))
	f.Add([]byte(`{"offset":-1}`+"\n"), []byte(nil), []byte(nil))
	f.Add([]byte(`{"version":9}`+"\n"), []byte(`{"version":9}`+"\n"), []byte(nil))
	f.Fuzz(func(t *testing.T, records, progress, blocks []byte) {
		name := filepath.Join(t.TempDir(), "x")
		for extension, data := range map[string][]byte{recordsExtension: records, progressExtension: progress,
			blocksExtension: blocks} {
			if err := os.WriteFile(name+extension, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file, err := ReadFile(name)
		for i := range file.Records {
			data, err := file.Data(&file.Records[i])
			if err == nil && (len(data) > len(blocks) || int64(len(data)) != file.Records[i].Bytes) {
				t.Errorf("%d bytes of %d for %+v", len(data), len(blocks), file.Records[i])
			}
		}
		if err != nil {
			return
		}
		if i, err := file.Begin(); err == nil {
			_ = i.Close()
		}
	})
}
