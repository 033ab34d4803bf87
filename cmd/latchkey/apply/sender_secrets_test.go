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

func (db *database) stored() storage.Sender {
	db.t.Helper()
	s, err := db.store.Sender(db.t.Context(), "s")
	must(db.t, err)
	return s
}

func (db *database) opened(s storage.Sealed, context string) string {
	db.t.Helper()
	plain, err := db.cfg.Sealer.Open(s, context)
	must(db.t, err)
	return string(plain)
}

// TestSenderSecrets tests that secrets are sealed with their own context, do not change in a
// second run, stay if they are omitted, and are never shown.
func TestSenderSecrets(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
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
		if got := db.apply(step.document); !slices.Equal(got, step.want) {
			t.Errorf("%s: got the changes %q, want %q", step.name, got, step.want)
		}
		s := db.stored()
		if step.name == "rotation" {
			var secrets []string
			must(t, json.Unmarshal([]byte(db.opened(s.SigningSecrets, wire.SigningSecretsContext)), &secrets))
			if !slices.Equal(secrets, []string{newSecret, oldSecret}) {
				t.Errorf("got the secrets %q", secrets)
			}
		}
		shown, err := json.Marshal([]any{s, wire.MessageSenderFromRecord(s)})
		must(t, err)
		if bytes.Contains(shown, []byte("whsec_")) || bytes.Contains(shown, []byte("Horse")) {
			t.Errorf("%s: got a secret in %s, want none", step.name, shown)
		}
	}
	s := db.stored()
	if got := db.opened(s.SMTP.Password, wire.SMTPPasswordContext); got != "left-Horse" {
		t.Errorf("got password %q, want \"left-Horse\"", got)
	}
	if _, err := db.cfg.Sealer.Open(s.SMTP.Password, wire.SharedKeyContext); err == nil {
		t.Error("opening the password as another secret: got no error, want one")
	}
	if len(s.SigningSecrets.Data) > 0 {
		t.Error("got signing secrets of a mail sender, want none")
	}
}

// TestSenderPasswordDoesNotMove tests that a stored SMTP password is not used for another
// server.
func TestSenderPasswordDoesNotMove(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	db.apply(mailSender("Username: shop, Password: right-Horse"))
	moved := strings.Replace(mailSender("Username: shop"), "mail.example.com", "mail.evil.example", 1)
	if _, err := db.run(moved, false); err == nil || !strings.Contains(err.Error(), "MessageSenders[0].SMTP.Password: is required") {
		t.Errorf("got error %v, want the password to be required", err)
	}
}

// TestSenderDeliveryConfig tests that the delivery config of a sender must exist.
func TestSenderDeliveryConfig(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	if _, err := db.run(sender("DeliveryConfigID: shared"), false); err == nil || !strings.Contains(err.Error(), "MessageSenders[0].DeliveryConfigID: there is no delivery config shared") {
		t.Errorf("got error %v, want a missing delivery config", err)
	}
	_, err := db.store.PutDeliveryConfig(t.Context(), storage.DeliveryConfig{ID: "shared", RealmID: storage.DefaultRealmID, Target: storage.MessageSenderTarget})
	must(t, err)
	if got := db.apply(sender("DeliveryConfigID: shared")); !slices.Equal(got, []string{"create MessageSender s"}) || db.stored().DeliveryConfig != "shared" {
		t.Errorf("got the changes %q and the stored sender %+v", got, db.stored())
	}
	if got := db.apply(sender("DeliveryConfigID: shared, Active: false")); !slices.Equal(got, []string{"update MessageSender s: Active"}) || db.stored().Active {
		t.Errorf("got the changes %q and the stored sender %+v", got, db.stored())
	}
}
