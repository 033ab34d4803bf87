package storage

// Sealed is a secret encrypted under the key-encryption key of that id.
type Sealed struct {
	KeyID string
	Data  []byte
}

// SealedKind is a kind of secret that is kept sealed.
type SealedKind string

// The kinds of sealed secrets.
const (
	SealedSigningKey     SealedKind = "signing key"
	SealedPepper         SealedKind = "pepper"
	SealedSharedKey      SealedKind = "sender shared key"
	SealedSigningSecrets SealedKind = "sender signing secrets"
	SealedSMTPPassword   SealedKind = "sender SMTP password"
	SealedDeliverySecret SealedKind = "delivery config secret"
	SealedDeliveryHeader SealedKind = "delivery config header"
	SealedMessage        SealedKind = "queued message"
)

// SealedKinds lists all kinds of sealed secrets.
func SealedKinds() []SealedKind {
	return []SealedKind{
		SealedSigningKey, SealedPepper, SealedSharedKey, SealedSigningSecrets, SealedSMTPPassword,
		SealedDeliverySecret, SealedDeliveryHeader, SealedMessage,
	}
}

// SealedSecret is a sealed secret of the record with that ID.
type SealedSecret struct {
	Kind   SealedKind
	ID     string
	Sealed Sealed
}

// SealedCount is how many secrets of a kind are sealed under the master key of
// that id.
type SealedCount struct {
	Kind  SealedKind
	KeyID string
	Count int
}
