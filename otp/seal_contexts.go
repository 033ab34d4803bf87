package otp

import "latchkey/storage"

// SealContexts returns the additional data that this package seals a secret of the
// kind with; see keys.Sealer. The ID is that of the message. It returns nil for
// kinds that other packages seal.
func SealContexts(kind storage.SealedKind, id string) []string {
	if kind == storage.SealedMessage {
		return []string{PayloadContext(id)}
	}
	return nil
}
