package native

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AppendJSON appends the rows of encoded blocks as lines of JSON in ClickHouse's format JSONEachRow. Paths of a JSON
// column that are NULL or an empty array are left out. It is meant for people who inspect a block, and takes much
// memory.
func AppendJSON(dst, data []byte) ([]byte, error) {
	p := printer{reader{b: data}}
	var err error
	for err == nil && p.at < len(p.b) {
		dst, err = p.appendBlock(dst)
	}
	return dst, err
}

// printer converts columns to the JSON of their values.
type printer struct{ reader }

// appendBlock appends the rows of the next block.
func (p *printer) appendBlock(dst []byte) ([]byte, error) {
	columns, rows, err := p.header()
	if err != nil {
		return dst, err
	}
	names := make([]string, columns)
	values := make([][]string, columns)
	for i := range columns {
		name, t, err := p.columnHeader()
		if err == nil {
			err = p.prefix(t)
		}
		if err == nil {
			values[i], err = p.values(t, rows)
		}
		if err != nil {
			return dst, fmt.Errorf("column %s: %w", name, err)
		}
		names[i] = quoted(name)
	}
	for row := range rows {
		for i := range columns {
			dst = append(dst, "{,"[min(i, 1)])
			dst = append(append(append(dst, names[i]...), ':'), values[i][row]...)
		}
		dst = append(dst, "}\n"...)
	}
	return dst, nil
}

func quoted[T string | []byte](s T) string {
	text, _ := json.Marshal(string(s)) // strings always have one
	return string(text)
}

func (p *printer) values(t *typ, n int) ([]string, error) {
	switch t.kind {
	case fixed:
		data, err := p.array(n, t.width)
		values := make([]string, 0, len(data)/t.width)
		for row := range len(data) / t.width {
			values = append(values, t.print(data[row*t.width:][:t.width]))
		}
		return values, err
	case text:
		return p.texts(n)
	case nullable:
		marks, err := p.array(n, 1)
		if err != nil {
			return nil, err
		}
		values, err := p.values(t.inner[0], n)
		for row := range values {
			if marks[row] != 0 {
				values[row] = "null"
			}
		}
		return values, err
	case array:
		return p.arrays(t, n)
	case lowCardinality:
		return p.lowCardinality(t, n)
	}
	return p.objects(t, n)
}

func (p *printer) texts(n int) ([]string, error) {
	values := make([]string, 0, min(n, len(p.b)))
	for range n {
		text, err := p.text()
		if err != nil {
			return nil, err
		}
		values = append(values, quoted(text))
	}
	return values, nil
}

func (p *printer) arrays(t *typ, n int) ([]string, error) {
	ends, total, err := p.offsets(n)
	if err != nil {
		return nil, err
	}
	elements, err := p.values(t.inner[0], total)
	if err != nil {
		return nil, err
	}
	values := make([]string, n)
	for row := range values {
		values[row] = "[" + strings.Join(elements[ends.before(row):ends.before(row+1)], ",") + "]"
	}
	return values, nil
}

func (p *printer) lowCardinality(t *typ, n int) ([]string, error) {
	if n == 0 {
		return nil, nil
	}
	d, err := p.dictionary(t, n)
	if err != nil {
		return nil, err
	}
	values := make([]string, n)
	for row := range values {
		i := d.index(row)
		if d.nullable && i == 0 {
			values[row] = "null"
			continue
		}
		key := reader{b: d.keys[i]}
		text, err := key.text()
		if err != nil {
			return nil, err
		}
		values[row] = quoted(text)
	}
	return values, nil
}

// objects returns JSON objects of the typed paths and the shared data.
func (p *printer) objects(t *typ, n int) ([]string, error) {
	members := make([][]string, n)
	for i, path := range t.inner {
		values, err := p.values(path, n)
		if err != nil {
			return nil, err
		}
		for row, value := range values {
			if value != "null" && value != "[]" {
				members[row] = append(members[row], quoted(t.paths[i])+":"+value)
			}
		}
	}
	ends, total, err := p.offsets(n)
	if err != nil {
		return nil, err
	}
	names, err := p.texts(total)
	if err != nil {
		return nil, err
	}
	shared := make([]string, total)
	for i := range shared {
		value, err := p.text()
		if err != nil {
			return nil, err
		}
		shared[i] = printShared(value)
	}
	values := make([]string, n)
	for row := range values {
		for i := ends.before(row); i < ends.before(row+1); i++ {
			members[row] = append(members[row], names[i]+":"+shared[i])
		}
		slices.Sort(members[row])
		values[row] = "{" + strings.Join(members[row], ",") + "}"
	}
	return values, nil
}

// printShared prints a value of shared data, which begins with its type. Types that package block does not write are
// printed as bytes.
func printShared(value []byte) string {
	const typeInt64, typeString, typeArray, typeNullable = 0x0a, 0x15, 0x1e, 0x23
	r := reader{b: value}
	scalar := func(of byte) (string, error) {
		if of == typeString {
			text, err := r.text()
			return quoted(text), err
		}
		n, err := r.uint64()
		return strconv.FormatInt(int64(n), 10), err
	}
	switch {
	case len(value) > 0 && (value[0] == typeInt64 || value[0] == typeString):
		r.at = 1
		if text, err := scalar(value[0]); err == nil {
			return text
		}
	case len(value) > 3 && value[0] == typeArray && value[1] == typeNullable:
		r.at = 3
		n, err := r.count()
		elements := []string{}
		for range n {
			mark, markErr := r.take(1)
			if err = markErr; err != nil {
				break
			}
			text := "null"
			if mark[0] == 0 {
				if text, err = scalar(value[2]); err != nil {
					break
				}
			}
			elements = append(elements, text)
		}
		if err == nil {
			return "[" + strings.Join(elements, ",") + "]"
		}
	}
	return quoted(hex.EncodeToString(value))
}

// print prints a value of fixed size.
func (t *typ) print(b []byte) string {
	var wide [16]byte
	copy(wide[:], b)
	n := binary.LittleEndian.Uint64(wide[:])
	switch t.name {
	case "Bool":
		return strconv.FormatBool(n != 0)
	case "Int8":
		return strconv.Itoa(int(int8(n)))
	case "Int16":
		return strconv.Itoa(int(int16(n)))
	case "Int32":
		return strconv.Itoa(int(int32(n)))
	case "Int64":
		return strconv.FormatInt(int64(n), 10)
	case "Float32":
		return printFloat(float64(math.Float32frombits(uint32(n))), 32)
	case "Float64":
		return printFloat(math.Float64frombits(n), 64)
	case "Date":
		return quoted(time.Unix(int64(n)*86400, 0).UTC().Format(time.DateOnly))
	case "Date32":
		return quoted(time.Unix(int64(int32(n))*86400, 0).UTC().Format(time.DateOnly))
	case "DateTime":
		return quoted(time.Unix(int64(n), 0).UTC().Format(time.DateTime))
	case "DateTime64":
		return t.printTime(int64(n))
	case "IPv4":
		return quoted(netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}).String())
	case "IPv6":
		return quoted(netip.AddrFrom16(wide).String())
	case "UUID":
		return quoted(hex.EncodeToString(b))
	}
	return strconv.FormatUint(n, 10)
}

func printFloat(v float64, bits int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "null"
	}
	return strconv.FormatFloat(v, 'g', -1, bits)
}

// printTime prints a DateTime64 in UTC. The first argument of the type is its precision.
func (t *typ) printTime(ticks int64) string {
	if len(t.args) == 0 {
		return strconv.FormatInt(ticks, 10)
	}
	precision, err := strconv.Atoi(t.args[0])
	if err != nil || precision < 0 || precision > 9 {
		return strconv.FormatInt(ticks, 10)
	}
	second := int64(math.Pow10(precision))
	at := time.Unix(ticks/second, ticks%second*(int64(time.Second)/second)).UTC()
	layout := time.DateTime
	if precision > 0 {
		layout += "." + strings.Repeat("0", precision)
	}
	return quoted(at.Format(layout))
}
