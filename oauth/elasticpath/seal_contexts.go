package elasticpath

import "latchkey/storage"

// SealContexts returns the additional data that this package seals a secret of the
// kind with; see keys.Sealer. It returns nil for kinds that it does not seal.
func SealContexts(kind storage.SealedKind, _ string) []string {
	if kind == storage.SealedSharedKey {
		return []string{SecretKeyContext}
	}
	return nil
}
