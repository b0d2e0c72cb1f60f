package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The store has a lower priority than the collector, which shares its cores: a block can wait for a core, datagrams
// cannot. Within the store, merges have a lower priority than inserts and queries.
const (
	storeNice = 5
	mergeNice = 19
)

// lowerThread gives the calling thread the store's priority. Linux has a priority for each thread; a program that a
// thread executes begins with that thread's, and so do all threads that it starts (setpriority(2)).
func lowerThread() error {
	nice, err := threadNice()
	if err != nil {
		return fmt.Errorf("read the priority of the store's thread: %w", err)
	}
	if nice >= storeNice {
		return nil
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, storeNice); err != nil {
		return fmt.Errorf("lower the priority of the store: %w", os.NewSyscallError("setpriority", err))
	}
	return nil
}

// threadNice returns the nice value of the calling thread.
func threadNice() (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - n, err // what the system call returns is 20 minus the nice value
}
