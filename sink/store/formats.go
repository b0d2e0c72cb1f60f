package store

import (
	"bytes"
	"strings"
)

// format is what the store knows of an output format.
type format struct {
	contentType string
	// pieces says that the results of two blocks, put behind each other without the second one's header lines, are the
	// result of both: such a result is sent block by block. Other formats have footers or separators and come as a
	// whole.
	pieces bool
	header int // lines of header: names, types
}

// headerLength is the length of the header lines of a piece; a line end within quotes does not count.
func (f format) headerLength(piece []byte) int {
	n := 0
	for range f.header {
		quoted := false
		end := bytes.IndexFunc(piece[n:], func(r rune) bool {
			quoted = quoted != (r == '"' && f.contentType != tsv)
			return r == '\n' && !quoted
		})
		if end < 0 {
			return len(piece)
		}
		n += end + 1
	}
	return n
}

const (
	octets = "application/octet-stream"
	tsv    = "text/tab-separated-values; charset=UTF-8"
	ndjson = "application/x-ndjson; charset=UTF-8"
	js     = "application/json; charset=UTF-8"
	plain  = "text/plain; charset=UTF-8"
)

// formats by their names in lower case, with ClickHouse's content types. What is not here is plain text, as a whole.
var formats = map[string]format{
	"native":                     {octets, true, 0},
	"rowbinary":                  {octets, true, 0},
	"rowbinarywithnames":         {octets, false, 0},
	"rowbinarywithnamesandtypes": {octets, false, 0},
	"tabseparated":               {tsv, true, 0},
	"tsv":                        {tsv, true, 0},
	"tabseparatedraw":            {tsv, true, 0},
	"tsvraw":                     {tsv, true, 0},
	"tabseparatedwithnames":      {tsv, true, 1},
	"tsvwithnames":               {tsv, true, 1},
	"csv":                        {"text/csv; charset=UTF-8; header=absent", true, 0},
	"csvwithnames":               {"text/csv; charset=UTF-8; header=present", true, 1},
	"csvwithnamesandtypes":       {"text/csv; charset=UTF-8; header=present", true, 2},
	"tskv":                       {plain, true, 0},
	"jsoneachrow":                {ndjson, true, 0},
	"jsonlines":                  {ndjson, true, 0},
	"ndjson":                     {ndjson, true, 0},
	"jsonstringseachrow":         {ndjson, true, 0},
	"jsoncompacteachrow":         {ndjson, true, 0},
	"json":                       {js, false, 0},
	"jsoncompact":                {js, false, 0},
	"jsonstrings":                {js, false, 0},
	"jsoncolumns":                {js, false, 0},
	"jsoncolumnswithmetadata":    {js, false, 0},
	"xml":                        {"application/xml; charset=UTF-8", false, 0},
	"markdown":                   {"text/markdown; charset=UTF-8", false, 0},
	"parquet":                    {octets, false, 0},
	"arrow":                      {octets, false, 0},
	"arrowstream":                {octets, false, 0},
	"orc":                        {octets, false, 0},
}

func formatOf(name string) format {
	if f, ok := formats[strings.ToLower(name)]; ok {
		return f
	}
	return format{contentType: plain}
}
