package access

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// FuzzUsers reads anything as a file of users. A user of it has a hash that can be compared in bounded time, or none,
// and a user with a list of policy scopes is never one who may see all.
func FuzzUsers(f *testing.F) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("# people\n\nanna:" + string(hash) + "\nbert:" + string(hash) + ":lab, campus\n*:*:lab\n")
	f.Add("anna:" + string(hash) + ":,\n")
	f.Add("anna:" + string(hash) + ":lab\nanna:" + string(hash) + "\n")
	f.Add("anna:" + string(hash) + "\nANNA:" + string(hash) + ":lab\n")
	f.Add("anna:$2a$31$7EqJtq98hPqEX7fNZaFWoOHi5Hj1MF7/FHT/jJ4Dr7yFHVYGLxzqS\r\n:*:a\nx")
	path := filepath.Join(f.TempDir(), "users")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := readUsers(path)
		if err != nil {
			if found != nil {
				t.Errorf("users with the error %v", err)
			}
			return
		}
		hashes, scopes := found.hashes, found.scopes
		if len(found.names) != len(hashes) {
			t.Errorf("%d names of %d users", len(found.names), len(hashes))
		}
		if len(hashes) == 0 || len(hashes) > mostUsers {
			t.Errorf("%d users", len(hashes))
		}
		for name, hash := range hashes {
			switch cost, err := bcrypt.Cost(hash); {
			case name == "", err == nil && cost > maxCost:
				t.Errorf("%q has a hash of cost %d", name, cost)
			case err != nil && (string(hash) != "*" || len(scopes[name]) == 0):
				t.Errorf("%q has the hash %q and the scopes %q", name, hash, scopes[name])
			}
		}
	})
}
