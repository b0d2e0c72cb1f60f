package store

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The store comes behind what shares its cores with it: a block can wait for a core, datagrams cannot. Within it, merging comes
// behind inserts and queries.
const (
	storeNice = 5
	mergeNice = 19
)

// stepBack lowers the priority of this process, which Linux has by thread: of those that there are, and so of those that they start.
func stepBack() error {
	for changed := true; changed; { // a thread may have started another meanwhile
		changed = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("read the threads of the store: %w", err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				continue
			}
			raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
			if err != nil || 20-raw >= storeNice { // it has ended, or is far enough behind
				continue
			}
			if err := unix.Setpriority(unix.PRIO_PROCESS, tid, storeNice); err != nil && err != unix.ESRCH {
				return fmt.Errorf("lower the priority of the store: %w", err)
			}
			changed = true
		}
	}
	return nil
}
