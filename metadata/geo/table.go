package geo

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"path/filepath"
	"strings"

	"github.com/metranova/flow-collector/metadata/bounds"
	"github.com/metranova/flow-collector/metadata/record"
)

// table reads a CSV file row by row.
type table struct {
	name   string
	csv    *csv.Reader
	header map[string]int // by column name; empty: the file has no header
	first  []string       // the row that was read in search of a header
	report func(record.Problem)
	in     *bounds.Reader
	bad    int // wrong rows so far
}

// Limits of the files, some ten times GeoLite2's size in 2024.
const (
	maxUnpacked  = 4 << 30    // bytes of a file's tables
	maxRow       = 64 << 10   // bytes of a row
	maxBad       = 100_000    // wrong rows before the file is rejected
	maxASN       = 8_000_000  // ASN blocks
	maxBlocks    = 50_000_000 // blocks of a file
	maxPlaces    = 2_000_000  // locations
	maxPlaceText = 256 << 20  // bytes of their texts
	maxText      = 4096       // bytes of a text in a database
)

// eachTable calls use for the CSV file at path, which may be compressed with gzip, or for those files in a zip whose
// names contain part.
func eachTable(file, part string, report func(record.Problem), use func(*table) error) error {
	if isZip(file) {
		return eachMember(file, part, tableLimits, report, use)
	}
	r, err := bounds.Open(file, tableLimits)
	if err != nil {
		return err
	}
	defer r.Close()
	return useTable(file, r, report, use)
}

var tableLimits = bounds.Limits{Total: maxUnpacked, Entry: maxRow}

func isZip(file string) bool { return strings.EqualFold(filepath.Ext(file), ".zip") }

// eachMember calls use for files of a zip. GeoLite2's zip has locations in several languages; the English ones are
// used.
// limits are those of all members together.
func eachMember(file, part string, limits bounds.Limits, report func(record.Problem), use func(*table) error) error {
	z, err := openZip(file)
	if err != nil {
		return err
	}
	defer z.Close()
	found := false
	for _, member := range z.File {
		name := path.Base(member.Name)
		if !strings.Contains(name, part) || !strings.HasSuffix(name, ".csv") {
			continue
		}
		found = true
		r, err := member.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		in, err := bounds.New(r, limits)
		if err == nil {
			err = useTable(file+"/"+name, in, report, use)
			limits.Total -= in.Total()
		}
		r.Close()
		if err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("no *%s*.csv in the zip", part)
	}
	return nil
}

func useTable(name string, r *bounds.Reader, report func(record.Problem), use func(*table) error) error {
	t := &table{name: name, csv: csv.NewReader(r), header: map[string]int{}, report: report, in: r}
	t.csv.ReuseRecord = true
	t.csv.FieldsPerRecord = -1 // the width is checked for each row
	first, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: empty", name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.Next()
	if _, err := netip.ParseAddr(first[0]); err == nil {
		t.first = append(t.first, first...)
	} else {
		for i, column := range first {
			t.header[strings.TrimSpace(column)] = i
		}
	}
	if err := use(t); err != nil {
		return inFile(name, err)
	}
	return nil
}

func (t *table) hasHeader() bool { return len(t.header) > 0 }

// columns returns the positions of columns by name: their order in the file does not matter.
func (t *table) columns(names ...string) ([]int, error) {
	at := make([]int, len(names))
	for i, name := range names {
		n, ok := t.header[name]
		if !ok {
			return nil, fmt.Errorf("no column %s in the header", name)
		}
		at[i] = n
	}
	return at, nil
}

// each calls row with every row of at least width cells. Shorter rows, and those that row rejects, are reported. An
// error of yield ends it.
func (t *table) each(width int, row func(cells []string) error) error {
	for cells := t.first; ; {
		if cells != nil {
			if t.bad >= maxBad {
				return fmt.Errorf("more than %d rows are wrong", maxBad)
			}
			if len(cells) < width {
				t.problem(fmt.Sprintf("%d cells instead of %d", len(cells), width))
			} else if err := row(cells); err != nil {
				var bad *badRow
				if !errors.As(err, &bad) {
					return err
				}
				t.problem(bad.reason)
			}
		}
		var err error
		var bare *csv.ParseError
		cells, err = t.csv.Read()
		t.in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		// A quote within an unquoted cell costs the line. After any other error the start of the next line is unknown.
		case errors.As(err, &bare) && errors.Is(err, csv.ErrBareQuote):
			t.bad++
			t.report(record.Problem{Place: fmt.Sprintf("%s:%d", t.name, bare.Line), Reason: bare.Err.Error()})
			cells = nil
			if t.bad >= maxBad {
				return fmt.Errorf("more than %d rows are wrong", maxBad)
			}
		case err != nil:
			return err
		}
	}
}

func (t *table) problem(reason string) {
	t.bad++
	line, _ := t.csv.FieldPos(0)
	t.report(record.Problem{Place: fmt.Sprintf("%s:%d", t.name, line), Reason: reason})
}

// badRow is an error in one row.
type badRow struct{ reason string }

func (b *badRow) Error() string { return b.reason }

func bad(format string, args ...any) error { return &badRow{fmt.Sprintf(format, args...)} }

// widest returns how many cells a row needs to have all these columns.
func widest(at []int) int {
	n := 0
	for _, i := range at {
		n = max(n, i+1)
	}
	return n
}
