package wire

import "latchkey/storage"

// SecretKeyContext is the additional data that the secret key of an integration is
// sealed with. It keeps other sealed secrets from passing for one.
const SecretKeyContext = "integration.secret_key"

// SealContexts returns the additional data that secrets of the kind are sealed with
// here; see keys.Sealer. It returns nil for kinds that are not sealed here.
func SealContexts(kind storage.SealedKind, _ string) []string {
	if kind == storage.SealedSharedKey {
		return []string{SecretKeyContext}
	}
	return nil
}
