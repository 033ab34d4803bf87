// Package console serves the screens of administrators below /console. It is a client of
// /v1: it signs administrators in with an authorization code and PKCE, calls /v1 in this
// process with their access tokens, and shows what comes back. So there is one permission
// model and one audit trail. The package knows no store.
//
//	console.go   configuration, routes, headers
//	screens.go   the table of screens: path, operation of /v1, navigation, handler
//	call.go      one request: session, permission, form, failures
//	session.go   sign-in, cookie, refresh, sign-out
//	api.go       calls to /v1
//	list.go      lists: search, filters, next page
//	form.go      forms: fields, faults, what differs
//	change.go    writes in two steps, with If-Match
//	notice.go    what the next page shows once
//	view.go      what templates can call
//	templates.go templates, texts, assets
//
// Each screen has a file with its handlers, a template of the same name in templates, and
// its texts in texts, in English and German. CONTRIBUTING.md says how to add one.
package console
