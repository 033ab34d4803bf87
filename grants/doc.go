// Package grants holds the token endpoint handlers of Latchkey, one file for each grant:
// authorization code, password (which accepts one-time passwords), client credentials, refresh,
// account-member and token exchange. Each is a fosite.TokenEndpointHandler, so any fosite
// server can register it. The package imports only the root package of fosite, and
// nothing of our HTTP server, configuration or database.
//
// A handler finds the user, decides the roles, and issues the tokens in a fixed order:
// mint, confirm, settle (issue.go). Package signin verifies credentials and settles
// sign-ins. storage.Client.Refusal says for all grants whether a client admits a user.
//
// The package does not own the store, the format of access tokens, or the codes. The
// server brings AccessTokens (see [AccessToken.Claims] for a JWT), and one of two stores:
// statestore on a table of its own, or storage/gormstore. Package otp issues the codes.
//
// # Assemble a token endpoint
//
// Register the handlers in fosite.Config.TokenEndpointHandlers and serve the provider with
// [NewTokenEndpoint]. It names mistakes of the assembly and does what fosite v0.49.0 leaves
// to the server. docs/EMBEDDING.md shows three servers.
//
//	refresh := &grants.Refresh{Families: store, AccessTokens: mint, RefreshTokens: tokens, Now: time.Now}
//	config.TokenEndpointHandlers = fosite.TokenEndpointHandlers{refresh,
//		&grants.Password{Authenticator: authenticator, AccessTokens: mint, RefreshTokens: tokens, Now: time.Now},
//	}
//	endpoint, err := grants.NewTokenEndpoint(provider, clients)
//
// A policy says what each client may do: storage.Client. It comes from a [ClientStore], or
// the fosite.Client of the server embeds [Client]. [CheckClient] says why the users of a
// client would always be refused.
//
// # What to know of fosite v0.49.0
//
//   - It asks every handler that claims a grant type, one after the other. So no other
//     handler may claim one of ours: two password handlers use a code twice. fosite drops a
//     second handler of the same Go type without an error. Its own refresh handler goes
//     into [OtherRefresh].
//   - The session must be a *[Session], a new one for each request. A nil session is an
//     internal error, or a panic at introspection.
//   - The request keeps its form. The handlers remove the secrets from it. So do not log
//     the form before NewAccessRequest has returned.
//   - fosite itself grants no scope. The handlers grant the roles that the user and the
//     client have in common.
//   - Several getters of fosite.Config set fields that are nil, without a lock. Set
//     ScopeStrategy, AudienceMatchingStrategy, ClientSecretsHasher and
//     JWKSFetcherStrategy. Compose appends to the handlers of its Config, so use one
//     Config for one provider.
//
// A token endpoint of your own must also do what [TokenEndpoint] lists. [ReadTokenForm] and
// [RefusalOf] are its parts.
package grants
