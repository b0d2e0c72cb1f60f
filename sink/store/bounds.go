package store

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Defaults of the bounds, where the options give none.
const (
	defaultQueries   = 8
	defaultQueryTime = 10 * time.Minute
	defaultQueryRows = 10_000_000_000
	leastQueryMemory = 256 << 20
	leastQueries     = 2
	// otherPlaces are the places of inserts and of the collector's own statements, each.
	otherPlaces = 8
)

// withBounds fills in the bounds that are not given. The engine gets half of the memory: the collector, with its
// metadata and queues, and the page cache need the rest. All queries together may use half of that, so that inserts and
// merges have what they need while all places are taken by the largest queries.
func (o Options) withBounds() Options {
	if o.Memory == 0 {
		o.Memory = availableMemory("/") / 2
	}
	forQueries := o.Memory / 2
	if o.Queries <= 0 {
		o.Queries = int(min(max(forQueries/leastQueryMemory, leastQueries), defaultQueries))
	}
	if o.QueryMemory == 0 {
		o.QueryMemory = max(forQueries/uint64(o.Queries), leastQueryMemory)
	}
	if o.QueryTime == 0 {
		o.QueryTime = defaultQueryTime
	}
	if o.QueryRows == 0 {
		o.QueryRows = defaultQueryRows
	}
	return o
}

// availableMemory is the memory that this process may use, in bytes: that of the machine, or the least limit of its
// control groups. root is where /proc and /sys are.
func availableMemory(root string) uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	most := uint64(info.Totalram) * uint64(info.Unit)
	for _, limit := range cgroupLimits(root) {
		most = min(most, limit)
	}
	return most
}

// cgroupLimits are the memory limits of this process's control groups and of those above them, of both versions of the
// interface (cgroups(7)). A container often sees its own group as the root of the tree.
func cgroupLimits(root string) (limits []uint64) {
	groups, err := os.Open(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil
	}
	defer groups.Close()
	const tree = "sys/fs/cgroup"
	for lines := bufio.NewScanner(groups); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), ":", 3) // hierarchy, controllers, path
		if len(fields) < 3 {
			continue
		}
		top, file := filepath.Join(root, tree), "memory.max"
		switch {
		case fields[1] == "memory":
			top, file = filepath.Join(top, "memory"), "memory.limit_in_bytes"
		case fields[1] != "":
			continue
		}
		for path := filepath.Clean("/" + fields[2]); ; path = filepath.Dir(path) {
			if text, err := os.ReadFile(filepath.Join(top, path, file)); err == nil {
				if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
					limits = append(limits, n) // otherwise "max"
				}
			}
			if path == "/" {
				break
			}
		}
	}
	return limits
}

// Names of the engine's settings that bound a statement.
const (
	memorySetting = "max_memory_usage"
	timeSetting   = "max_execution_time"
	rowsSetting   = "max_rows_to_read"
	resultSetting = "max_result_bytes"
)

// bound gives a statement the bounds that its request does not set. Those of time and rows are for what others ask to
// read: the collector's own statements, tables and inserts of data take as long as they do.
func (s *server) bound(q *request, st statement, r *http.Request) {
	kind := s.placeOf(st, r)
	memory := s.o.QueryMemory
	if kind != queryPlaces {
		memory = max(memory, s.o.Memory/4)
	}
	q.bound(memorySetting, strconv.FormatUint(memory, 10))
	if own, err := strconv.ParseUint(q.value(memorySetting), 10, 64); err == nil && own > 0 {
		memory = own
	}
	// GROUP BY, ORDER BY and joins go on in files of the directory. The engine begins that at half of a query's memory
	// by itself, which is too late: what it writes, and the merging of it, need memory too.
	spill := strconv.FormatUint(memory/4, 10)
	for _, name := range []string{
		"max_bytes_before_external_group_by", "max_bytes_before_external_sort", "max_bytes_before_external_join",
	} {
		q.bound(name, spill)
	}
	free, reserved := DiskSpace(s.o.Path)
	q.bound("max_temporary_data_on_disk_size_for_query", strconv.FormatUint(max(free/4, 1), 10))
	q.bound("min_free_disk_space_for_temporary_data", strconv.FormatUint(2*reserved, 10))
	if kind == queryPlaces && st.reads() {
		q.bound(timeSetting, strconv.Itoa(int(s.o.QueryTime.Seconds())))
	}
	if !st.selects() {
		return
	}
	if kind == queryPlaces {
		q.bound(rowsSetting, strconv.FormatUint(s.o.QueryRows, 10))
	}
	// The text of a result that is built as a whole, and the buffer it grows in, take several times its columns.
	if !q.inPieces(st) && !q.sets(resultSetting) {
		q.bound(resultSetting, strconv.FormatUint(memory/4, 10))
		q.bound("result_overflow_mode", "throw")
	}
}

// reads is true for statements that read rows, and INSERT … SELECT.
func (st statement) reads() bool {
	switch st.verb {
	case "EXPLAIN", "INSERT":
		return true
	}
	return st.selects()
}

// DiskSpace is what is free on the disk under a directory, and what of it the engine leaves free, in bytes.
// Where the disk cannot be looked at both are 0.
func DiskSpace(dir string) (free, reserved uint64) {
	var disk unix.Statfs_t
	if unix.Statfs(dir, &disk) != nil {
		return 0, 0
	}
	return disk.Bavail * uint64(disk.Bsize), reserve(dir)
}

// exceptionName is the name of an error at the end of its message.
var exceptionName = regexp.MustCompile(` \([A-Z_]+\)$`)

// explain adds to an error that a bound of the store made what the client can do. Bounds that the request or the
// statement sets are the client's own to know.
func (s *server) explain(err error, q *request, st statement, kind placeKind) error {
	if err == nil || kind != queryPlaces {
		return err
	}
	e := asException(err)
	advice := s.advice(e, q, st)
	if advice == "" {
		return e
	}
	at := len(e.message)
	if name := exceptionName.FindStringIndex(e.message); name != nil {
		at = name[0]
	}
	return &exception{e.code, strings.TrimRight(e.message[:at], ".") + ". " + advice + e.message[at:]}
}

const narrow = "Narrow the time range, filter by device, interface, AS or prefix, group by fewer columns, or read a " +
	"rollup (data_flow_by_…) instead of data_flow"

func (s *server) advice(e *exception, q *request, st statement) string {
	bounded := func(setting string) bool { return q.bounded[setting] && !strings.Contains(st.text, setting) }
	switch {
	case e.code == codeMemoryLimit && strings.Contains(e.message, "(total)"):
		return fmt.Sprintf("All statements of the store together may use %s (store.memory): send it again later. %s",
			sizeText(s.o.Memory), narrow)
	case e.code == codeMemoryLimit && bounded(memorySetting):
		return fmt.Sprintf("A query may use %s of memory (store.query_memory). %s. A request with %s may use more",
			sizeText(s.o.QueryMemory), narrow, memorySetting)
	case (e.code == codeTimeout || e.code == codeTooSlow) && bounded(timeSetting):
		return fmt.Sprintf("A query may take %s (store.query_time). %s. A request with %s may take longer",
			s.o.QueryTime, narrow, timeSetting)
	case e.code == codeTooManyRows && bounded(rowsSetting):
		return fmt.Sprintf("A query may read %d rows (store.query_rows). %s. A request with %s may read more",
			s.o.QueryRows, narrow, rowsSetting)
	case e.code == codeTooManyRowsOrBytes && strings.Contains(e.message, "temporary files"):
		return "A query may write a quarter of the free disk. " + narrow
	case e.code == codeTooManyRowsOrBytes && strings.Contains(e.message, "result") && bounded(resultSetting):
		return "Results in this format are built in memory as a whole. Add a LIMIT, or use a format that is sent " +
			"piece by piece, such as TabSeparated, CSV, JSONEachRow or Native"
	}
	return ""
}

// sizeText is a number of bytes as people read it.
func sizeText(n uint64) string {
	if n >= 1<<30 {
		return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + " GiB"
	}
	return strconv.FormatUint(n>>20, 10) + " MiB"
}
