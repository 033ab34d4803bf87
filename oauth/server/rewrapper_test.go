package server

import (
	"testing"

	"latchkey/storage"
)

// TestSealContexts tests that for each kind of secret some package says with which context it
// is sealed.
func TestSealContexts(t *testing.T) {
	t.Parallel()
	for _, kind := range storage.SealedKinds() {
		found := 0
		for _, contexts := range sealContexts() {
			found += len(contexts(kind, "id"))
		}
		if found == 0 {
			t.Errorf("no package seals a %s", kind)
		}
	}
}
