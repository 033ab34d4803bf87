package storage

// Sealed is a secret that is encrypted with the master key KeyID.
type Sealed struct {
	KeyID string
	Data  []byte
}

// SealedKind is a kind of secret that is stored encrypted.
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
	SealedAnswer         SealedKind = "kept answer"
)

// SealedKinds lists all kinds of sealed secrets.
func SealedKinds() []SealedKind {
	return []SealedKind{
		SealedSigningKey, SealedPepper, SealedSharedKey, SealedSigningSecrets, SealedSMTPPassword,
		SealedDeliverySecret, SealedDeliveryHeader, SealedMessage, SealedAnswer,
	}
}

// SealedSecret is the sealed secret of the record ID.
type SealedSecret struct {
	Kind   SealedKind
	ID     string
	Sealed Sealed
}

// SealedCount is the number of secrets of a kind that are sealed with the master
// key KeyID.
type SealedCount struct {
	Kind  SealedKind
	KeyID string
	Count int
}
