package keys

import "latchkey/storage"

// SealContexts returns the additional data that this package seals a secret of the
// kind with; see Sealer.Seal. The ID is that of the record. It returns nil for
// kinds that other packages seal.
func SealContexts(kind storage.SealedKind, id string) []string {
	switch kind {
	case storage.SealedSigningKey:
		return []string{SigningKeyContext(id)}
	case storage.SealedPepper:
		return []string{PepperContext(id)}
	default:
		return nil
	}
}
