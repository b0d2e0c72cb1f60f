package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// secretName is the file in the data directory with the password of a store that is given none. Whoever may read it may
// send statements; the group may be allowed to (chmod g+r).
const secretName = "store.password"

// Secret returns the password of the store in a directory that is given none, and makes it where there is none yet. The
// directory is made too. Each error is one line that says what to do.
func Secret(path string) (string, error) {
	if err := prepareDirectory(path); err != nil {
		return "", err
	}
	secret, err := ReadSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	// Linked into place whole: another process may do the same.
	f, err := os.CreateTemp(path, secretName+".*")
	if err != nil {
		return "", fmt.Errorf("store password: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(rand.Text() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("store password: %w", err)
	}
	if err := os.Link(f.Name(), filepath.Join(path, secretName)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("store password: %w", err)
	}
	return ReadSecret(path)
}

// ReadSecret is Secret without creating a password. The error is fs.ErrNotExist if the directory has no store.
func ReadSecret(path string) (string, error) {
	name := filepath.Join(path, secretName)
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "",
			fmt.Errorf("the local store's password is in %s, which this user (%s) may not read: run it as the "+
				"store's user (%s), or set STORE_PASSWORD",
				name, userName(os.Geteuid()), asOwner(path))
	case err != nil:
		return "", fmt.Errorf("store password: %w", err)
	case info.Mode().Perm()&0o007 != 0:
		return "", fmt.Errorf("store password %s can be read by everybody: chmod o= %s", name, name)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && !isTrusted(stat.Uid) && !sameOwner(path, stat.Uid) {
		return "", fmt.Errorf("store password %s belongs to %s: remove it, a new one is made", name,
			userName(int(stat.Uid)))
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrPermission) {
		return "",
			fmt.Errorf("the local store's password is in %s, which this user (%s) may not read: run it as the "+
				"store's user (%s), or set STORE_PASSWORD",
				name, userName(os.Geteuid()), asOwner(path))
	}
	if err != nil {
		return "", fmt.Errorf("store password: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return "", fmt.Errorf("store password %s is empty: remove it, a new one is made", name)
	}
	return secret, nil
}
