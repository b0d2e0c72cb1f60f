package spool

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// childEnv makes the test binary a process that a test may kill or limit.
const childEnv = "SPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	switch mode, dir, _ := strings.Cut(os.Getenv(childEnv), ":"); mode {
	case "":
		os.Exit(m.Run())
	case "write":
		os.Exit(writeForever(dir))
	case "limited":
		os.Exit(writeLimited(dir))
	}
}

func child(t *testing.T, mode, dir string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childEnv+"="+mode+":"+dir)
	c.Stderr = os.Stderr
	return c
}

// writeForever puts entries and delivers every third, and says what it did once it is done.
func writeForever(dir string) int {
	s, err := Open(Options{Dir: dir, SegmentBytes: 200 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for n := 0; ; n++ {
		if err := s.Put(entryOf(n, 1000*(n%100))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("put", n)
		if n%3 == 2 {
			e, _ := s.Next()
			fmt.Println("taken", e.Rows-1)
			s.Done(e)
		}
	}
}

// After kill -9 all that was acknowledged and not taken is there, and at most the entry that was on its way.
func TestKill(t *testing.T) {
	for round := range 10 {
		dir := t.TempDir()
		c := child(t, "write", dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		last, next := -1, 0
		lines := bufio.NewScanner(out)
		for lines.Scan() { // to the end: what it said before it was killed counts
			what, number, _ := strings.Cut(lines.Text(), " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			if what == "put" {
				last = n
			} else {
				next = n + 1
			}
			if what == "put" && n == 20+7*round {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = c.Wait() // it was killed
		s := open(t, Options{Dir: dir})
		stats := s.Stats()
		got := drain(t, s)
		if len(got) == 0 || stats.Damaged.Entries != 0 || stats.Torn.Entries > 1 {
			t.Fatalf("round %d: %v, %+v", round, got, stats)
		}
		// What was taken last may not be marked, and what was put last not acknowledged.
		if first := got[0]; first != next && first != next-1 && first != next+1 {
			t.Errorf("round %d: %d is the first, %d was taken last", round, first, next-1)
		}
		for i := 1; i < len(got); i++ {
			if got[i] != got[i-1]+1 {
				t.Errorf("round %d: %d after %d", round, got[i], got[i-1])
			}
		}
		if newest := got[len(got)-1]; newest != last && newest != last+1 {
			t.Errorf("round %d: %d is the newest, %d was acknowledged", round, newest, last)
		}
		balanced(t, s.Stats())
	}
}

// full puts an entry that fits, one that the file system does not take, and one that fits again.
func full(dir string, large int, want error) error {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Put(entryOf(0, 1000)); err != nil {
		return err
	}
	before := s.Stats().DiskBytes
	if err := s.Put(entryOf(1, large)); !errors.Is(err, want) {
		return fmt.Errorf("put: %w, want %w", err, want)
	}
	var onDisk int64
	names, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		onDisk += info.Size()
	}
	stats := s.Stats()
	if stats.DiskBytes != before || onDisk != before || stats.Failed.Entries != 1 || stats.Failed.Rows != 2 ||
		stats.Waiting.Entries != 1 {
		return fmt.Errorf("%d bytes on disk, %d before; %+v", onDisk, before, stats)
	}
	if err := s.Put(entryOf(2, 1000)); err != nil {
		return fmt.Errorf("put when there is room: %w", err)
	}
	var got []int
	for e, ok := s.Next(); ok; e, ok = s.Next() {
		got = append(got, e.Rows-1)
		s.Done(e)
	}
	if !sameNumbers(got, 0, 2) {
		return fmt.Errorf("delivered %v", got)
	}
	return nil
}

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no right to mount a small file system (TestFileSizeLimit does the same with a limit): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := full(dir, 1<<20, syscall.ENOSPC); err != nil {
		t.Error(err)
	}
}

func writeLimited(dir string) int {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 256 << 10, Max: 256 << 10}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := full(dir, 1<<20, syscall.EFBIG); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestFileSizeLimit(t *testing.T) {
	if out, err := child(t, "limited", t.TempDir()).Output(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
