package keys_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	fjwt "github.com/ory/fosite/token/jwt"

	"latchkey/keys"
)

func newSigner(t *testing.T, r *keys.Ring, alg string) *keys.Signer {
	t.Helper()
	s, err := keys.NewSigner(keys.SignerConfig{Ring: r, Issuer: issuer, Alg: alg})
	if err != nil {
		t.Fatalf("NewSigner: %v", err)
	}
	return s
}

func TestNewSignerRefusesBadConfig(t *testing.T) {
	t.Parallel()
	r := replica(t, &fakeStore{}, newClock(), keys.ES256)
	for name, cfg := range map[string]keys.SignerConfig{
		"no ring":     {Issuer: issuer},
		"no issuer":   {Ring: r},
		"unknown alg": {Ring: r, Issuer: issuer, Alg: "HS256"},
	} {
		if _, err := keys.NewSigner(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSignerRoundTrip(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), newClock()
	r := replica(t, &fakeStore{}, c, allAlgs...)
	for _, alg := range allAlgs {
		s := newSigner(t, r, alg)
		session := fjwt.NewHeaders()
		session.Add("tenant", "t1")
		for _, name := range []string{"kid", "typ", "jku", "jwk", "crit"} {
			session.Add(name, "from the session")
		}
		token, signature, err := s.Generate(ctx, fjwt.MapClaims(claimsAt(c.Now())), session)
		if err != nil {
			t.Fatalf("%s: Generate: %v", alg, err)
		}
		if !strings.HasSuffix(token, "."+signature) || strings.Contains(signature, ".") {
			t.Errorf("%s: signature %q of %q", alg, signature, token)
		}
		if again, err := s.Validate(ctx, token); err != nil || again != signature {
			t.Errorf("%s: Validate = %q, %v", alg, again, err)
		}
		decoded, err := s.Decode(ctx, token)
		if err != nil {
			t.Fatalf("%s: Decode: %v", alg, err)
		}
		wantHeader := map[string]any{"alg": alg, "kid": signingKID(t, r, alg), "typ": "at+jwt", "tenant": "t1"}
		if diff := cmp.Diff(wantHeader, decoded.Header); diff != "" {
			t.Errorf("%s: header (-want +got):\n%s", alg, diff)
		}
		if string(decoded.Method) != alg {
			t.Errorf("%s: method = %s", alg, decoded.Method)
		}
		if diff := cmp.Diff([]string{"api"}, decoded.Claims["aud"]); diff != "" {
			t.Errorf("%s: aud (-want +got):\n%s", alg, diff)
		}
		if _, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)}); err != nil {
			t.Errorf("%s: go-jose: %v", alg, err)
		}
	}
}

func TestSignerGenerateRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := replica(t, &fakeStore{}, newClock(), keys.ES256)
	s := newSigner(t, r, "")
	if _, _, err := s.Generate(ctx, nil, fjwt.NewHeaders()); err == nil {
		t.Error("no claims: no error")
	}
	if _, _, err := s.Generate(ctx, fjwt.MapClaims{}, nil); err == nil {
		t.Error("no header: no error")
	}
	if _, _, err := newSigner(t, r, keys.EdDSA).Generate(ctx, fjwt.MapClaims{}, fjwt.NewHeaders()); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("no key of the algorithm: %v", err)
	}
	unencodable := fjwt.NewHeaders()
	unencodable.Add("x", make(chan int))
	if _, _, err := s.Generate(ctx, fjwt.MapClaims{}, unencodable); err == nil {
		t.Error("header that cannot be encoded: no error")
	}
}

// TestDecodeErrors checks the bits from which fosite's strategies choose the OAuth error.
// They do not convert errors of other types.
func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	ctx, f := context.Background(), newForger(t)
	now := f.clock.Now().Unix()
	s := newSigner(t, f.ring, "")
	good := f.with(nil, nil)
	for name, c := range map[string]struct {
		token string
		want  uint32
	}{
		"malformed":   {"x.y", fjwt.ValidationErrorMalformed},
		"line break":  {good + "\n", fjwt.ValidationErrorMalformed},
		"signature":   {good[:len(good)-8] + "AAAAAAAA", fjwt.ValidationErrorSignatureInvalid},
		"unknown kid": {f.with(map[string]any{"kid": "x"}, nil), fjwt.ValidationErrorUnverifiable},
		"wrong typ":   {f.with(map[string]any{"typ": "JWT"}, nil), fjwt.ValidationErrorUnverifiable},
		"expired":     {f.with(nil, map[string]any{"exp": now}), fjwt.ValidationErrorExpired},
		"early":       {f.with(nil, map[string]any{"nbf": now + 1}), fjwt.ValidationErrorNotValidYet},
		"issuer":      {f.with(nil, map[string]any{"iss": "x"}), fjwt.ValidationErrorIssuer},
		"no iat":      {f.with(nil, map[string]any{"iat": nil}), fjwt.ValidationErrorClaimsInvalid},
		"no exp":      {f.with(nil, map[string]any{"exp": nil}), fjwt.ValidationErrorClaimsInvalid},
	} {
		token, err := s.Decode(ctx, c.token)
		var invalid *fjwt.ValidationError
		if !errors.As(err, &invalid) || invalid.Errors != c.want || token != nil {
			t.Errorf("%s: Decode = %v, %#v; want bits %b", name, token, err, c.want)
		}
		if signature, err := s.Validate(ctx, c.token); err == nil || signature != "" {
			t.Errorf("%s: Validate = %q, %v", name, signature, err)
		}
	}
}

func TestDecodedClaimsAreReadByFosite(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), newClock()
	r := replica(t, &fakeStore{}, c, keys.ES256)
	s := newSigner(t, r, "")
	want := fjwt.JWTClaims{
		Issuer: issuer, Subject: "usr_1", Audience: []string{"a", "b"}, JTI: "j", Scope: []string{"x", "y"},
		ScopeField: fjwt.JWTScopeFieldString, Extra: map[string]any{"client_id": "c1"},
		IssuedAt: c.Now(), NotBefore: c.Now(), ExpiresAt: c.Now().Add(10 * time.Hour),
	}
	token, _, err := s.Generate(ctx, want.ToMapClaims(), fjwt.NewHeaders())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rotate(ctx, ""); err != nil {
		t.Fatal(err)
	}
	c.Advance(keys.DefaultPublishAhead) // another key signs now
	decoded, err := s.Decode(ctx, token)
	if err != nil {
		t.Fatalf("Decode after a rotation: %v", err)
	}
	var got fjwt.JWTClaims
	got.FromMapClaims(decoded.Claims)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims that fosite reads back (-want +got):\n%s", diff)
	}
}

func TestSignerHelpers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newSigner(t, replica(t, &fakeStore{}, newClock(), keys.EdDSA), "")
	want := sha256.Sum256([]byte("x"))
	if got, err := s.Hash(ctx, []byte("x")); err != nil || !bytes.Equal(got, want[:]) || s.GetSigningMethodLength(ctx) != len(got) {
		t.Errorf("Hash = %x, %v", got, err)
	}
	if got, err := s.GetSignature(ctx, "a.b.c"); err != nil || got != "c" {
		t.Errorf("GetSignature = %q, %v", got, err)
	}
	for _, token := range []string{"", "a.b", "a.b.c.d"} {
		if _, err := s.GetSignature(ctx, token); err == nil {
			t.Errorf("GetSignature(%q): no error", token)
		}
	}
}
