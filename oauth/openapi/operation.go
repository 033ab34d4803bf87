package openapi

// Operation is one thing that a server does, as its document tells it. The
// surfaces register their routes from the same values, so that what is served
// and what is told cannot part.
type Operation struct {
	Method  string // "GET"
	Path    string // in the form of net/http's patterns: "/v1/buyers/{buyerID}"
	ID      string // unique in the document: "Buyers.Get"
	Tag     string // the group it stands in
	Summary string // one sentence without a full stop
	Roles   []string
	// Roles of which a caller's token has one; with Open set it needs no token
	// at all.
	Open bool
	// ClientAuth says that the caller is a client that authenticates itself
	// instead of presenting a token: by HTTP Basic or in the form.
	ClientAuth bool

	Query   []Parameter // of the URL
	Headers []Parameter // of the request, Authorization left out
	Form    []Parameter // of an application/x-www-form-urlencoded body
	Body    any         // a value of the JSON body's type; nil: none
	Partial bool        // the members of Body may be left out, as in a PATCH
	Answers map[int]any // a value of the JSON body's type for each status of success; nil: no body
	Refuses []int       // the statuses of refusals it may answer, besides those of every operation
	Error   any         // a value of the type of a refusal's body
}

// Parameter is a named text in a URL, header or form.
type Parameter struct {
	Name     string
	About    string // one sentence without a full stop
	Required bool
	Type     string // "string" (also if empty), "integer", "boolean"
}
