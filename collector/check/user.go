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

// A User is the user that a collector would run as.
type User struct {
	UID, GID int
	Name     string
}

// String names the user for a message.
func (u User) String() string { return fmt.Sprintf("user %s", u.Name) }

// Self returns the user of this process.
func Self() User {
	u := User{UID: os.Geteuid(), GID: os.Getegid()}
	u.Name = strconv.Itoa(u.UID)
	return u
}

// ServiceUser returns the user of the installed service, else that of this process.
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

// may reports whether the user has the access mode (unix.R_OK, W_OK, X_OK) to a file. For other users the mode bits of
// the file and of its directories are checked.
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
