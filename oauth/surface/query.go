package surface

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchkey/oauth/openapi"
)

// QueryError says what is wrong with the query string of a request. It never
// repeats the value of a parameter.
type QueryError struct {
	Parameter string // as the caller wrote it; empty: the query as a whole
	Problem   string
}

func (e *QueryError) Error() string {
	if e.Parameter == "" {
		return e.Problem
	}
	return "query parameter " + DescriptionText(e.Parameter) + ": " + e.Problem
}

// ReadQuery parses the query string of a request. It refuses a raw semicolon and
// a bad percent-encoding, because url.URL.Query drops the parameter that has
// one, and a request without that parameter can concern more than the caller
// asked for.
//
// takes are the parameters of the operation. A GET or HEAD may have other parameters,
// which the operation ignores or reads as filters. Other methods may have only the
// parameters of the operation, each at most once and not empty. A required one may be
// empty, because the operation has its own error for that. A DELETE may not have a body
// with members: no operation reads it, so a member that should limit the deletion would
// have no effect.
// Errors are *QueryError.
func ReadQuery(r *http.Request, takes []openapi.Parameter) (url.Values, error) {
	values, err := ParseQuery(r)
	if err != nil {
		return nil, err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return values, nil
	case http.MethodDelete:
		if hasMembers(r.Body) {
			return nil, &QueryError{Problem: "a DELETE takes no body; its parameters belong into the query of the URL"}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := checkParameter(name, values[name], takes); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// emptyBodyBytes is more than what clients send for a body without members.
const emptyBodyBytes = 64

// hasMembers reports whether a body holds anything but white space, null or an
// object without members, which some clients send with every request. A body
// that cannot be read has members.
func hasMembers(body io.Reader) bool {
	raw, err := io.ReadAll(io.LimitReader(body, emptyBodyBytes))
	text := strings.Join(strings.Fields(string(raw)), "")
	return err != nil || len(raw) == emptyBodyBytes || text != "" && text != "{}" && text != "null"
}

// ParseQuery parses the query string of a request; see ReadQuery. Errors are
// *QueryError.
func ParseQuery(r *http.Request) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &QueryError{Problem: "the query of the URL is malformed"}
	}
	return values, nil
}

// CheckSpelling refuses parameters that look like a misspelling of one that the
// operation takes. Errors are *QueryError.
func CheckSpelling(values url.Values, takes []openapi.Parameter) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if ResembledParameter(name, takes) != "" {
			return unknownParameter(name, takes)
		}
	}
	return nil
}

// checkParameter checks one parameter of a request that changes something.
func checkParameter(name string, values []string, takes []openapi.Parameter) error {
	i := slices.IndexFunc(takes, func(p openapi.Parameter) bool { return p.Name == name })
	switch {
	case i < 0:
		return unknownParameter(name, takes)
	case len(values) > 1:
		return &QueryError{Parameter: name, Problem: "occurs more than once"}
	case values[0] == "" && !takes[i].Required:
		return &QueryError{Parameter: name, Problem: "must not be empty"}
	}
	return nil
}

func unknownParameter(name string, takes []openapi.Parameter) error {
	problem := "unknown parameter"
	if known := ResembledParameter(name, takes); known != "" {
		problem += "; did you mean " + known + "?"
	}
	return &QueryError{Parameter: name, Problem: problem}
}

// ResembledParameter returns the parameter that name looks like a misspelling
// of, or "". It returns "" for the name of a parameter itself.
func ResembledParameter(name string, takes []openapi.Parameter) string {
	names := make([]string, len(takes))
	for i, p := range takes {
		names[i] = p.Name
	}
	return Resembled(name, names)
}
