package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Consent is what a user allowed a third-party client. The resource is Latchkey's own.
type Consent struct {
	ClientID  string
	Scope     []string // roles and scopes of OpenID Connect
	GrantedAt time.Time
}

// ConsentFromRecord returns the consent as administrators see it.
func ConsentFromRecord(c storage.Consent) Consent {
	return Consent{ClientID: c.ClientID, Scope: surface.OrEmpty(c.Scope), GrantedAt: c.GrantedAt}
}
