// Package measure reads what the kernel counts of other programs: the time that their processes have had on a core,
// their memory, and what becomes of datagrams at their sockets.
package measure

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Tree watches a process and its descendants. What a process had used is kept when it is gone. It belongs to one
// goroutine.
type Tree struct {
	root  int
	known map[int]time.Duration // time on a core, of those that are gone too
	peak  int64                 // of all together
	first int64                 // of the first of them
}

// NewTree watches the process and all that it starts.
func NewTree(pid int) *Tree { return &Tree{root: pid, known: map[int]time.Duration{}} }

// Look reads the CPU time of the processes so far, and reports whether the first of them still runs.
func (t *Tree) Look() bool {
	parents, found := map[int]int{}, map[int]time.Duration{}
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well-formed
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir)) // digits only
		if parent, cpu, ok := readStat(dir); ok {
			parents[pid], found[pid] = parent, cpu
		}
	}
	for pid, cpu := range found {
		if t.has(pid, parents) {
			t.known[pid] = max(t.known[pid], cpu)
		}
	}
	_, alive := found[t.root]
	return alive
}

// has reports whether a process belongs to the tree: it did before, or one of its ancestors does.
func (t *Tree) has(pid int, parents map[int]int) bool {
	for range parents {
		if _, known := t.known[pid]; known || pid == t.root {
			return true
		}
		parent, there := parents[pid]
		if !there {
			return false
		}
		pid = parent
	}
	return false
}

// CPU returns the CPU time of all processes, and of the first of them.
func (t *Tree) CPU() (all, root time.Duration) {
	for _, cpu := range t.known {
		all += cpu
	}
	return all, t.known[t.root]
}

// Weigh looks at the memory that the processes have resident now; what several share counts once. It costs the kernel a
// walk through all of it.
func (t *Tree) Weigh() {
	t.Look()
	var now int64
	for pid := range t.known {
		size := resident(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
		if pid == t.root {
			t.first = max(t.first, size)
		}
		now += size
	}
	t.peak = max(t.peak, now)
}

// Peak is the most memory that was resident when it was weighed, in bytes, of all processes and of the first of them.
func (t *Tree) Peak() (all, root int64) { return t.peak, t.first }

// Threads returns the CPU time of the running threads with that name.
func (t *Tree) Threads(name string) (cpu time.Duration) {
	for pid := range t.known {
		// the pattern is well-formed
		dirs, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "[0-9]*"))
		for _, dir := range dirs {
			comm, _ := os.ReadFile(filepath.Join(dir, "comm")) // it may have ended
			if strings.TrimSuffix(string(comm), "\n") == name {
				_, used, _ := readStat(dir)
				cpu += used
			}
		}
	}
	return cpu
}

// ticks is how many of the kernel's units of time are a second (proc(5), USER_HZ of every architecture of Go).
const ticks = 100

// readStat reads a process's parent and the time of all its threads; false if it is gone or a zombie.
func readStat(dir string) (parent int, cpu time.Duration, ok bool) {
	data, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, 0, false
	}
	// The name stands in parentheses and may have any characters.
	_, rest, _ := strings.Cut(string(data[strings.LastIndexByte(string(data), ')')+1:]), " ")
	fields := strings.Fields(rest)
	const state, ppid, utime, stime = 0, 1, 11, 12
	if len(fields) <= stime || fields[state] == "Z" {
		return 0, 0, false
	}
	parent, _ = strconv.Atoi(fields[ppid])
	user, _ := strconv.ParseInt(fields[utime], 10, 64)
	system, _ := strconv.ParseInt(fields[stime], 10, 64)
	return parent, time.Duration(user+system) * (time.Second / ticks), true
}

// Resident is the memory that is resident for a process, in bytes; what it shares with others counts whole. 0 if it is
// gone.
func Resident(pid int) int64 {
	return kilobytes(filepath.Join("/proc", strconv.Itoa(pid), "status"), "VmRSS:")
}

// Others is the same for all processes of the tree but the first, of those that the latest Look found.
func (t *Tree) Others() (size int64) {
	for pid := range t.known {
		if pid != t.root {
			size += Resident(pid)
		}
	}
	return size
}

// Signal sends a signal to all processes of the tree but the first, of those that the latest Look found.
func (t *Tree) Signal(s syscall.Signal) {
	for pid := range t.known {
		if pid != t.root {
			_ = syscall.Kill(pid, s) // it may be gone
		}
	}
}

// resident is a process's share of the memory that is resident for it, in bytes; 0 if it is gone.
func resident(rollup string) int64 { return kilobytes(rollup, "Pss:") }

// kilobytes is a value of a file of /proc, in bytes; 0 if the file is gone.
func kilobytes(file, name string) int64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if value, found := strings.CutPrefix(line, name); found {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}
