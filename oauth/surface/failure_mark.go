package surface

import "net/http"

// FailureMarker is implemented by response writers that count failures which the status
// does not show.
type FailureMarker interface{ MarkFailure() }

// MarkFailure says that a request presented something wrong although its answer is a page
// with status 200. The HTTP server counts it like a refusal; see HTTPRules.Guessable.
func MarkFailure(w http.ResponseWriter) {
	for w != nil {
		if marker, ok := w.(FailureMarker); ok {
			marker.MarkFailure()
			return
		}
		wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = wrapped.Unwrap()
	}
}
