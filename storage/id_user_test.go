package storage

import (
	"crypto/rand"
	"strings"
	"testing"
)

func TestIsUserUID(t *testing.T) {
	t.Parallel()
	for range 1000 {
		uid, err := NewUserUID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{uid, strings.ToUpper(uid), strings.ReplaceAll(uid, "-", "")} {
			if !IsUserUID(id) {
				t.Errorf("%s: got false, want true for the UID of a user", id)
			}
		}
		other, err := NewUUID(rand.Reader)
		if err != nil || IsUserUID(other) {
			t.Errorf("%s: got true, want false for another UUID; error %v", other, err)
		}
	}
	for id, want := range map[string]bool{"": false, "storefront": false, "usr_x": true, "USR_x": true, "7d1f3f0e-3c5b-8a55-9d0a": false} {
		if IsUserUID(id) != want {
			t.Errorf("%q: got %v, want %v", id, !want, want)
		}
	}
}
