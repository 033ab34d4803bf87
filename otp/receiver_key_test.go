package otp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"latchkey/otp"
	"latchkey/storage"
)

func jwk(t *testing.T, k jose.JSONWebKey) []byte {
	t.Helper()
	text, err := k.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSealCode decrypts codes with go-jose, and accepts the expected algorithms only.
func TestSealCode(t *testing.T) {
	t.Parallel()
	p := otp.Payload{Username: "jane", Code: "8BM3SYBG", ClientID: "shop", UserUID: "usr_1", ExpiresAt: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)}
	tests := []struct {
		name string
		key  crypto.Signer
		alg  jose.KeyAlgorithm
		kid  string
	}{
		{"P-256", ecKey(t, elliptic.P256()), jose.ECDH_ES_A256KW, "mine"},
		{"P-384", ecKey(t, elliptic.P384()), jose.ECDH_ES_A256KW, ""},
		{"RSA", rsaKey(t, 2048), jose.RSA_OAEP_256, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			public := jose.JSONWebKey{Key: tt.key.Public(), KeyID: tt.kid}
			sealed, err := p.SealCode(jwk(t, public), "msg_7")
			if err != nil {
				t.Fatal(err)
			}
			object, err := jose.ParseEncryptedCompact(sealed, []jose.KeyAlgorithm{tt.alg}, []jose.ContentEncryption{jose.A256GCM})
			if err != nil {
				t.Fatal(err)
			}
			if kid := object.Header.KeyID; kid == "" || tt.kid != "" && kid != tt.kid {
				t.Errorf("got kid %q", kid)
			}
			plain, err := object.Decrypt(tt.key)
			if err != nil {
				t.Fatal(err)
			}
			const want = `{"message_id":"msg_7","username":"jane","client_id":"shop","code":"8BM3SYBG","expires_at":"2031-01-02T03:04:05Z"}`
			if diff := cmp.Diff(want, string(plain)); diff != "" {
				t.Error(diff)
			}
			again, err := p.SealCode(jwk(t, public), "msg_7")
			if err != nil || again == sealed || strings.Contains(sealed, "8BM3SYBG") {
				t.Errorf("sealed twice: got error %v, the same text: %v", err, again == sealed)
			}
		})
	}
}

func TestParseReceiverKeyRefuses(t *testing.T) {
	t.Parallel()
	ec := ecKey(t, elliptic.P256())
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var noPoint map[string]any
	if err := json.Unmarshal(jwk(t, jose.JSONWebKey{Key: ec.Public()}), &noPoint); err != nil {
		t.Fatal(err)
	}
	noPoint["x"] = noPoint["y"]
	offCurve, err := json.Marshal(noPoint)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{
		"nothing":              nil,
		"no JSON":              []byte("key"),
		"null":                 []byte("null"),
		"list":                 []byte("[]"),
		"empty":                []byte("{}"),
		"private EC":           jwk(t, jose.JSONWebKey{Key: ec}),
		"private RSA":          jwk(t, jose.JSONWebKey{Key: rsaKey(t, 2048)}),
		"symmetric":            jwk(t, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef")}),
		"private though empty": []byte(`{"kty":"EC","d":""}`),
		"for signatures":       jwk(t, jose.JSONWebKey{Key: ec.Public(), Use: "sig"}),
		"another algorithm":    jwk(t, jose.JSONWebKey{Key: ec.Public(), Algorithm: "ES256"}),
		"a weaker algorithm":   jwk(t, jose.JSONWebKey{Key: &rsaKey(t, 2048).PublicKey, Algorithm: "RSA1_5"}),
		"Ed25519":              jwk(t, jose.JSONWebKey{Key: edwards}),
		"short RSA":            jwk(t, jose.JSONWebKey{Key: &rsaKey(t, 1024).PublicKey}),
		"not on the curve":     offCurve,
	} {
		if k, err := otp.ParseReceiverKey(key); err == nil || k != nil {
			t.Errorf("%s: got %v, error %v; want an error", name, k, err)
		}
	}
	for name, key := range map[string][]byte{
		"for encryption":    jwk(t, jose.JSONWebKey{Key: ec.Public(), Use: "enc"}),
		"the algorithm":     jwk(t, jose.JSONWebKey{Key: ec.Public(), Algorithm: "ECDH-ES+A256KW"}),
		"the RSA algorithm": jwk(t, jose.JSONWebKey{Key: &rsaKey(t, 2048).PublicKey, Algorithm: "RSA-OAEP-256"}),
	} {
		if _, err := otp.ParseReceiverKey(key); err != nil {
			t.Errorf("%s: got %v, want no error", name, err)
		}
	}
}

// TestServiceSealsToTheReceiver tests that the master key does not reveal the code in a message
// to a receiver with a key. Other receivers of the same code are not affected.
func TestServiceSealsToTheReceiver(t *testing.T) {
	t.Parallel()
	private := ecKey(t, elliptic.P256())
	public := jwk(t, jose.JSONWebKey{Key: private.Public()})
	synctest.Test(t, func(t *testing.T) {
		w := newFixture(t)
		plain := w.senders[0]
		sealing := plain
		sealing.ID, sealing.PublicJWK = "sealing", public
		w.senders = []storage.Sender{sealing, plain}
		stop := w.run(t, w.service)
		w.ask(t, otp.Request{Username: "bob"})
		synctest.Wait()
		stop()
		if len(w.messages) != 2 {
			t.Fatalf("got %d messages, want 2", len(w.messages))
		}
		m, code := w.messages[0], w.opened(t, w.messages[1]).Code
		carried := w.opened(t, m).Code
		if m.SenderID != "sealing" || strings.Contains(carried, code) || strings.Count(carried, ".") != 4 {
			t.Fatalf("a message of %s: got the code %q", m.SenderID, carried)
		}
		object, err := jose.ParseEncryptedCompact(carried, []jose.KeyAlgorithm{jose.ECDH_ES_A256KW}, []jose.ContentEncryption{jose.A256GCM})
		if err != nil {
			t.Fatal(err)
		}
		text, err := object.Decrypt(private)
		if err != nil {
			t.Fatal(err)
		}
		var got otp.SealedCode
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		want := otp.SealedCode{MessageID: m.ID, Username: "bob", ClientID: "shop", Code: code, ExpiresAt: m.ExpiresAt}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
