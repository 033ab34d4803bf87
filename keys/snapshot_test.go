package keys

import (
	"crypto/rand"
	"strings"
	"testing"
)

// A KID is an argument of commands, so none may look like a flag.
func TestKIDsAreNoFlags(t *testing.T) {
	t.Parallel()
	sealer, err := NewSealer(make([]byte, MasterKeySize))
	if err != nil {
		t.Fatal(err)
	}
	for range 500 { // one in 64 would
		k, err := generate(EdDSA, rand.Reader, sealer)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(k.KID, "-") {
			t.Fatalf("KID %s", k.KID)
		}
	}
}
