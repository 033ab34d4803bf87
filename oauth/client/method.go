package client

import "latchkey/storage"

// The client authentication methods of RFC 7591 §2, besides
// storage.AuthMethodPrivateKeyJWT.
const (
	MethodNone  = "none"
	MethodBasic = "client_secret_basic"
	MethodPost  = "client_secret_post"
)

// MethodOf returns the method by which a client authenticates itself.
func MethodOf(c *storage.Client) string {
	switch {
	case c.AuthMethod != "":
		return c.AuthMethod
	case c.Public:
		return MethodNone
	}
	return MethodBasic
}

// UsesSecret reports whether a client authenticates itself by a secret.
func UsesSecret(c *storage.Client) bool {
	return !c.Public && c.AuthMethod != storage.AuthMethodPrivateKeyJWT
}
