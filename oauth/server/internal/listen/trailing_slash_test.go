package listen

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWithoutTrailingSlash(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Pattern+" "+r.PathValue("id")+" "+r.URL.RawQuery+" "+string(body))
	}
	mux.HandleFunc("/v1/things/{id}", show)
	mux.HandleFunc("/v1/things", show)
	mux.HandleFunc("/v1/", show)
	mux.HandleFunc("/other", show)
	handler := WithoutTrailingSlash([]string{"/v1/"}, mux)
	for path, want := range map[string]string{
		"/v1/things":        "/v1/things   body",
		"/v1/things/":       "/v1/things   body",
		"/v1/things/a":      "/v1/things/{id} a  body",
		"/v1/things/a/":     "/v1/things/{id} a  body",
		"/v1/things/a/?b=/": "/v1/things/{id} a b=/ body",
		"/v1/things/a%2F":   "/v1/things/{id} a/  body", // the slash is part of the name
		"/v1/things/a%2F/":  "/v1/things/{id} a/  body",
		"/v1/things/%C3/":   "/v1/things/{id} \xc3  body",
		"/v1/":              "/v1/   body",
		"/v1/x/y/":          "/v1/   body",
		"/v2/things/":       "404 page not found\n",
		"/other/":           "404 page not found\n",
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			request := httptest.NewRequest(method, path, strings.NewReader("body"))
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if got := answer.Body.String(); got != want || answer.Header().Get("Location") != "" {
				t.Errorf("%s %s: got %d %q, want %q", method, path, answer.Code, got, want)
			}
			if pattern, _, _ := strings.Cut(want, " "); pattern != "404" && request.Pattern != pattern {
				t.Errorf("%s %s: got the pattern %q for the log", method, path, request.Pattern)
			}
		}
	}
}
