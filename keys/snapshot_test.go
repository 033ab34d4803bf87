package keys

import (
	"crypto/rand"
	"strings"
	"testing"
)

// TestKIDsAreNoFlags tests that no kid starts with "-", because a kid is an argument of
// commands.
func TestKIDsAreNoFlags(t *testing.T) {
	t.Parallel()
	sealer, err := NewSealer(make([]byte, MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	for range 500 { // one in 64 starts with "-"
		k, err := generate(EdDSA, rand.Reader, sealer)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(k.KID, "-") {
			t.Fatalf("got the kid %s", k.KID)
		}
	}
}
