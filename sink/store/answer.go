package store

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/compress"
)

// answer writes one HTTP response: compressed as the client asked, and with an exception where ClickHouse puts it.
type answer struct {
	s       *server
	w       http.ResponseWriter
	r       *http.Request
	q       *request // nil while the request is not understood
	begun   bool     // the status is sent
	reframe bool     // Native blocks go out in the client's revision
	tag     string

	out    io.Writer      // behind w: HTTP compression, then ClickHouse's blocks
	closer io.WriteCloser // the HTTP compression, nil without
	blocks *compress.Writer
	frame  []byte
}

// begin sends status 200 and the headers. format is "" for an answer without a result.
func (a *answer) begin(contentType, format string) {
	h := a.w.Header()
	h.Set("Content-Type", contentType)
	if format != "" {
		setHeader(h, "X-ClickHouse-Format", format)
		a.tag = exceptionTag()
		setHeader(h, "X-ClickHouse-Exception-Tag", a.tag)
		if a.q.compressResult {
			a.blocks = compress.NewWriter(compress.LevelZero, a.blockMethod())
		}
		a.compressHTTP()
	} else {
		a.out = a.w
	}
	a.begun = true
}

// blockMethod is network_compression_method of the request, LZ4 without.
func (a *answer) blockMethod() compress.Method {
	for _, s := range a.q.settings {
		if s.name == "network_compression_method" && strings.EqualFold(s.value, "ZSTD") {
			return compress.ZSTD
		}
	}
	return compress.LZ4
}

// compressHTTP compresses the answer as the client accepts it.
func (a *answer) compressHTTP() {
	a.out = a.w
	if a.q != nil && !a.q.httpCompress {
		return
	}
	e, ok := acceptedEncoding(a.r.Header.Get("Accept-Encoding"))
	if !ok {
		return
	}
	a.w.Header().Set("Content-Encoding", e.name) // before the writer, which may send something
	closer, err := e.write(a.w)
	if err != nil {
		a.w.Header().Del("Content-Encoding")
		return // sent as it is
	}
	a.closer, a.out = closer, closer
}

// layout is a piece of the result as the client wants it laid out. It is valid until the next call.
func (a *answer) layout(b []byte) ([]byte, error) {
	if !a.reframe {
		return b, nil
	}
	var err error
	if a.frame, err = reframe(a.frame[:0], b, a.q.revision); err != nil {
		return nil, newException(codeNotImplemented, "NOT_IMPLEMENTED", "%v", err)
	}
	return a.frame, nil
}

const (
	clientPatience = 5 * time.Minute // for a client that does not take a piece of its answer
	insertPatience = time.Minute     // for 256 KiB of an insert's data
)

const (
	headPatience = 30 * time.Second // for a request up to its data, from the time that its head is there
	restPatience = time.Second      // for what is left of a request that is answered
)

// expectNoMore ends headPatience: from now on only the end of the connection is waited for.
func (a *answer) expectNoMore() {
	http.NewResponseController(a.w).SetReadDeadline(time.Time{})
}

// expectRead gives the client time to send more of its request.
func (a *answer) expectRead() {
	http.NewResponseController(a.w).SetReadDeadline(time.Now().Add(insertPatience))
}

// maxCompressedPiece bounds one of ClickHouse's compressed blocks, in bytes before compression.
const maxCompressedPiece = 1 << 20

// write sends a piece of the result.
func (a *answer) write(b []byte) error {
	// A client that stops reading must not keep its place for ever.
	http.NewResponseController(a.w).SetWriteDeadline(time.Now().Add(clientPatience))
	if a.blocks == nil {
		_, err := a.out.Write(b)
		return err
	}
	for len(b) > 0 {
		piece := b[:min(len(b), maxCompressedPiece)]
		b = b[len(piece):]
		if err := a.blocks.Compress(piece); err != nil {
			return err
		}
		if _, err := a.out.Write(a.blocks.Data); err != nil {
			return err
		}
	}
	return nil
}

func (a *answer) close() {
	if a.closer != nil {
		a.closer.Close()
	}
}

// fail answers with an exception: as the whole response, or, when a part of the result has been sent, as the marked end
// of a response that then breaks off, so that nobody takes it for complete.
func (a *answer) fail(err error) {
	e := asException(err)
	text := fmt.Sprintf("%s (version %s)", e.message, a.s.version)
	if !a.begun {
		h := a.w.Header()
		delete(h, "X-ClickHouse-Summary")
		setHeader(h, "X-ClickHouse-Exception-Code", strconv.Itoa(e.code))
		h.Set("Content-Type", "text/plain; charset=UTF-8")
		a.w.WriteHeader(e.status())
		io.WriteString(a.w, text+"\n")
		return
	}
	text += "\n"
	a.write(fmt.Appendf(nil, "\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n", a.tag, text, len(text), a.tag))
	a.close()
	if f, ok := a.w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

// summary is X-ClickHouse-Summary: numbers as text, as ClickHouse writes them.
func (a *answer) summary(n counts) {
	text := func(v uint64) string { return strconv.FormatUint(v, 10) }
	b, err := json.Marshal(struct {
		ReadRows    string `json:"read_rows"`
		ReadBytes   string `json:"read_bytes"`
		WrittenRows string `json:"written_rows"`
		WrittenByte string `json:"written_bytes"`
		Total       string `json:"total_rows_to_read"`
		ResultRows  string `json:"result_rows"`
		ResultBytes string `json:"result_bytes"`
		Elapsed     string `json:"elapsed_ns"`
	}{text(n.readRows), text(n.readBytes), text(n.writtenRows), text(n.writtenBytes), "0", text(n.resultRows),
		text(n.resultBytes), text(uint64(n.elapsed * 1e9))})
	if err == nil {
		setHeader(a.w.Header(), "X-ClickHouse-Summary", string(b))
		if a.q != nil && a.q.progress { // the engine reports none before the first block; a client gets one line of it
			setHeader(a.w.Header(), "X-ClickHouse-Progress", string(b))
		}
	}
}

// exceptionTag marks an exception in the middle of a result, so that no data can be taken for one.
func exceptionTag() string { return strings.ToLower(rand.Text()[:16]) }
