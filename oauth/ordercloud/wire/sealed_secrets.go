package wire

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"io"

	"latchkey/oauth/surface"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

// Additional data of sealed secrets. It keeps the secret of one member from passing
// for that of another.
const (
	SharedKeyContext      = "message_sender.shared_key"
	SigningSecretsContext = "message_sender.signing_secrets"
	SMTPPasswordContext   = "message_sender.smtp_password"
)

// SealSecrets seals the secrets of the sender that are new into the record of
// ToRecord, and names their members. The error is that of the sealer.
func (s MessageSender) SealSecrets(with surface.Sealer, into *storage.Sender) (changed []string, err error) {
	var password *string
	if s.SMTP != nil {
		password = s.SMTP.Password
	}
	return sealAll(with, []secretMember{
		{"SharedKey", SharedKeyContext, bytesOf(s.SharedKey), &into.SharedKey},
		{"SigningSecrets", SigningSecretsContext, listOfSecrets(s.SigningSecrets), &into.SigningSecrets},
		{"SMTP.Password", SMTPPasswordContext, bytesOf(password), &into.SMTP.Password},
	})
}

// secretMember is a member that is stored sealed.
type secretMember struct {
	member, context string
	given           []byte // nil: the stored one stays
	into            *storage.Sealed
}

func sealAll(with surface.Sealer, members []secretMember) (changed []string, err error) {
	for _, m := range members {
		if m.given == nil || sealedAs(with, *m.into, m.context, m.given) {
			continue
		}
		if *m.into, err = with.Seal(m.given, m.context); err != nil {
			return nil, err
		}
		changed = append(changed, m.member)
	}
	return changed, nil
}

// ChangedSenderSecrets names the members with another secret than before.
func ChangedSenderSecrets(before, after storage.Sender) []string {
	return changedSealed([]sealedMember{
		{"SharedKey", before.SharedKey, after.SharedKey},
		{"SigningSecrets", before.SigningSecrets, after.SigningSecrets},
		{"SMTP.Password", before.SMTP.Password, after.SMTP.Password},
	})
}

// ChangedDeliverySecrets names the members with another secret than before.
func ChangedDeliverySecrets(before, after storage.DeliveryConfig) []string {
	target := "DeliveryTargets." + string(after.Target) + "."
	return changedSealed([]sealedMember{
		{target + "Secret", before.Secret, after.Secret},
		{target + "CustomAuthHeaderValue", before.CustomAuthHeader, after.CustomAuthHeader},
	})
}

// sealedMember is a sealed member before and after a change.
type sealedMember struct {
	member        string
	before, after storage.Sealed
}

// changedSealed names the members with another secret than before. A secret that is
// sent again is not sealed again, so equal bytes are the same secret.
func changedSealed(members []sealedMember) []string {
	var names []string
	for _, m := range members {
		if !bytes.Equal(m.before.Data, m.after.Data) {
			names = append(names, m.member)
		}
	}
	return names
}

// sealedAs reports whether the stored secret is the given one.
func sealedAs(with surface.Sealer, stored storage.Sealed, context string, given []byte) bool {
	if len(stored.Data) == 0 {
		return false
	}
	opened, err := with.Open(stored, context)
	return err == nil && subtle.ConstantTimeCompare(opened, given) == 1
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

// listOfSecrets returns several secrets as one, see storage.Sender.SigningSecrets.
func listOfSecrets(list []string) []byte {
	if len(list) == 0 {
		return nil
	}
	encoded, _ := json.Marshal(list) // cannot fail on strings
	return encoded
}

// secretBytes is the length of a secret that the server makes.
const secretBytes = 32

// OpenSigningSecrets returns the secrets of a sender that signs as Standard Webhooks, newest
// first, and none of another. The error is that of the sealer.
func OpenSigningSecrets(with surface.Sealer, s storage.Sender) (secrets []string, err error) {
	if s.Signature != storage.StandardWebhookSignature || len(s.SigningSecrets.Data) == 0 {
		return nil, nil
	}
	plain, err := with.Open(s.SigningSecrets, SigningSecretsContext)
	if err == nil {
		err = json.Unmarshal(plain, &secrets)
	}
	return secrets, err
}

// RotateSecret gives the sender a new secret and returns it. overlap reports whether the
// former secret still signs. A former SharedKey does not, because its header has room for
// one signature. The error is that of the sealer or of random.
func RotateSecret(with surface.Sealer, random io.Reader, s *storage.Sender) (secret string, overlap bool, err error) {
	key := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, key); err != nil {
		return "", false, err
	}
	if SecretKind(*s) == "SharedKey" {
		secret = base64.RawURLEncoding.EncodeToString(key)
		s.SharedKey, err = with.Seal([]byte(secret), SharedKeyContext)
		return secret, false, err
	}
	secrets, err := OpenSigningSecrets(with, *s)
	if err != nil {
		return "", false, err
	}
	secret = deliver.FormatSigningSecret(key)
	secrets = append([]string{secret}, secrets[:min(len(secrets), maxSigningSecrets-1)]...)
	s.SigningSecrets, err = with.Seal(listOfSecrets(secrets), SigningSecretsContext)
	return secret, len(secrets) > 1, err
}

// RetireSecret leaves the sender its newest secret only. retired reports whether there was
// another one.
func RetireSecret(with surface.Sealer, s *storage.Sender) (retired bool, err error) {
	secrets, err := OpenSigningSecrets(with, *s)
	if err != nil || len(secrets) < maxSigningSecrets {
		return false, err
	}
	s.SigningSecrets, err = with.Seal(listOfSecrets(secrets[:1]), SigningSecretsContext)
	return true, err
}

// SealContexts returns the additional data that this package seals a secret of the
// kind with; see keys.Sealer. It returns nil for kinds that it does not seal.
func SealContexts(kind storage.SealedKind, _ string) []string {
	switch kind {
	case storage.SealedSharedKey:
		return []string{SharedKeyContext}
	case storage.SealedSigningSecrets:
		return []string{SigningSecretsContext}
	case storage.SealedSMTPPassword:
		return []string{SMTPPasswordContext}
	case storage.SealedDeliverySecret:
		return []string{DeliverySecretContext}
	case storage.SealedDeliveryHeader:
		return []string{DeliveryHeaderContext}
	default:
		return nil
	}
}
