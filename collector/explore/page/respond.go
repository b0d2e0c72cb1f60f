package page

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/collector/explore"
)

// smallest is the minimum size of an answer that is compressed, in bytes.
const smallest = 1000

// respond writes an answer, compressed with gzip if the client accepts that.
func respond(w http.ResponseWriter, r *http.Request, status int, text []byte) {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	if len(text) < smallest || !takesGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(text)
		}
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	out := gzip.NewWriter(w)
	_, _ = out.Write(text)
	_ = out.Close() // fails only if the client is gone
}

// takesGzip reports whether an Accept-Encoding header names gzip, and does not refuse it (RFC 9110, section 12.5.3).
func takesGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return err != nil || q > 0
		}
	}
	return false
}

// retryAfter is the Retry-After header, in seconds, if the store is busy or does not answer.
const retryAfter = "5"

// fail answers with the error of a question, as text.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client is gone
	}
	status := explore.Status(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, explore.Reason(err), status)
}
