package grants

import (
	"context"
	"slices"
	"time"

	"latchkey/storage"
)

// IDToken is the content of an ID token to mint (OpenID Connect Core 1.0 §2).
type IDToken struct {
	Client      *storage.Client
	Principal   *storage.Principal
	SessionID   string
	Nonce       string // of the authorization request; may be empty
	AMR         []string
	AuthTime    time.Time
	AccessToken string // issued with it
	IssuedAt    time.Time
	ExpiresAt   time.Time
}

// IDTokens writes ID tokens.
type IDTokens interface {
	// MintID signs an ID token. It must have no other effect: the token may be discarded.
	MintID(ctx context.Context, t IDToken) (string, error)
}

// Authentication context class references, for what a user signed in with.
const (
	ACROTP      = "urn:latchkey:acr:otp"
	ACRPassword = "urn:latchkey:acr:pwd"
)

// ACR returns the authentication context class reference of authentication methods.
func ACR(amr []string) string {
	if slices.Contains(amr, "otp") {
		return ACROTP
	}
	return ACRPassword
}
