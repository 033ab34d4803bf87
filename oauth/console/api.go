package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"latchkey/oauth/ordercloud/wire"
)

// refusal is the answer of /v1 to a request that is refused.
type refusal struct {
	Status int
	Errors []wire.Error
}

func (e *refusal) Error() string {
	texts := make([]string, len(e.Errors))
	for i, entry := range e.Errors {
		texts[i] = entry.Message
	}
	if len(texts) == 0 {
		return fmt.Sprintf("the server answered %d", e.Status)
	}
	return strings.Join(texts, " ")
}

// recorder is the answer to a request in this process.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// do sends a request to the server that the console is part of. Address and request id are
// in its context.
func (c *Console) do(request *http.Request) *recorder {
	answer := &recorder{header: http.Header{}}
	c.cfg.Server.ServeHTTP(answer, request)
	if answer.status == 0 {
		answer.status = http.StatusOK
	}
	return answer
}

// request returns a request to /v1 with the access token of the administrator. path has no
// query; body is nil or becomes JSON.
func (x *call) request(method, path string, body any) (*http.Request, error) {
	var content io.Reader = http.NoBody // a handler reads the body, also if there is none
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(x.Context(), method, path, content)
	if err != nil {
		return nil, err
	}
	request.RemoteAddr = x.RemoteAddr
	request.Header.Set("Authorization", "Bearer "+x.session.Access)
	request.Header.Set("User-Agent", x.UserAgent())
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// get reads a resource below /v1 into the value that into points to, and returns its entity
// tag. Errors are *refusal and ErrSignedOut.
func (x *call) get(path string, query url.Values, into any) (etag string, err error) {
	request, err := x.request(http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	request.URL.RawQuery = query.Encode()
	return x.send(request, into)
}

// send sends a request to /v1 and decodes the answer into the value that into points to,
// which may be nil. It returns the entity tag of the answer. Errors are *refusal and
// ErrSignedOut.
func (x *call) send(request *http.Request, into any) (etag string, err error) {
	header, err := x.exchange(request, into)
	return header.Get("ETag"), err
}

// exchange is send that returns the header of the answer.
func (x *call) exchange(request *http.Request, into any) (header http.Header, err error) {
	answer := x.console.do(request)
	switch {
	case answer.status == http.StatusUnauthorized:
		return nil, ErrSignedOut
	case answer.status >= http.StatusMultipleChoices && answer.status < http.StatusBadRequest:
		return nil, errNotFound // a segment of the path was "." or ".."
	case answer.status >= http.StatusBadRequest:
		refused := &refusal{Status: answer.status}
		var body wire.ErrorBody
		if json.Unmarshal(answer.body.Bytes(), &body) == nil {
			refused.Errors = body.Errors
		}
		return nil, refused
	case into != nil && answer.body.Len() > 0:
		decoder := json.NewDecoder(&answer.body)
		decoder.UseNumber()
		err = decoder.Decode(into)
	}
	return answer.header, err
}

// stream answers with what /v1 answers, without keeping it in memory. name is the name of
// the file that the browser saves.
func (x *call) stream(path string, query url.Values, name string) error {
	request, err := x.request(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	request.URL.RawQuery = query.Encode()
	setHeaders(x.w.Header())
	x.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	x.console.cfg.Server.ServeHTTP(x.w, request)
	return nil
}

// pathOf returns a path below /v1 with the segments escaped: pathOf("apiclients", id).
func pathOf(segments ...string) string {
	escaped := make([]string, len(segments))
	for i, s := range segments {
		escaped[i] = url.PathEscape(s)
	}
	return "/v1/" + strings.Join(escaped, "/")
}
