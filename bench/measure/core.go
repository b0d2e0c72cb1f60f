package measure

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	_ "github.com/metranova/flow-collector/sink/linuxonly"
)

// AnyCore is no core in particular.
const AnyCore = -1

// Start starts a program that is pinned to one core, with all its children.
func Start(cmd *exec.Cmd, core int) error {
	if core == AnyCore {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the cores of this thread: %w", err)
	}
	if err := pin(0, core); err != nil { // a program begins with the cores of the thread that starts it
		return err
	}
	err := cmd.Start()
	if back := unix.SchedSetaffinity(0, &before); back != nil && err == nil {
		err = fmt.Errorf("give this thread its cores back: %w", back)
	}
	return err
}

// Stay keeps all threads of this program on one core.
func Stay(core int) error {
	if core == AnyCore {
		return nil
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("read the threads of this program: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		if err := pin(tid, core); err != nil && err != unix.ESRCH { // a thread may have ended
			return err
		}
	}
	return nil
}

func pin(tid, core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("keep to core %d: %w", core, err)
	}
	return nil
}
