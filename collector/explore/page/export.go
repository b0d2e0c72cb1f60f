package page

import (
	"bytes"
	"io"
	"net/http"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/export"
)

// format is a file format for answers.
type format struct {
	contentType string
	write       func(io.Writer, *explore.Answer) error
}

// formats has the file formats, by the suffix of their addresses.
var formats = map[string]format{
	"csv":  {"text/csv; charset=utf-8", export.CSV},
	"json": {"application/json", export.JSON},
	"sql":  {"text/plain; charset=utf-8", export.SQL},
	"svg":  {"image/svg+xml", writeSVG},
}

// export answers with a question's answer in one format.
func (p *Pages) export(name string, f format) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := p.parse(r.URL.Query())
		var a *explore.Answer
		if err == nil {
			a, err = p.ask(r.Context(), q, (name == "json" || name == "sql") && q.View != explore.Lost)
		}
		if err != nil {
			fail(w, r, err)
			return
		}
		var out bytes.Buffer
		if err := f.write(&out, a); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", f.contentType)
		w.Header().Set("Content-Disposition", "inline; filename=\"explore."+name+"\"")
		respond(w, r, http.StatusOK, out.Bytes())
	}
}
