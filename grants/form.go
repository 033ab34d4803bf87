package grants

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"latchkey/otp"
	"latchkey/storage"
)

// RequestError is a fault of a token request that is found before its client is
// authenticated.
type RequestError struct {
	Status      int    // of HTTP
	Code        string // RFC 6749 §5.2
	Description string
}

func (e *RequestError) Error() string { return e.Description }

// Errors of ReadTokenForm, ReadForm and TokenEndpoint.
var (
	ErrMethod               = &RequestError{http.StatusMethodNotAllowed, "invalid_request", "The method must be POST."}
	ErrContentType          = &RequestError{http.StatusUnsupportedMediaType, "invalid_request", "Invalid content type. Please use x-www-form-urlencoded."}
	ErrFormTooLarge         = &RequestError{http.StatusRequestEntityTooLarge, "invalid_request", "The request body is too large."}
	ErrTooManyParameters    = &RequestError{http.StatusBadRequest, "invalid_request", "There are too many parameters."}
	ErrMalformedQuery       = &RequestError{http.StatusBadRequest, "invalid_request", "the query of the URL is malformed"}
	ErrMalformedForm        = &RequestError{http.StatusBadRequest, "invalid_request", "The request body is not a well-formed form."}
	ErrRepeatedParameter    = &RequestError{http.StatusBadRequest, "invalid_request", "A parameter is repeated."}
	ErrMalformedName        = &RequestError{http.StatusBadRequest, "invalid_request", "A username or client_id has unsupported characters or is too long."}
	ErrMalformedScope       = &RequestError{http.StatusBadRequest, "invalid_scope", "The scope has unsupported characters."}
	ErrGrantTypeMissing     = &RequestError{http.StatusBadRequest, "invalid_request", "The parameter grant_type is missing."}
	ErrUnsupportedGrantType = &RequestError{http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported."}
)

// Limits of a form that a client may send.
const (
	MaxFormBytes      = 64 << 10
	MaxFormParameters = 64
)

const formType = "application/x-www-form-urlencoded"

// ReadTokenForm reads the parameters of a POST request to the token endpoint, and replaces
// r.Form and r.PostForm by them. It does what fosite v0.49.0 leaves out: it refuses other
// content types, bodies that are cut off, and repeated parameters. See ReadForm.
func ReadTokenForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return nil, ErrMethod
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || media != formType {
		return nil, ErrContentType
	}
	return ReadForm(w, r)
}

// ReadForm is ReadTokenForm for any content type. It refuses a malformed query and
// ignores the parameters of a valid one (RFC 6749 §3.2). It drops empty values and refuses
// repeated parameters (RFC 6749 §3.1), except resource and audience (RFC 8707 §2, RFC 8693
// §2.1). Its errors are *RequestError.
func ReadForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, ErrMalformedQuery
	}
	form, err := ReadParameters(w, r)
	if err != nil {
		return nil, err
	}
	if err := checkForm(form); err != nil {
		return nil, err
	}
	r.Form, r.PostForm = form, form
	return form, nil
}

// ReadParameters reads the form in the body of a request, with repeated parameters. Its
// errors are *RequestError.
func ReadParameters(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	body, err := readBody(w, r, MaxFormBytes)
	if err != nil {
		return nil, err
	}
	if strings.Count(body, "&") >= MaxFormParameters {
		return nil, ErrTooManyParameters
	}
	form, err := parseForm(body)
	if err != nil {
		return nil, ErrMalformedForm
	}
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
		return "", ErrFormTooLarge
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead) // ReadFrom needs room to find the end
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return "", ErrFormTooLarge
		}
		return "", ErrMalformedForm
	}
	return body.String(), nil
}

func checkForm(form url.Values) error {
	for name, values := range form {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return ErrRepeatedParameter
		}
		if len(values) == 1 && values[0] == "" {
			delete(form, name)
		}
	}
	for _, name := range []string{"username", "client_id"} {
		if !otp.IsName(form.Get(name)) {
			return ErrMalformedName
		}
	}
	if !storage.IsOAuthText(form.Get("scope")) {
		return ErrMalformedScope
	}
	return nil
}
