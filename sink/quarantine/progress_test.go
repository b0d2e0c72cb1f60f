package quarantine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pairOf is a pair of files with n blocks, of a collector that goes on running.
func pairOf(t *testing.T, n int) (running *Quarantine, name string) {
	t.Helper()
	dir := t.TempDir()
	running = New(Options{Dir: dir})
	for i := range n {
		put(t, running, i)
	}
	files, err := Read(dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	return running, files[0].Name
}

func put(t *testing.T, q *Quarantine, n int) {
	t.Helper()
	if err := q.Put(Record{Query: "INSERT INTO t (a)", Token: fmt.Sprint(n), Rows: 1000},
		[]byte(fmt.Sprintf("block %d", n))); err != nil {
		t.Error(err)
	}
}

// tokens are those of the records that are left, each with its block.
func tokens(t *testing.T, name string) (all []string) {
	t.Helper()
	f, err := ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Records {
		if data, err := f.Data(&r); err != nil || string(data) != "block "+r.Token {
			t.Errorf("token %s has block %q, %v", r.Token, data, err)
		}
		all = append(all, r.Token)
	}
	return all
}

// insertAll marks all records that are there as done.
func insertAll(t *testing.T, i *Insertion, name string) {
	t.Helper()
	f, err := ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Records {
		if err := errors.Join(i.Sent(&r, time.Now()), i.Done(&r, time.Now())); err != nil {
			t.Fatal(err)
		}
	}
}

func begin(t *testing.T, name string) *Insertion {
	t.Helper()
	i, err := (&File{Name: name}).Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	return i
}

// A collector that adds to the pair while it is inserted loses nothing (review B3).
func TestInsertionBesideACollector(t *testing.T) {
	running, name := pairOf(t, 2)
	i := begin(t, name)
	insertAll(t, i, name)
	put(t, running, 7)
	if removed, err := i.Finish(); removed || err != nil {
		t.Fatalf("removed %v, %v though a block was added", removed, err)
	}
	if got := tokens(t, name); !slices.Equal(got, []string{"7"}) {
		t.Errorf("left are %v, want the one that was added", got)
	}
	insertAll(t, i, name)
	if removed, err := i.Finish(); !removed || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
	put(t, running, 8)
	if got := tokens(t, name); !slices.Equal(got, []string{"8"}) {
		t.Errorf("left are %v, want the one that came after", got)
	}
}

// The same with a collector that adds all the time: every block is inserted once or still there.
func TestInsertionWhileACollectorWrites(t *testing.T) {
	const all = 300
	running, name := pairOf(t, 1)
	var writes sync.WaitGroup
	writes.Go(func() {
		for n := 1; n < all; n++ {
			put(t, running, n)
		}
	})
	inserted := map[string]int{}
	for end := time.Now().Add(time.Minute); len(inserted) < all && time.Now().Before(end); {
		i, err := (&File{Name: name}).Begin()
		if errors.Is(err, os.ErrNotExist) {
			continue // all that was there is inserted
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range f.Records {
			inserted[r.Token]++
			if err := i.Done(&r, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := i.Finish(); err != nil {
			t.Fatal(err)
		}
		_ = i.Close()
	}
	writes.Wait()
	for n := range all {
		if inserted[fmt.Sprint(n)] != 1 {
			t.Errorf("block %d was inserted %d times", n, inserted[fmt.Sprint(n)])
		}
	}
}

// What an insertion got done is not done again by the next one, whatever ended it.
func TestInsertionGoesOnWhereItWas(t *testing.T) {
	_, name := pairOf(t, 4)
	f, err := ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1000, 0)
	i := begin(t, name)
	if err := errors.Join(i.Sent(&f.Records[0], at), i.Done(&f.Records[0], at), // stored
		i.Sent(&f.Records[1], at), i.NotStored(&f.Records[1], at), // refused
		i.Sent(&f.Records[2], at), i.Sent(&f.Records[2], at.Add(time.Hour))); err != nil { // no answer, twice
		t.Fatal(err)
	}
	if _, err := (&File{Name: name}).Begin(); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one at the same time: %v", err)
	}
	_ = i.Close()
	// A crash tore the last line.
	if log, err := os.OpenFile(name+progressExtension, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		t.Fatal(err)
	} else if _, err := log.WriteString(`{"version":1,"offset":`); err != nil {
		t.Fatal(err)
	}
	if got := tokens(t, name); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("left are %v", got)
	}
	i = begin(t, name)
	for n, want := range map[int]bool{1: false, 2: true, 3: false} {
		if sent, maybe := i.MaybeStored(&f.Records[n]); maybe != want || maybe && !sent.Equal(at) {
			t.Errorf("record %d: maybe stored %v since %v", n, maybe, sent)
		}
	}
	if removed, err := i.Finish(); removed || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
	insertAll(t, i, name)
	if removed, err := i.Finish(); !removed || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
	if left, _ := filepath.Glob(name + "*"); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// A crash between the steps of a removal: what a collector adds then is not taken for inserted.
func TestRemovalThatWasInterrupted(t *testing.T) {
	for name, extensions := range map[string][]string{
		"before": nil, "after the records": {recordsExtension},
		"after the progress": {recordsExtension, progressExtension},
	} {
		t.Run(name, func(t *testing.T) {
			running, pair := pairOf(t, 2)
			i := begin(t, pair)
			insertAll(t, i, pair)
			_ = i.Close()
			for _, extension := range extensions {
				if err := os.Remove(pair + extension); err != nil {
					t.Fatal(err)
				}
			}
			put(t, running, 9)
			if got := tokens(t, pair); !slices.Equal(got, []string{"9"}) {
				t.Errorf("left are %v", got)
			}
			i = begin(t, pair)
			insertAll(t, i, pair)
			if removed, err := i.Finish(); !removed || err != nil {
				t.Errorf("removed %v, %v", removed, err)
			}
		})
	}
}

// Files of a later version are refused by name, and stay as they are. Those without a version are of the first.
func TestVersions(t *testing.T) {
	running, name := pairOf(t, 1)
	line := func(version int) string {
		return fmt.Sprintf(
			`{"version":%d,"query":"INSERT","token":"x","rows":1,"offset":0,"bytes":7,"time":"2026-01-01T00:00:00Z"}`+
				"\n", version)
	}
	for file, text := range map[string]string{
		"old.jsonl":      strings.Replace(line(0), `"version":0,`, "", 1),
		"now.jsonl":      line(1),
		"later.jsonl":    line(1) + line(2),
		"step.jsonl":     line(1),
		"step.progress":  `{"version":7,"offset":0,"state":"half"}` + "\n",
		"state.jsonl":    line(1),
		"state.progress": `{"version":1,"offset":0,"state":"half"}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(running.o.Dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Read(running.o.Dir)
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f.Name))
	}
	slices.Sort(names)
	if want := []string{filepath.Base(name), "now", "old"}; !slices.Equal(names, want) {
		t.Errorf("read %v, want %v", names, want)
	}
	for _, want := range []string{"later.jsonl: line 2 is of version 2", "step.progress: line 1 is of version 7",
		`state.progress: line 1: unknown state "half"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	for _, file := range []string{"later", "step", "state"} {
		i, err := (&File{Name: filepath.Join(running.o.Dir, file)}).Begin()
		if err == nil {
			_, err = i.Finish()
			_ = i.Close()
		}
		if err == nil {
			t.Errorf("%s: no error", file)
		}
	}
	if left, _ := os.ReadFile(filepath.Join(running.o.Dir, "step.progress")); !strings.Contains(string(left), "half") {
		t.Error("the file of another version is not as it was")
	}
}

// A block that changed on disk is not inserted.
func TestDataThatIsDamaged(t *testing.T) {
	_, name := pairOf(t, 1)
	if err := os.WriteFile(name+blocksExtension, []byte("block 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Data(&f.Records[0]); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v", err)
	}
}
