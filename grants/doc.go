// Package grants holds the token endpoint handlers of Latchkey, one file for each grant:
// password (which accepts one-time passwords), client credentials, refresh,
// account-member and token exchange. Each is a fosite.TokenEndpointHandler, so any fosite
// server can register it. The package imports only the root package of fosite, and
// nothing of our HTTP server, configuration or database.
//
// A handler finds the user, decides the roles, and issues the tokens in a fixed order:
// mint, confirm, settle (issue.go). Package signin verifies credentials and settles
// sign-ins. storage.Client.Refusal says for all grants whether a client admits a user.
//
// The package does not own client authentication, parsing of requests, or the format of
// access tokens. The server brings those: a fosite.Client that has a storage.Client (see
// Client), AccessTokens and SubjectTokens.
//
// A server that registers these handlers must know the following of fosite v0.49.0;
// docs/examples/fositeserver is such a server.
//
//   - fosite asks every handler that claims a grant type, one after the other. So no
//     other handler may claim one of ours: two password handlers use a code twice. fosite
//     drops a second handler of the same Go type without an error.
//   - The session must be a *[Session], a new one for each request. A nil session is an
//     internal error, or a panic at introspection.
//   - fosite answers an unknown grant_type with invalid_request, takes the first one of
//     repeated parameters, and treats a truncated body, or one that is not a form, as an
//     empty one. Check all this before NewAccessRequest.
//   - The request keeps its form. The handlers remove the secrets from it. So do not log
//     the form before NewAccessRequest has returned.
//   - fosite answers errors that it does not know with 500. storage.ErrUnavailable and
//     signin.ErrBusy mean that nothing was decided, and should be a 503.
//     [SelectionRequired] asks the user a question. No 401 of fosite has a
//     WWW-Authenticate header.
//   - fosite itself grants no scope. The handlers grant the roles that the user and the
//     client have in common. fosite's own refresh handler knows neither our families nor
//     the grace period. Do not register it beside [Refresh].
//   - Several getters of fosite.Config set fields that are nil, without a lock. Set
//     ScopeStrategy, AudienceMatchingStrategy, ClientSecretsHasher and
//     JWKSFetcherStrategy. Compose appends to the handlers of its Config, so use one
//     Config for one provider.
package grants
