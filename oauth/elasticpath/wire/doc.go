// Package wire holds what the /v2 dialect looks like on the wire: the shapes of
// resources, requests and webhook events, what a member of them may be, and how
// they become records and come of records.
//
// Each resource has a file of its own. A shape that is sent has Check, which returns
// an *InvalidError or an *UnsupportedError, and ToRecord or Apply, which writes what
// was sent into a record. A shape that is shown has a function that makes it of a
// record, such as UserFromRecord.
//
// It serves no requests and reads no database. Package elasticpath does.
//
// Files use each other downwards only, in this order:
//
//	webhook_events.go                   events of integrations
//	account_tokens.go, access_tokens.go
//	code_requests.go                    requests for one-time password tokens
//	integrations.go, integration_logs.go
//	memberships.go, account_members.go, accounts.go
//	logins.go, users.go, password_profiles.go
//	settings.go, realms.go
//	not_supported.go                    resources that do not exist here
//	envelope.go                         documents, pages, links, times
//	errors.go                           bodies of refusals
//	decode.go, check.go                 bodies of requests
package wire
