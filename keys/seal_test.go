package keys_test

import (
	"bytes"
	"errors"
	"testing"

	"latchkey/keys"
	"latchkey/storage"
)

func TestNewSealerRefusesBadKeys(t *testing.T) {
	t.Parallel()
	for name, masters := range map[string][][]byte{
		"none":         nil,
		"short":        {masterKey(1)[:31]},
		"long":         {append(masterKey(1), 0)},
		"short second": {masterKey(1), []byte("short")},
	} {
		if _, err := keys.NewSealer(masters...); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

func TestSealRoundTrip(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	for _, plain := range [][]byte{nil, {0}, []byte("a secret"), bytes.Repeat([]byte("x"), 10_000)} {
		sealed, err := s.Seal(plain, "ctx")
		if err != nil {
			t.Fatalf("Seal: %v", err)
		}
		if len(plain) > 1 && bytes.Contains(sealed.Data, plain) {
			t.Error("the sealed data contains the plain text")
		}
		got, err := s.Open(sealed, "ctx")
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("Open: got %q, %v; want %q", got, err, plain)
		}
	}
}

func TestSealUsesNewNonces(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	a, _ := s.Seal([]byte("same"), "ctx")
	b, _ := s.Seal([]byte("same"), "ctx")
	if bytes.Equal(a.Data, b.Data) {
		t.Error("two seals of the same secret are equal, so the nonce repeats")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	sealed, err := s.Seal([]byte("secret"), "message:1")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := newSealer(t, masterKey(2)).Seal([]byte("secret"), "message:1")
	if err != nil {
		t.Fatal(err)
	}
	relabelled := storage.Sealed{KeyID: sealed.KeyID, Data: foreign.Data}
	flipped := storage.Sealed{KeyID: sealed.KeyID, Data: bytes.Clone(sealed.Data)}
	flipped.Data[len(flipped.Data)-1] ^= 1

	for _, c := range []struct {
		name    string
		sealed  storage.Sealed
		context string
		want    error
	}{
		{"other context", sealed, "message:2", keys.ErrTampered},
		{"empty context", sealed, "", keys.ErrTampered},
		{"unknown master key", foreign, "message:1", keys.ErrUnknownMasterKey},
		{"wrong key under our id", relabelled, "message:1", keys.ErrTampered},
		{"flipped bit", flipped, "message:1", keys.ErrTampered},
		{"cut short", storage.Sealed{KeyID: sealed.KeyID, Data: sealed.Data[:8]}, "message:1", keys.ErrTampered},
		{"empty", storage.Sealed{KeyID: sealed.KeyID}, "message:1", keys.ErrTampered},
		{"zero value", storage.Sealed{}, "message:1", keys.ErrUnknownMasterKey},
	} {
		if got, err := s.Open(c.sealed, c.context); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: Open: got %q, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestMasterKeyRotation(t *testing.T) {
	t.Parallel()
	before := newSealer(t, masterKey(1))
	after := newSealer(t, masterKey(2), masterKey(1))
	old, err := before.Seal([]byte("old"), "c")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open(old, "c"); err != nil || string(got) != "old" {
		t.Errorf("a secret of the old master key: got %q, error %v", got, err)
	}
	fresh, err := after.Seal([]byte("new"), "c")
	if err != nil {
		t.Fatal(err)
	}
	if fresh.KeyID == old.KeyID {
		t.Error("the new master key was not used to seal")
	}
	if _, err := before.Open(fresh, "c"); !errors.Is(err, keys.ErrUnknownMasterKey) {
		t.Errorf("before.Open(new): got %v, want ErrUnknownMasterKey", err)
	}
}

func TestKeyIDIsStable(t *testing.T) {
	t.Parallel()
	// Another derivation would make every stored secret unreadable.
	sealed, err := newSealer(t, masterKey(1)).Seal(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := "04f876285418029a"; sealed.KeyID != want {
		t.Errorf("got the ID %s of the test key, want %s", sealed.KeyID, want)
	}
}
