package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// prepareDirectory makes the data directory where it is missing, and refuses one that is not this user's: what another
// user can write there the engine would trust, and what root writes there the service could not read. Each error is one
// line that says what to do.
func prepareDirectory(path string) error {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fmt.Errorf("store directory %s cannot be made: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("store directory %s cannot be used: %w", path, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if !isTrusted(stat.Uid) {
		return fmt.Errorf("store directory %s belongs to %s, and this is %s: run it as that user (%s), or give it to "+
			"this one (chown -R %s %s)",
			path, userName(int(stat.Uid)), userName(os.Geteuid()), asOwner(path), chownName(os.Geteuid()), path)
	}
	if bits := foreignWrite(info, stat); bits != "" {
		return fmt.Errorf("store directory %s can be written by other users: chmod %s-w %s", path, bits, path)
	}
	if err := unix.Access(path, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("store directory %s cannot be written by this user (uid %d): %w", path, os.Getuid(), err)
	}
	return nil
}

// isTrusted is true for this process's user and root.
func isTrusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// foreignWrite says which of group and others, "g" and "o", may write that should not. The group may where it is the
// user's own, or where root has given it the directory, as Kubernetes does.
func foreignWrite(info fs.FileInfo, stat *syscall.Stat_t) string {
	bits := ""
	if info.Mode().Perm()&0o020 != 0 && int(stat.Gid) != os.Getegid() && (stat.Uid != 0 || !inGroup(int(stat.Gid))) {
		bits = "g"
	}
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
		bits += "o"
	}
	return bits
}

func inGroup(gid int) bool {
	groups, err := os.Getgroups()
	if err != nil {
		return false
	}
	for _, g := range groups {
		if g == gid {
			return true
		}
	}
	return false
}

func sameOwner(path string, uid uint32) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == uid
}

// userName is the name of a user, or its number where it has none.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid %d", uid)
}

// chownName is a user as chown takes it.
func chownName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// asOwner is how to run this program as the owner of a path.
func asOwner(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "sudo"
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "sudo"
	}
	u, err := user.LookupId(strconv.Itoa(int(stat.Uid)))
	if err != nil {
		return fmt.Sprintf("sudo -u '#%d'", stat.Uid)
	}
	return "sudo -u " + u.Username
}

// foreignDepth is how deep the search for other users' files goes: to the directories of tables, not into their parts.
const foreignDepth = 4

// refuseForeignFiles names files of other users in the data directory, which the engine could not use: what `collector
// query` as root once left there, for instance. As root all can be used.
func refuseForeignFiles(path string, uid int) error {
	if uid == 0 {
		return nil
	}
	var first, owner string
	count := 0
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return fs.SkipDir // its own entry has been counted
			}
			return nil
		}
		if info, err := d.Info(); err == nil && name != path {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != uid {
				if count++; count == 1 {
					first, owner = name, userName(int(stat.Uid))
				}
			}
		}
		if rel, err := filepath.Rel(path, name); err == nil && d.IsDir() &&
			strings.Count(rel, string(filepath.Separator)) >= foreignDepth-1 {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store directory %s: %w", path, err)
	}
	if count == 0 {
		return nil
	}
	more := ""
	if count > 1 {
		more = fmt.Sprintf(" and %d more", count-1)
	}
	return fmt.Errorf("%s%s in the store's directory belongs to %s, not to %s: chown -R %s: %s", first, more, owner,
		userName(uid), chownName(uid), path)
}

// checkEngineFile refuses a library that another user could have put there or can change: the store would run that
// user's code.
func checkEngineFile(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("store engine: %w: %w", err, errNoEngine)
	}
	for _, name := range []string{real, filepath.Dir(real)} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("store engine: %w: %w", err, errNoEngine)
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			continue
		}
		// Whoever owns this program can have it do anything already.
		if !isTrusted(stat.Uid) && !ownsProgram(stat.Uid) {
			return fmt.Errorf("store engine %s: %s belongs to %s: it may be root's or this user's (%s)", path, name,
				userName(int(stat.Uid)), userName(os.Geteuid()))
		}
		if bits := foreignWrite(info, stat); bits != "" {
			return fmt.Errorf("store engine %s: other users can write to %s: chmod %s-w %s", path, name, bits, name)
		}
	}
	return nil
}

func ownsProgram(uid uint32) bool {
	self, err := os.Executable()
	return err == nil && sameOwner(self, uid)
}
