package grants

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"latchkey/storage"
)

// peppers is a MACer with two peppers.
type peppers map[string]string

func (p peppers) CurrentID() string { return "new" }

func (p peppers) MAC(id, purpose string, data []byte) ([]byte, bool) {
	secret, ok := p[id]
	mac := hmac.New(sha256.New, []byte(secret+purpose))
	mac.Write(data)
	return mac.Sum(nil), ok
}

func refreshTokens() *RefreshTokens {
	return &RefreshTokens{Peppers: peppers{"new": "n", "old": "o"}, Rand: rand.Reader}
}

func TestRefreshTokenRoundTrip(t *testing.T) {
	t.Parallel()
	tokens := refreshTokens()
	family, first, err := tokens.Begin(storage.TokenFamily{ClientID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := tokens.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.FamilyID != family.ID || parsed.Generation != 1 || !parsed.BelongsTo(family) {
		t.Errorf("got %+v for family %+v", parsed, family)
	}
	second, err := tokens.At(parsed, 2)
	if err != nil {
		t.Fatal(err)
	}
	again, err := tokens.At(parsed, 2)
	if err != nil || again != second {
		t.Errorf("a retry returned another token, error %v", err)
	}
	other, _, err := tokens.Begin(storage.TokenFamily{})
	if err != nil {
		t.Fatal(err)
	}
	if parsed.BelongsTo(other) {
		t.Error("the token belongs to another family")
	}
}

// TestRefreshTokenForgeries changes each part of a token.
func TestRefreshTokenForgeries(t *testing.T) {
	t.Parallel()
	tokens := refreshTokens()
	_, token, err := tokens.Begin(storage.TokenFamily{})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(strings.TrimPrefix(token, refreshPrefix), ".")
	replace := func(i int, part string) string {
		changed := append([]string(nil), parts...)
		changed[i] = part
		return refreshPrefix + strings.Join(changed, ".")
	}
	forgeries := map[string]string{
		"empty":              "",
		"prefix only":        refreshPrefix,
		"no prefix":          strings.TrimPrefix(token, refreshPrefix),
		"other family":       replace(0, strings.Repeat("0", 26)),
		"next generation":    replace(1, "2"),
		"generation text":    replace(1, "one"),
		"other pepper":       replace(2, "old"),
		"unknown pepper":     replace(2, "none"),
		"other seed":         replace(3, strings.Repeat("A", 22)),
		"empty mac":          replace(4, ""),
		"truncated mac":      replace(4, parts[4][:20]),
		"extended":           token + "A",
		"one part more":      token + ".A",
		"one part less":      refreshPrefix + strings.Join(parts[1:], "."),
		"generation leading": replace(1, "01"),
	}
	for name, forged := range forgeries {
		if _, err := tokens.Parse(forged); !errors.Is(err, ErrRefreshToken) {
			t.Errorf("%s: %q: got error %v, want ErrRefreshToken", name, forged, err)
		}
	}
}

func FuzzRefreshTokenParse(f *testing.F) {
	tokens := refreshTokens()
	tokens.Rand = bytes.NewReader(make([]byte, 64)) // the same token in each fuzzing process
	_, token, err := tokens.Begin(storage.TokenFamily{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("lkr_a.1.new.s.")
	f.Add("lkr_....")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := tokens.Parse(s); err == nil && s != token {
			t.Errorf("%q was accepted, want an error", s)
		}
	})
}

// TestPublicFamilyIsBound tests that the family of a public client is bound to its key, and
// that the family of a confidential client is not.
func TestPublicFamilyIsBound(t *testing.T) {
	t.Parallel()
	for _, public := range []bool{true, false} {
		fx, client := newFixture(t)
		client.Public = public
		if _, err := askAs(&Session{JKT: "k"}, fx.accountMember(t), client, GrantAccountMember, form("username=bob one_time_password=12345678")); err != nil {
			t.Fatal(err)
		}
		for _, f := range fx.Families {
			if bound := f.Family.JKT == "k"; bound != public {
				t.Errorf("public %v: got a family bound to %q", public, f.Family.JKT)
			}
		}
		if len(fx.Families) != 1 {
			t.Errorf("got %d families, want 1", len(fx.Families))
		}
	}
}
