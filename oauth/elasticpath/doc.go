// Package elasticpath serves the /v2 dialect: Elastic Path's settings, realms,
// password profiles, users, accounts, memberships, integrations and tokens.
//
// It owns the routes, the language of lists, the answers to errors, and the rules
// about which caller may use an operation. Package wire owns the shapes. It does not
// decide about sign-ins, codes or passwords: packages signin, otp and admin do, and
// package token says what account tokens contain and how long they can be renewed.
//
// Storefronts call with an access token without roles (Elastic Path: implicit). A
// signed-in member also sends an account management authentication token in a header.
// With that header the caller has the rights of the account member and no others.
//
// Calls run downwards through the files, in this order:
//
//	api.go                   the API: routes on a mux, requests and answers
//	routes.go                all operations
//	not_supported.go         lists that are always empty
//	account_tokens.go        sign-in, self-signup and renewal of account tokens
//	access_tokens.go         /oauth/access_token
//	code_requests.go         requests for one-time password tokens
//	integration_logs.go, integrations.go
//	account_memberships.go, account_members.go, accounts.go
//	logins.go                user authentication password profile infos
//	users.go, password_profiles.go
//	settings.go, realms.go
//	resource.go              what the handlers of all resources share
//	list_query.go            parameters, pages and links of lists
//	filter.go                the parameter filter
//	guard.go                 who may call, and what a member may do
//	call.go                  one request: body, path, audit events
//	http_rules.go            what the HTTP server must know about the paths
//	errors.go                answers to errors
//	config.go                what the API needs
package elasticpath
