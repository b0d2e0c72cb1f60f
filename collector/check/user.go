package check

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// serviceName is the user of the installed service.
const serviceName = "flow-collector"

// A User is as whom a collector would run.
type User struct {
	UID, GID int
	Name     string
}

// String names the user for a message.
func (u User) String() string { return fmt.Sprintf("user %s", u.Name) }

// Self is the user of this process.
func Self() User {
	u := User{UID: os.Geteuid(), GID: os.Getegid()}
	u.Name = strconv.Itoa(u.UID)
	return u
}

// ServiceUser is the user of the installed service, or that of this process where there is none.
func ServiceUser() User {
	account, err := user.Lookup(serviceName)
	if err != nil {
		return Self()
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if uidErr != nil || gidErr != nil {
		return Self()
	}
	return User{UID: uid, GID: gid, Name: serviceName}
}

// may reports whether the user may do with a file what mode says (unix.R_OK, W_OK, X_OK). Of another user the mode bits
// are read, of the file and of the directories that it is in.
func (u User) may(path string, mode uint32) bool {
	if u.UID == os.Geteuid() {
		return unix.Access(path, mode) == nil
	}
	if !u.allowed(path, mode) {
		return false
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if !u.allowed(dir, unix.X_OK) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func (u User) allowed(path string, mode uint32) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || u.UID == 0 {
		return ok
	}
	bits := uint32(info.Mode().Perm())
	switch {
	case int(stat.Uid) == u.UID:
		bits >>= 6
	case int(stat.Gid) == u.GID:
		bits >>= 3
	}
	return bits&mode == mode
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
