// Package elasticpath is the /v2 dialect: what Elastic Path's settings, realms,
// password profiles, users, accounts, memberships, integrations and tokens look
// like on the wire.
//
// It owns the shapes, the envelope around them, the filter and page parameters,
// the language of refusals and who may call what. It decides nothing about
// sign-ins: whether a credential is right, when a login is locked and what a
// password must be like are settled in grants and otp, and what a token says in
// oauth.
//
// Shoppers call with an access token that has no roles (Elastic Path: implicit)
// and, once signed in, with an account management authentication token in a
// header of its own. With that header a caller is the account member, whatever
// else its access token allows.
package elasticpath
