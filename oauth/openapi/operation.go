package openapi

// Operation describes one operation of a server. The server registers its route from the
// same value, so that routes and document cannot differ.
type Operation struct {
	Method  string // "GET"
	Path    string // in the form of net/http's patterns: "/v1/buyers/{buyerID}"
	ID      string // unique in the document: "Buyers.Get"
	Tag     string // its group
	Summary string // one sentence without a full stop
	// Roles lists the roles of which the caller's access token must have one.
	// Empty: an access token without any role is enough.
	Roles []string
	// Open says that the operation needs no access token.
	Open bool
	// ClientAuth says that the caller is a client which authenticates itself by
	// HTTP Basic or in the form, instead of with an access token.
	ClientAuth bool

	Query     []Parameter // of the URL
	Headers   []Parameter // of the request, without Authorization
	Form      []Parameter // of an application/x-www-form-urlencoded body
	Body      any         // a value of the type of the JSON body; nil: none
	Partial   bool        // every member of Body is optional, as in a PATCH
	Answers   map[int]any // by success status: a value of the type of the JSON body; nil: no body
	MediaType string      // of the bodies of Answers; empty: application/json
	Refuses   []int       // error statuses of the operation, besides those of every operation
	Error     any         // a value of the type of the body of an error
}

// Parameter is a parameter in the URL query, the header or the form of a request.
type Parameter struct {
	Name     string
	About    string // its description: one sentence without a full stop
	Required bool
	Type     string // "string", "integer" or "boolean"; empty: "string"
}
