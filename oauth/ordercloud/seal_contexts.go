package ordercloud

import "latchkey/storage"

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
