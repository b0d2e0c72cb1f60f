// Package bugreport collects what somebody needs who looks into a problem, in one archive without secrets.
package bugreport

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// A Part is one file of the archive.
type Part struct {
	Name string
	Get  func() ([]byte, error) // an error is in the file instead
}

// maxPart bounds a file; of a longer one the end is kept, where the latest lines of a log are.
const maxPart = 16 << 20

// hidden stands for a secret.
const hidden = "(hidden)"

// Write writes the archive. Each of the secrets is replaced wherever it stands, and so is what looks like one. It
// returns the names of the files.
func Write(out io.Writer, now time.Time, secrets []string, parts []Part) (names []string, err error) {
	zipped := gzip.NewWriter(out)
	archive := tar.NewWriter(zipped)
	dir := "flow-collector-" + now.UTC().Format("20060102-150405")
	for _, p := range parts {
		text, err := p.Get()
		if err != nil {
			text = append(text, fmt.Sprintf("\nnot available: %v\n", err)...)
		}
		if len(text) > maxPart {
			text = text[len(text)-maxPart:]
		}
		text = redact(text, secrets)
		header := tar.Header{Name: dir + "/" + p.Name, Mode: 0o600, Size: int64(len(text)), ModTime: now.UTC()}
		if err := archive.WriteHeader(&header); err != nil {
			return names, err
		}
		if _, err := archive.Write(text); err != nil {
			return names, err
		}
		names = append(names, p.Name)
	}
	return names, errors.Join(archive.Close(), zipped.Close())
}

var (
	// looksSecret are values after names of secrets, as configurations, environments, SQL and URLs have them.
	looksSecret = regexp.MustCompile(
		`(?i)((?:password|passwd|secret|token|license_key|api_?key|authorization)["']?\s*[=: ` +
			`]\s*)("[^"\n]*"|'[^'\n]*'|[^\s,;})&"']+)`)
	inURL = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s?#@]+@`)
)

func redact(text []byte, secrets []string) []byte {
	for _, secret := range secrets {
		if len(secret) >= 3 { // a shorter one would blot out everything
			text = bytes.ReplaceAll(text, []byte(secret), []byte(hidden))
		}
	}
	text = inURL.ReplaceAll(text, []byte("${1}"+hidden+"@"))
	return looksSecret.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := looksSecret.FindSubmatch(match)
		if value := strings.Trim(string(parts[2]), `"'`); value == "" || value == hidden || isWord(value) {
			return match
		}
		return append(bytes.Clone(parts[1]), hidden...)
	})
}

// isWord are values that say something of a secret and are none.
func isWord(value string) bool {
	switch strings.ToLower(value) {
	case "true", "false", "null", "none", "default", "is", "of", "for", "the", "file", "[hidden]":
		return true
	}
	return false
}
