// Package wire holds what the /v2 dialect looks like on the wire: the shapes of
// resources, requests and webhook events, which values their members may have, and how
// they are converted to and from records.
//
// Each resource has a file of its own. A shape that is sent has Check, which returns
// an *InvalidError or an *UnsupportedError, and ToRecord or Apply, which writes what
// was sent into a record. A shape that is shown has a function that makes it from a
// record, such as UserFromRecord.
//
// It serves no requests and reads no database. Package elasticpath does.
//
// Files use each other downwards only, in this order:
//
//	webhook_event.go                      events of integrations
//	seal_contexts.go                      the contexts that secrets are sealed with
//	account_token.go, access_token.go
//	code_request.go                       requests for one-time password tokens
//	integration_log.go, integration.go
//	envelope.go                           documents, pages, links, times
//	account_membership.go, account_member.go, account.go
//	login.go, user.go, password_profile.go
//	settings.go, realm.go
//	not_supported.go                      resources that do not exist here
//	reference.go                          what all resources have: links, times, relations
//	error.go                              bodies of refusals
//	decode.go, check.go                   bodies of requests
package wire
