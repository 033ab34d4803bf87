// Package surface has the code that all surfaces share: the OAuth endpoints, the dialects of
// vendors and the pages. It reads requests and writes JSON answers.
//
//	query.go          parameters of a request, with misspelling.go
//	body.go           JSON bodies, with repeated_member.go
//	values.go         sizes and forms of members; optional.go: members that may be absent
//	entity_tag.go     If-Match and ETag
//	rewrite.go        changes that are repeated if somebody else changed the record
//	guard.go          who calls
//	runtime.go        what a surface gets from the server: clock, log, audit
//	answer.go         JSON answers; failure.go: answers to errors
//	stores.go         what all surfaces read and write
//	http_rules.go     what the HTTP server must know about the paths of a surface
//	browser_form.go   forms of pages that no other site can post
//	failure_mark.go   how a page with status 200 is counted as a refusal
//
// It has nothing of a vendor: shapes, routes and the texts of errors belong to the dialects.
package surface
