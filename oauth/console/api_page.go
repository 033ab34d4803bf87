package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// apiScreens returns the screens that describe the API. Only callers who may list API
// clients see them.
func (c *Console) apiScreens() []screen {
	return []screen{
		{path: "/api", operation: "apiclients.List", nav: "api.title", serve: (*call).showAPI},
		{path: "/api/{operation}", operation: "apiclients.List", posts: true, serve: (*call).tryOperation},
	}
}

// apiView is the data of the template "api".
type apiView struct {
	Groups []apiGroup
	Search string
	Values url.Values // none
	Action string
	Found  int
}

// showAPI lists the operations.
func (x *call) showAPI() error {
	d, err := x.apiDocument()
	if err != nil {
		return err
	}
	v := apiView{Search: strings.TrimSpace(x.URL.Query().Get("search")), Action: x.console.base + x.URL.Path}
	for _, g := range d.Groups {
		found := apiGroup{Tag: g.Tag}
		for _, o := range g.Operations {
			if containsFold(o.Method+" "+o.Path+" "+o.Summary+" "+o.ID+" "+g.Tag, v.Search) {
				found.Operations = append(found.Operations, o)
			}
		}
		if len(found.Operations) > 0 {
			v.Groups, v.Found = append(v.Groups, found), v.Found+len(found.Operations)
		}
	}
	return x.show("api", "api.title", v)
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// operationView is the data of the template "api_operation".
type operationView struct {
	*apiOperation
	Request []apiMember // members of the body
	Answers []apiAnswer
	Try     bool // the operation can be tried, and the caller's roles allow it
	Allowed bool
	Writes  bool
	Action  string
	Values  map[string]string // of the parameters, as typed
	Body    string
	Fault   string
	Confirm bool   // the request is shown before it is sent
	URL     string // of the request
	Answer  *triedAnswer
}

// apiAnswer is an answer that the document has.
type apiAnswer struct {
	Status, Text string
	Members      []apiMember
}

// triedAnswer is the answer to a request that was tried.
type triedAnswer struct {
	Status  int
	Text    string
	Headers []string
	Body    string
	Cut     bool
}

// maxShownBody is how much of an answer is shown, in bytes.
const maxShownBody = 64 << 10

// shownHeaders are the headers of an answer that matter to its reader.
var shownHeaders = []string{"Content-Type", "Etag", "Latchkey-Changed", "Latchkey-Notice", "Latchkey-Total", "Location", "Retry-After"}

// tryOperation shows an operation. By POST it sends a request with the administrator's own
// access token. A request that may change something is shown first.
func (x *call) tryOperation() error {
	d, err := x.apiDocument()
	if err != nil {
		return err
	}
	o, ok := d.operations[x.PathValue("operation")]
	if !ok {
		return errNotFound
	}
	v := operationView{apiOperation: o, Action: x.console.base + x.URL.Path, Values: map[string]string{}, Writes: o.Method != http.MethodGet}
	_, ours := x.console.methods[o.ID]
	v.Allowed = !ours || x.caller.Permits(o.ID)
	v.Try = o.triable() && v.Allowed
	if o.JSONBody() {
		schema := o.RequestBody.Content["application/json"].Schema
		v.Request, v.Body = d.members(schema, "", 1), d.example(schema)
	}
	v.Answers = answersOf(d, o)
	if x.Method == http.MethodPost {
		if !v.Try {
			return errForbidden
		}
		if err := x.sendTried(&v); err != nil {
			return err
		}
	}
	status := http.StatusOK
	if v.Fault != "" {
		status = http.StatusUnprocessableEntity
	}
	return x.showStatus(status, "api_operation", "api.operation", v)
}

func answersOf(d *apiDocument, o *apiOperation) []apiAnswer {
	var all []apiAnswer
	for status, answer := range o.Responses {
		a := apiAnswer{Status: status, Text: answer.Description}
		if media, ok := answer.Content["application/json"]; ok && status < "300" {
			a.Members = d.members(media.Schema, "", 1)
			for i := range a.Members {
				a.Members[i].Required = false // an answer has them all
			}
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b apiAnswer) int { return strings.Compare(a.Status, b.Status) })
	return all
}

// sendTried reads the posted form, and sends its request. It is sent at once if it only
// reads, and otherwise after a confirmation.
func (x *call) sendTried(v *operationView) error {
	for _, p := range v.Parameters {
		v.Values[p.In+"."+p.Name] = strings.TrimSpace(x.PostForm.Get("f." + p.In + "." + p.Name))
	}
	if v.JSONBody() {
		v.Body = strings.ReplaceAll(x.PostForm.Get("f.body"), "\r\n", "\n")
	}
	request, err := x.triedRequest(v)
	if err != nil {
		v.Fault = err.Error()
		return nil //nolint:nilerr // the page shows the fault
	}
	v.URL = request.URL.RequestURI()
	step := x.PostForm.Get("step")
	if v.Writes && step != stepConfirm || step == stepEdit {
		v.Confirm = step != stepEdit
		return nil
	}
	answer := x.console.do(request)
	if answer.status == http.StatusUnauthorized {
		return ErrSignedOut
	}
	v.Answer = &triedAnswer{Status: answer.status, Text: http.StatusText(answer.status), Body: answer.body.String()}
	var pretty bytes.Buffer
	if json.Indent(&pretty, answer.body.Bytes(), "", "  ") == nil {
		v.Answer.Body = pretty.String()
	}
	if len(v.Answer.Body) > maxShownBody {
		v.Answer.Body, v.Answer.Cut = strings.ToValidUTF8(v.Answer.Body[:maxShownBody], ""), true
	}
	for _, name := range shownHeaders {
		if value := answer.header.Get(name); value != "" {
			v.Answer.Headers = append(v.Answer.Headers, name+": "+value)
		}
	}
	return nil
}

// triedRequest makes the request of the form. Its path is that of the operation, whatever
// the values are.
func (x *call) triedRequest(v *operationView) (*http.Request, error) {
	path, query, header := v.Path, url.Values{}, http.Header{}
	for _, p := range v.Parameters {
		value := v.Values[p.In+"."+p.Name]
		switch {
		case value == "" && (p.Required || p.In == "path"):
			return nil, fmt.Errorf("%s: %s", p.Name, x.t("api.missing"))
		case value == "":
		case p.In == "path":
			if value == "." || value == ".." {
				return nil, fmt.Errorf("%s: %s", p.Name, x.t("api.badPath"))
			}
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case p.In == "query":
			query.Set(p.Name, value)
		case p.In == "header" && strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) < 0:
			header.Set(p.Name, value)
		}
	}
	var body any
	if v.JSONBody() {
		if !json.Valid([]byte(v.Body)) {
			return nil, errors.New(x.t("api.notJSON"))
		}
		body = json.RawMessage(v.Body)
	}
	request, err := x.request(v.Method, path, body)
	if err != nil {
		return nil, err
	}
	request.URL.RawQuery = query.Encode()
	for name := range header {
		if !slices.Contains([]string{"Authorization", "Content-Type", "User-Agent"}, name) {
			request.Header.Set(name, header.Get(name))
		}
	}
	return request, nil
}

// Document returns the path of the description of the API as browsers see it.
func (v view) Document() string { return v.console.base + documentPath }
