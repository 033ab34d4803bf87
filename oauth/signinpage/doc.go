// Package signinpage serves the pages of the hosted sign-in: the authorization endpoint
// (RFC 6749 §3.1) and the form that a person fills in there. The steps are name, code or
// password, choice of an account, consent.
//
//	pages.go     configuration, routes, refusals
//	flow.go      which step comes next, and when the browser goes back to the client
//	steps.go     what a posted form does
//	logout.go    the logout endpoint and its question
//	reload.go    what "reload" and "back" show
//	visit.go     the sealed state of a form, and the cookie of the browser
//	render.go    which page is shown, and the headers of all answers
//	view.go      what the template shows
//
//	first_page.go                the page that asks for the name, kept in memory for each
//	                             client and language
//	template_files.go            the template, the texts and the other files
//	template_check.go, locale.go the check of these files, and the language of a page
//
// A visitor writes nothing to the database before asking for a code. The package does not
// own the rules of requests and responses (package oauth), nor those of credentials
// (package signin).
package signinpage
