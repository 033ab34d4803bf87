package deliver_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"latchkey/otp/deliver"
)

// whsec returns a signing secret whose key is n times the byte fill.
func whsec(fill byte, n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(fill)), n)))
}

func secrets(t *testing.T, texts ...string) []deliver.SigningSecret {
	t.Helper()
	var all []deliver.SigningSecret
	for _, text := range texts {
		s, err := deliver.ParseSigningSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestParseSigningSecret(t *testing.T) {
	t.Parallel()
	for _, good := range []string{whsec('a', 24), whsec('a', 32), whsec('a', 64)} {
		if _, err := deliver.ParseSigningSecret(good); err != nil {
			t.Errorf("%s: got %v, want no error", good, err)
		}
	}
	for _, bad := range []string{
		"", "whsec_", whsec('a', 1), whsec('a', 23), whsec('a', 65), strings.TrimPrefix(whsec('a', 32), "whsec_"),
		"whsec_!!!!", "whsec_" + strings.Repeat("-_", 20), whsec('a', 32) + "\n", " " + whsec('a', 32), "whsk_" + whsec('a', 32)[6:],
	} {
		if _, err := deliver.ParseSigningSecret(bad); err == nil || len(bad) > 6 && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: got %v, want an error without the secret", bad, err)
		}
	}
}

// TestSignStandard verifies the signatures with the library of the Standard Webhooks
// project.
func TestSignStandard(t *testing.T) {
	t.Parallel()
	oldSecret, newSecret, body := whsec('o', 32), whsec('n', 24), []byte(`{"a":1}`)
	verify := func(secret string, h http.Header, body []byte) bool {
		receiver, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		return receiver.Verify(body, h) == nil
	}
	sign := func(at time.Time, texts ...string) http.Header {
		header := http.Header{}
		if err := deliver.SignStandard(header, "msg_7", at, body, secrets(t, texts...)...); err != nil {
			t.Fatal(err)
		}
		return header
	}
	now := time.Now()
	before, during, after := sign(now, oldSecret), sign(now, newSecret, oldSecret), sign(now, newSecret)
	otherID := during.Clone()
	otherID.Set("webhook-id", "msg_8")
	tests := []struct {
		name   string
		secret string
		header http.Header
		body   string
		want   bool
	}{
		{"one secret", oldSecret, before, string(body), true},
		{"rotation, old receiver", oldSecret, during, string(body), true},
		{"rotation, new receiver", newSecret, during, string(body), true},
		{"after rotation, old receiver", oldSecret, after, string(body), false},
		{"after rotation, new receiver", newSecret, after, string(body), true},
		{"secret of another receiver", whsec('x', 32), during, string(body), false},
		{"changed body", oldSecret, during, `{"a":2}`, false},
		{"another id", oldSecret, otherID, string(body), false},
		{"replay after six minutes", oldSecret, sign(now.Add(-6*time.Minute), oldSecret), string(body), false},
		{"empty key", "whsec_", during, string(body), false},
	}
	for _, tt := range tests {
		if got := verify(tt.secret, tt.header, []byte(tt.body)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if n := len(strings.Split(during.Get("webhook-signature"), " ")); n != 2 {
		t.Errorf("got %d signatures, want 2", n)
	}
}

func TestSignStandardNeedsASecret(t *testing.T) {
	t.Parallel()
	for _, none := range [][]deliver.SigningSecret{nil, {{}}, append(secrets(t, whsec('a', 32)), deliver.SigningSecret{})} {
		header := http.Header{}
		if err := deliver.SignStandard(header, "msg_7", time.Now(), nil, none...); err == nil || len(header) != 0 {
			t.Errorf("SignStandard with %d secrets: got error %v, header %v; want an error", len(none), err, header)
		}
	}
}
