// Package otp issues one-time passwords. It defines their format and their keyed
// digest, and it turns requests for codes into codes and sealed messages.
// Verification codes to reset a password, invitations and forgotten usernames are
// requested in the same way.
//
// Service.Request only stores a request. It looks up no users, so neither the
// answer nor its time depends on whether a user exists. A loop in the same process
// (Service.Run) resolves the request a moment later.
//
// # Two ways to send codes
//
// [Unqueued] hands each code to a function of yours, in the background. A code that is not
// sent when the process ends is lost, and its user asks again. It needs no tables but
// those of the sign-ins.
//
// [Service] is for servers that must not lose a request. It stores the request and
// resolves it into codes and sealed messages. Package deliver sends each message until its
// receiver accepts it, refuses it for good, or the code expires. *gormstore.Store has the
// tables.
//
// # The path of a message
//
// A request that a Service stores passes these files on its way to a webhook:
//
//	service.go                         Request stores the request
//	claim_requests.go                  the loop of Run claims it
//	resolve_request.go                 finds the users, their codes and their senders
//	issue_messages.go                  makes the codes and the sealed messages, which are stored
//	deliver/worker.go                  claims a message, opens it, chooses a transport by the kind
//	                                   of its sender, and makes further attempts
//	../oauth/server/transports.go      has the transports of a server, and chooses the dialect
//	../oauth/ordercloud/wire/message.go, ../oauth/elasticpath/wire/webhook_event.go
//	                                   write the body: WebhookConfig.Encode of a dialect
//	deliver/webhook.go                 sends it, and says which answers are retried
//
// # What it does not own
//
// The package does not redeem codes: package signin calls Codes.Match or
// Codes.MatchVerification and the store settles the attempt. It does not count
// guesses (see lockout) and does not deliver messages (see deliver). It does not
// depend on HTTP.
//
// It does not depend on fosite, which has no endpoint for requesting a code. A
// server with fosite adds its own endpoint and must do three things:
//   - Authenticate the client there as at the token endpoint; see
//     grants.TokenEndpoint.Client. fosite authenticates clients only in NewAccessRequest.
//   - Give the same answer for all users.
//   - With a Service, call Service.Run in every process. Otherwise no code is sent.
//
// Redeem codes with grants.Password and do not register fosite's own handler of
// that grant too. That handler does not support codes, answers a store's error with
// 500, and would use up each code a second time.
package otp
