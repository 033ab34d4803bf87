package apply_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

const (
	oldSecret = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQg"
	newSecret = "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXcg"
)

func sender(settings string) string {
	return "MessageSenders: [{ID: s, Name: S, MessageTypes: [OneTimePassword], AllowAllBuyers: true, " + settings + "}]"
}

func mailSender(settings string) string {
	return sender("Kind: smtp, SMTP: {Host: mail.example.com, From: shop@example.com, " + settings + "}")
}

func (b *bench) stored() storage.Sender {
	b.t.Helper()
	s, err := b.store.Sender(b.t.Context(), "s")
	fatal(b.t, err)
	return s
}

func (b *bench) opened(s storage.Sealed, context string) string {
	b.t.Helper()
	plain, err := b.cfg.Sealer.Open(s, context)
	fatal(b.t, err)
	return string(plain)
}

// Secrets are sealed for what they are, found unchanged by a second run, kept
// when they are left out, and never shown.
func TestSenderSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	standard := "URL: 'https://x.org', Signature: standard-webhooks"
	steps := []struct {
		name, document string
		want           []string
	}{
		{"one secret", sender(standard + ", SigningSecrets: [" + oldSecret + "]"), []string{"create MessageSender s"}},
		{"once more", sender(standard + ", SigningSecrets: [" + oldSecret + "]"), nil},
		{"left out", sender(standard), nil},
		{"rotation", sender(standard + ", SigningSecrets: [" + newSecret + ", " + oldSecret + "]"), []string{"update MessageSender s: SigningSecrets"}},
		{"mail", mailSender("Username: shop, Password: right-Horse"), []string{"update MessageSender s: URL, Kind, Signature, SMTP, SMTP.Password"}},
		{"the same mail", mailSender("Username: shop, Password: right-Horse"), nil},
		{"mail, left out", mailSender("Username: shop"), nil},
		{"another password", mailSender("Username: shop, Password: left-Horse"), []string{"update MessageSender s: SMTP.Password"}},
	}
	for _, step := range steps {
		if got := b.apply(step.document); !slices.Equal(got, step.want) {
			t.Errorf("%s: changes %q, want %q", step.name, got, step.want)
		}
		s := b.stored()
		if step.name == "rotation" {
			var secrets []string
			fatal(t, json.Unmarshal([]byte(b.opened(s.SigningSecrets, wire.SigningSecretsContext)), &secrets))
			if !slices.Equal(secrets, []string{newSecret, oldSecret}) {
				t.Errorf("secrets %q", secrets)
			}
		}
		shown, err := json.Marshal([]any{s, wire.MessageSenderFromRecord(s)})
		fatal(t, err)
		if bytes.Contains(shown, []byte("whsec_")) || bytes.Contains(shown, []byte("Horse")) {
			t.Errorf("%s: %s", step.name, shown)
		}
	}
	s := b.stored()
	if got := b.opened(s.SMTP.Password, wire.SMTPPasswordContext); got != "left-Horse" {
		t.Errorf("password %q", got)
	}
	if _, err := b.cfg.Sealer.Open(s.SMTP.Password, wire.SharedKeyContext); err == nil {
		t.Error("the password opens as another secret")
	}
	if len(s.SigningSecrets.Data) > 0 {
		t.Error("a sender of mail keeps signing secrets")
	}
}

// A stored password does not follow a sender to another server.
func TestSenderPasswordDoesNotMove(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.apply(mailSender("Username: shop, Password: right-Horse"))
	moved := strings.Replace(mailSender("Username: shop"), "mail.example.com", "mail.evil.example", 1)
	if _, err := b.try(moved, false); err == nil || !strings.Contains(err.Error(), "MessageSenders[0].SMTP.Password: is required") {
		t.Errorf("error %v", err)
	}
}

// A sender may deliver by a delivery config, which must be there.
func TestSenderDeliveryConfig(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.try(sender("DeliveryConfigID: shared"), false); err == nil || !strings.Contains(err.Error(), "MessageSenders[0].DeliveryConfigID: there is no delivery config shared") {
		t.Errorf("error %v", err)
	}
	_, err := b.store.PutDeliveryConfig(t.Context(), storage.DeliveryConfig{ID: "shared", RealmID: storage.DefaultRealmID, Target: storage.MessageSenderTarget})
	fatal(t, err)
	if got := b.apply(sender("DeliveryConfigID: shared")); !slices.Equal(got, []string{"create MessageSender s"}) || b.stored().DeliveryConfig != "shared" {
		t.Errorf("changes %q, stored %+v", got, b.stored())
	}
	if got := b.apply(sender("DeliveryConfigID: shared, Active: false")); !slices.Equal(got, []string{"update MessageSender s: Active"}) || b.stored().Active {
		t.Errorf("changes %q, stored %+v", got, b.stored())
	}
}
