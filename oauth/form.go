package oauth

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"latchkey/oauth/surface"
	"latchkey/otp"
)

// Limits of a form that a client may send.
const (
	maxFormBytes      = 64 << 10
	maxFormParameters = 64
)

const formType = "application/x-www-form-urlencoded"

// readForm reads the parameters of a POST request, and replaces r.Form and r.PostForm
// by them. It refuses a malformed query and ignores the parameters of a valid one (RFC
// 6749 §3.2). It drops empty values and refuses repeated parameters (RFC 6749 §3.1),
// except resource and audience (RFC 8707 §2, RFC 8693 §2.1).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return nil, errMethod
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || media != formType {
		return nil, errContentType
	}
	return ReadForm(w, r)
}

// ReadForm reads the form in a request's body as the token endpoint does, but with any
// content type: Elastic Path's examples send forms as JSON. See Explain for its
// errors.
func ReadForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if _, err := surface.ParseQuery(r); err != nil {
		return nil, err
	}
	body, err := readBody(w, r, maxFormBytes)
	if err != nil {
		return nil, err
	}
	if strings.Count(body, "&") >= maxFormParameters {
		return nil, errTooManyParameters
	}
	form, err := parseForm(body)
	if err != nil {
		return nil, errMalformedForm
	}
	if err := checkForm(form); err != nil {
		return nil, err
	}
	r.Form, r.PostForm = form, form
	return form, nil
}

// parseForm parses a form as a browser does (WHATWG URL §5.1): a raw semicolon is
// data, not a separator as in the query string of net/url. A bad percent-encoding
// is an error, because what the client meant is not known.
func parseForm(body string) (url.Values, error) {
	form := url.Values{}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, err
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, err
		}
		form[name] = append(form[name], value)
	}
	return form, nil
}

// readBody reads a body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) (string, error) {
	if r.ContentLength > limit {
		return "", surface.ErrBodyTooLarge
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead) // ReadFrom needs room to find the end
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return "", surface.ErrBodyTooLarge
		}
		return "", errMalformedForm
	}
	return body.String(), nil
}

func checkForm(form url.Values) error {
	for name, values := range form {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return errRepeatedParameter
		}
		if len(values) == 1 && values[0] == "" {
			delete(form, name)
		}
	}
	for _, name := range []string{"username", "client_id"} {
		if !otp.IsName(form.Get(name)) {
			return errMalformedName
		}
	}
	if !surface.IsScope(form.Get("scope")) {
		return errMalformedScope
	}
	return nil
}
