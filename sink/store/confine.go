package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	_ "github.com/metranova/flow-collector/sink/linuxonly"
)

// The store's process gives up what it does not need before the engine is loaded: all of its environment but a few
// names, and by Landlock (landlock(7)) every file outside its data directory, every program and every connection to
// elsewhere. Landlock holds for the thread that asks for it and what that starts, as the priority does, so the process
// asks for both and then executes itself again.

// confinedEnv marks the process that has been through confine: "landlock" or, on a kernel without it, the reason why
// not.
const confinedEnv = "STORE_CONFINED"

// passwordFD is where the confined process reads its password from; the environment of a process can be read in /proc.
const passwordFD = "STORE_PASSWORD_FD"

// keptEnvironment are the names of the environment that the store's process keeps. The last three are for tests.
var keptEnvironment = []string{"TZ", "GODEBUG", "GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GOTRACEBACK", "GORACE",
	"GOCOVERDIR", "STORETEST_CHILD"}

// environment returns what of environ the store's process gets.
func environment(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if name, _, _ := strings.Cut(entry, "="); slices.Contains(keptEnvironment, name) {
			kept = append(kept, entry)
		}
	}
	return kept
}

// confine confines this process by executing it again, and returns in the process that is: with the password, and what
// is missing to be fully confined ("" if nothing is). In the first process it returns only with an error.
func confine(o Options) (password, missing string, err error) {
	if state := os.Getenv(confinedEnv); state != "" {
		if o.Password, err = receivePassword(); err != nil {
			return "", "", err
		}
		if state == "landlock" {
			state = ""
		}
		return o.Password, state, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", "", fmt.Errorf("store: this program's own path: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	state := "landlock"
	if err := restrict(o, self); err != nil {
		state = err.Error()
	}
	if err := lowerThread(); err != nil {
		o.Log.Warn("the store has the same priority as everything else", zap.Error(err))
	}
	fd, err := sendPassword(o.Password)
	if err != nil {
		return "", "", err
	}
	env := append(environment(os.Environ()), confinedEnv+"="+state, passwordFD+"="+strconv.Itoa(fd))
	return "", "", fmt.Errorf("store: execute %s again: %w", self, syscall.Exec(self, os.Args, env))
}

// sendPassword puts the password into a pipe that the executed process inherits.
func sendPassword(password string) (fd int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], 0); err != nil {
		return 0, fmt.Errorf("store: a pipe for the password: %w", err)
	}
	defer unix.Close(p[1])
	if len(password) > 4096 { // what a pipe takes without a reader
		return 0, errors.New("store: the password is longer than 4096 bytes")
	}
	if _, err := unix.Write(p[1], []byte(password)); err != nil && password != "" {
		return 0, fmt.Errorf("store: a pipe for the password: %w", err)
	}
	return p[0], nil
}

func receivePassword() (string, error) {
	fd, err := strconv.Atoi(os.Getenv(passwordFD))
	if err != nil {
		return "", fmt.Errorf("store: %s is missing", passwordFD)
	}
	f := os.NewFile(uintptr(fd), "password")
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return "", fmt.Errorf("store: the password: %w", err)
	}
	return string(b), nil
}

const (
	landlockRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockRun   = landlockRead | unix.LANDLOCK_ACCESS_FS_EXECUTE
	landlockWrite = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_REFER | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	// landlockFile are the rights that a rule for a single file may have.
	landlockFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// systemFiles are what the program and the engine read of the system: libraries, time zones, and what the kernel says
// of the machine.
var systemFiles = []string{
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone", "/etc/hosts",
	"/etc/host.conf",
	"/etc/nsswitch.conf", "/etc/resolv.conf", "/usr/share/zoneinfo", "/proc", "/sys", "/dev/urandom", "/dev/random",
}

// restrict confines this thread, and with it the program that it executes. Kernels before 5.19 have no Landlock that
// knows of all that is needed here; the error says so. Kernels before 6.7 do not confine connections.
func restrict(o Options, self string) error {
	if o.NoLandlock {
		return errors.New("asked for")
	}
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return fmt.Errorf("the kernel has no Landlock (%w)", errno)
	}
	if version < 2 { // 1 lets nothing be moved from one directory to another, which the engine does
		return fmt.Errorf("the kernel's Landlock is too old (version %d)", version)
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: landlockRun | landlockWrite}
	if version < 3 {
		// It does not know of truncation. The engine truncates what it opens for writing, which is handled.
		attr.Handled_access_fs &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	if version >= 4 {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		size += unsafe.Sizeof(attr.Handled_access_net)
	}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return fmt.Errorf("confine with Landlock: %w", errno)
	}
	defer unix.Close(int(ruleset))
	allow := func(path string, rights uint64) error {
		return allowPath(int(ruleset), path, rights&attr.Handled_access_fs)
	}
	for _, path := range systemFiles {
		if err := allow(path, landlockRead); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	// the dynamic linker too
	for _, path := range []string{"/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64", "/usr/local/lib"} {
		if err := allow(path, landlockRun); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	if err := allow("/dev/null", landlockRead|unix.LANDLOCK_ACCESS_FS_WRITE_FILE); err != nil {
		return err
	}
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		if err := allow(dir, landlockRead|landlockWrite); err != nil {
			return err
		}
	}
	for _, path := range []string{self, o.Engine} {
		// a missing engine is told later
		if err := allow(path, landlockRun); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	for _, path := range dataPaths(o.Path) {
		if err := allow(path, landlockRead|landlockWrite); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("confine with Landlock: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("confine with Landlock: %w", errno)
	}
	return nil
}

// dataPaths are the data directory and where the symbolic links in it lead, which somebody may have put there for a
// larger disk.
func dataPaths(path string) []string {
	paths := []string{path}
	entries, err := os.ReadDir(path)
	if err != nil {
		return paths
	}
	for _, e := range entries {
		if e.Type()&os.ModeSymlink == 0 {
			continue
		}
		if target, err := filepath.EvalSymlinks(filepath.Join(path, e.Name())); err == nil {
			paths = append(paths, target)
		}
	}
	return paths
}

// allowPath adds a rule. Of a single file only the rights that files have count.
func allowPath(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("confine with Landlock: %s: %w", path, err)
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("confine with Landlock: %s: %w", path, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= landlockFile
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("confine with Landlock: %s: %w", path, errno)
	}
	return nil
}
