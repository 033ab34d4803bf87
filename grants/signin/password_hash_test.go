package signin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func newTestHasher(t *testing.T) *Hasher {
	t.Helper()
	h, err := NewHasher(HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestVerifyForeignHashes verifies hashes of the reference implementation of argon2, of
// crypt(3), and of Python's hashlib and the documentation of passlib.
func TestVerifyForeignHashes(t *testing.T) {
	t.Parallel()
	h := newTestHasher(t)
	tests := []struct{ name, encoded, password string }{
		{"argon2id, 64 MiB", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		{"bcrypt 2a", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		{"bcrypt 2b", "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2", "correct horse"},
		{"bcrypt 2y", "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2", "correct horse"},
		{"bcrypt of 72 bytes", "$2b$05$abcdefghijklmnopqrstuuGUnCqbfgs3htOkLrFduUjAyLBw1Rq/u", strings.Repeat("a", 72)},
		{"PBKDF2 of passlib", "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44", "password"},
		{"PBKDF2 with SHA-512", "$pbkdf2-sha512$25000$MDEyMzQ1Njc4OWFiY2RlZg$yyVe32BdCnspLA9WGJVPu6oHrHcLGm5LpfUKLSmViR32mSWVp0bbdfqkb7f6/9LmX27X6/WmwPN3kekWh.LKGg", "pässwörd mit Leerzeichen"},
		{"PBKDF2 as PHC", "$pbkdf2-sha512$i=25000,l=32$+/8wMTIzNDU2Nzg5$oJxcCanKlgHh94UmNpmRq3b5U/ape7M6uxzQODgnOkQ", "password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := CheckEncoded(tt.encoded); err != nil {
				t.Fatalf("CheckEncoded: got %v, want no error", err)
			}
			ok, upgrade, err := h.Verify(t.Context(), tt.encoded, tt.password)
			if !ok || !upgrade || err != nil {
				t.Errorf("right password: got ok %v, upgrade %v, error %v; want true, true, none", ok, upgrade, err)
			}
			for _, wrong := range []string{"", tt.password + " ", tt.password + "x"} {
				ok, upgrade, err := h.Verify(t.Context(), tt.encoded, wrong)
				if ok || upgrade || err != nil {
					t.Errorf("password %q: got ok %v, upgrade %v, error %v; want false, false, none", wrong, ok, upgrade, err)
				}
			}
		})
	}
}

func TestCheckEncodedRefuses(t *testing.T) {
	t.Parallel()
	const (
		salt = "c29tZXNhbHQ"
		tag  = "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	)
	h := newTestHasher(t)
	tests := map[string]string{
		"plain text":                   "secret",
		"plain text scheme":            "$plaintext$secret$x",
		"empty fields":                 "$$$",
		"4 GiB":                        "$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + tag,
		"just over the memory":         "$argon2id$v=19$m=262145,t=1,p=1$" + salt + "$" + tag,
		"memory over 32 bits":          "$argon2id$v=19$m=4294986752,t=1,p=1$" + salt + "$" + tag,
		"memory below 8 p":             "$argon2id$v=19$m=31,t=1,p=4$" + salt + "$" + tag,
		"no passes":                    "$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + tag,
		"too many passes":              "$argon2id$v=19$m=65536,t=11,p=1$" + salt + "$" + tag,
		"no lanes":                     "$argon2id$v=19$m=65536,t=1,p=0$" + salt + "$" + tag,
		"too many lanes":               "$argon2id$v=19$m=65536,t=1,p=9$" + salt + "$" + tag,
		"lanes that wrap a byte":       "$argon2id$v=19$m=65536,t=1,p=257$" + salt + "$" + tag,
		"no version":                   "$argon2id$m=65536,t=2,p=1$" + salt + "$" + tag,
		"old version":                  "$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + tag,
		"absent parameter":             "$argon2id$v=19$m=65536,t=2$" + salt + "$" + tag,
		"repeated parameter":           "$argon2id$v=19$m=65536,m=65536,p=1$" + salt + "$" + tag,
		"signed parameter":             "$argon2id$v=19$m=+65536,t=2,p=1$" + salt + "$" + tag,
		"argon2i":                      "$argon2i$v=19$m=65536,t=2,p=1$" + salt + "$" + tag,
		"no salt":                      "$argon2id$v=19$m=65536,t=2,p=1$$" + tag,
		"no tag":                       "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$",
		"short tag":                    "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$AAAA",
		"huge tag":                     "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + strings.Repeat("A", 400),
		"longer than any hash":         "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + strings.Repeat("A", 600),
		"padded base64":                "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ=$" + tag,
		"bcrypt cost 3":                "$2b$03$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
		"bcrypt cost 15":               "$2b$15$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
		"bcrypt cost 31":               "$2b$31$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
		"bcrypt cost of one digit":     "$2b$5$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
		"bcrypt too short":             "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy",
		"bcrypt too long":              "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy22",
		"bcrypt with a line end":       "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy\n",
		"bcrypt of the buggy kind":     "$2x$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2",
		"PBKDF2 with SHA-1":            "$pbkdf2$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrU",
		"PBKDF2 with SHA-1, named":     "$pbkdf2-sha1$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrU",
		"PBKDF2 of few iterations":     "$pbkdf2-sha256$999$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44",
		"PBKDF2 of many iterations":    "$pbkdf2-sha256$2000001$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44",
		"PBKDF2 of a wrong length":     "$pbkdf2-sha256$i=6400,l=64$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44",
		"PBKDF2 with a further option": "$pbkdf2-sha256$i=6400,l=32,x=1$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44",
		"MD5 crypt":                    "$1$abcdefgh$irWbblnpmw.5z7wgBnprh0",
	}
	for name, encoded := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := CheckEncoded(encoded); !errors.Is(err, ErrHashRefused) {
				t.Errorf("CheckEncoded: got %v, want ErrHashRefused", err)
			}
			// The same bounds apply to a hash that is already stored.
			ok, upgrade, err := h.Verify(t.Context(), encoded, "secret")
			if ok || upgrade || !errors.Is(err, ErrHashRefused) {
				t.Errorf("Verify: got ok %v, upgrade %v, error %v; want ErrHashRefused", ok, upgrade, err)
			}
		})
	}
}

func TestParseHashBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		scheme := rapid.SampledFrom([]string{"argon2id", "2b", "pbkdf2-sha256", "pbkdf2-sha512"}).Draw(t, "scheme")
		fields := rapid.SliceOfN(rapid.StringMatching(`([mtpvil]=)?[0-9]{0,12}(,[mtp]=[0-9]{0,6}){0,3}|[A-Za-z0-9+/.]{0,90}`), 2, 5).Draw(t, "fields")
		parsed, err := parseHash("$" + scheme + "$" + strings.Join(fields, "$"))
		if err != nil {
			return
		}
		switch p := parsed.(type) {
		case argon2Hash:
			if p.memory > maxMemory || p.passes < 1 || p.passes > maxPasses || p.lanes < 1 || p.lanes > maxLanes {
				t.Fatalf("got parameters out of bounds: %+v", p)
			}
		case pbkdf2Hash:
			if p.iterations < minIterations || p.iterations > maxIterations {
				t.Fatalf("got parameters out of bounds: %+v", p)
			}
		}
	})
}

func TestHashRoundTrip(t *testing.T) {
	t.Parallel()
	h := newTestHasher(t)
	passwords := []string{"secret", " leading and trailing ", "nul\x00inside", "\xff\xfe not UTF-8", strings.Repeat("ä", 100), "e\u0301"}
	for _, password := range passwords {
		t.Run(password, func(t *testing.T) {
			t.Parallel()
			encoded, err := h.Hash(t.Context(), password)
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckEncoded(encoded); err != nil {
				t.Errorf("CheckEncoded(%q): got %v, want no error", encoded, err)
			}
			if !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") {
				t.Errorf("got the parameters of %q, want those of the current format", encoded)
			}
			ok, upgrade, err := h.Verify(t.Context(), encoded, password)
			if !ok || upgrade || err != nil {
				t.Errorf("got ok %v, upgrade %v, error %v; want true, false, none", ok, upgrade, err)
			}
			if ok, _, _ := h.Verify(t.Context(), encoded, strings.TrimSpace(password)+"x"); ok {
				t.Error("another password matches")
			}
		})
	}
}

// TestVerifyNormalizes tests that a password matches in every Unicode normal form, whichever
// form it was set in. The keyboard decides in which form a password is sent.
func TestVerifyNormalizes(t *testing.T) {
	t.Parallel()
	h := newTestHasher(t)
	forms := []string{"caf\u00e9 \ufb01n \uff11", "cafe\u0301 \ufb01n \uff11", "caf\u00e9 fin 1", "cafe\u0301 fin 1"} // NFC, NFD, NFKC, NFKD
	for _, set := range forms {
		encoded, err := h.Hash(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		for _, typed := range forms {
			if ok, upgrade, err := h.Verify(t.Context(), encoded, typed); !ok || upgrade || err != nil {
				t.Errorf("set as %+q, typed as %+q: got ok %v, upgrade %v, error %v", set, typed, ok, upgrade, err)
			}
		}
		for _, wrong := range []string{"cafe fin 1", "Caf\u00e9 fin 1", "caf\u00e9fin 1"} {
			if ok, _, err := h.Verify(t.Context(), encoded, wrong); ok || err != nil {
				t.Errorf("set as %+q, typed as %+q: got ok %v, error %v", set, wrong, ok, err)
			}
		}
	}
}

// TestVerifyHashOfAnotherForm tests a hash that another system or an earlier version computed
// from another normal form. It matches what a keyboard sends for that form, and should be
// replaced.
func TestVerifyHashOfAnotherForm(t *testing.T) {
	t.Parallel()
	h := newTestHasher(t)
	for _, test := range []struct{ hashed, typed string }{
		{"cafe\u0301", "cafe\u0301"},
		{"cafe\u0301", "caf\u00e9"},
		{"\ufb01n\u00e9", "\ufb01n\u00e9"},
		{"\ufb01n\u00e9", "\ufb01ne\u0301"},
		{"\ufb01ne\u0301", "\ufb01n\u00e9"},
		{"not UTF-8 \xff\ufb01", "not UTF-8 \xff\ufb01"},
	} {
		old, err := h.newArgon2()
		if err != nil {
			t.Fatal(err)
		}
		old.tag = old.compute(test.hashed)
		if ok, upgrade, err := h.Verify(t.Context(), old.String(), test.typed); !ok || !upgrade || err != nil {
			t.Errorf("hashed %+q, typed %+q: got ok %v, upgrade %v, error %v; want true, true, none", test.hashed, test.typed, ok, upgrade, err)
		}
	}
}

func TestBcryptAmbiguousPasswords(t *testing.T) {
	t.Parallel()
	h := newTestHasher(t)
	tests := []struct{ name, encoded, password string }{
		// "U*U", NUL, "U*U" expands to the same key as "U*U".
		{"repeated after a NUL", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U\x00U*U"},
		// crypt(3) computed this hash from 72 letters a.
		{"longer than 72 bytes", "$2b$05$abcdefghijklmnopqrstuuGUnCqbfgs3htOkLrFduUjAyLBw1Rq/u", strings.Repeat("a", 73)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if ok, _, err := h.Verify(t.Context(), tt.encoded, tt.password); ok || err != nil {
				t.Errorf("got ok %v, error %v; want false, none", ok, err)
			}
		})
	}
}

func TestVerifyAbsentHash(t *testing.T) {
	t.Parallel()
	h := newTestHasher(t)
	for _, password := range []string{"", "secret"} {
		ok, upgrade, err := h.Verify(t.Context(), "", password)
		if ok || upgrade || err != nil {
			t.Errorf("password %q: got ok %v, upgrade %v, error %v; want false, false, none", password, ok, upgrade, err)
		}
	}
	if h.dummy.memory != currentMemory || h.dummy.passes != currentPasses || h.dummy.tagLen != currentTag {
		t.Errorf("an absent hash costs %+v, want the cost of a new hash", h.dummy)
	}
}

func TestHasherBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, err := NewHasher(HasherConfig{Concurrency: 1, Queue: 1, MaxWait: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if !h.slots.TryAcquire(1) {
			t.Fatal("no free slot at the start")
		}
		waited := make(chan error)
		go func() {
			_, err := h.Hash(t.Context(), "secret")
			waited <- err
		}()
		synctest.Wait() // the queue is full now
		if _, _, err := h.Verify(t.Context(), "", "secret"); !errors.Is(err, ErrBusy) {
			t.Errorf("with a full queue: got %v, want ErrBusy", err)
		}
		if err := <-waited; !errors.Is(err, ErrBusy) { // the fake clock jumps to MaxWait
			t.Errorf("after MaxWait: got %v, want ErrBusy", err)
		}
		h.slots.Release(1)
		if _, err := h.Hash(t.Context(), "secret"); err != nil {
			t.Errorf("with a free slot: got %v, want no error", err)
		}
	})
}

func TestHasherCancelled(t *testing.T) {
	t.Parallel()
	h, err := NewHasher(HasherConfig{Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	h.slots.TryAcquire(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := h.Verify(ctx, "", "secret"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestWeightOfCostlyHash(t *testing.T) {
	t.Parallel()
	costly, err := parseHash("$argon2id$v=19$m=262144,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil {
		t.Fatal(err)
	}
	if got := costly.weight(); got != 14 {
		t.Errorf("256 MiB: got the weight of %d hashes of 19 MiB, want 14", got)
	}
}

func TestNewHasherFaults(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]HasherConfig{
		"concurrency": {Concurrency: -1},
		"queue":       {Queue: -1},
		"wait":        {MaxWait: -1},
		"random":      {Rand: iotest.ErrReader(errors.New("no randomness"))},
	} {
		if _, err := NewHasher(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
