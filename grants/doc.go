// Package grants holds the token endpoint handlers of Latchkey: the password
// grant that accepts one-time passwords, client credentials, refresh, the
// account-member grant and token exchange. Each is a fosite.TokenEndpointHandler,
// so any fosite server can register it; the package imports fosite's root package
// and nothing of our HTTP server, configuration or database.
//
// It owns what makes a sign-in: verifying a credential, the turns that bound
// parallel guessing, and the settlement by outcome; and what makes a permanent
// password: its rules, its hash and its renewal. It asks the one gate of all
// paths, storage.Client.Refusal. It does not own client authentication, parsing of
// requests, or how tokens are written: those arrive as a fosite.Client that
// carries a storage.Client (see Client), as AccessTokens and as SubjectTokens.
//
// What a server that registers these handlers must know of fosite v0.49.0 (see
// docs/examples/fositeserver for one that does):
//
//   - Every handler that claims a grant type is asked, in turn, so no other may
//     claim one of ours: two password handlers use up a code twice. A second
//     handler of the same Go type is dropped silently.
//   - The session must be a *[Session], at each request a new one. A nil session
//     is an internal error, or a panic at introspection.
//   - An unknown grant_type is told to be invalid_request, and of repeated
//     parameters the first counts. Bodies that are cut short or not a form look
//     like empty ones. Check all that before NewAccessRequest.
//   - The request keeps its form. The handlers take the secrets out of it, so log
//     none of it before NewAccessRequest has returned.
//   - Errors that fosite does not know are answered 500: storage.ErrUnavailable
//     and [ErrBusy], after which nothing was decided, should be a 503, and
//     [SelectionRequired] is a question to the user. No 401 has a
//     WWW-Authenticate.
//   - Nothing is granted by fosite itself; the handlers grant the roles that user
//     and client have in common. Its own refresh handler knows neither our families
//     nor reuse within a grace, so do not register it beside [Refresh].
//   - Several getters of fosite.Config set what is nil, without a lock: fill in
//     ScopeStrategy, AudienceMatchingStrategy, ClientSecretsHasher and
//     JWKSFetcherStrategy. Compose appends to the handlers of the Config that it
//     gets, so use one Config for one provider.
package grants
