package console

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"latchkey/oauth/ordercloud/wire"
)

// change is a write below /v1 in two steps. A form, if there is one, is followed by a page
// that shows what will change. Its button makes the change.
type change struct {
	Title  string // name of the text of the heading
	About  string // what is changed, for the user: its ID or name; may be empty
	Button string // name of the text of the button that makes the change
	Method string // of the request to /v1
	Path   string // of the request; see pathOf
	Read   string // path of what is changed; empty: nothing is, yet
	Object string // what is changed, as audit events name it: "ApiClient/shop"
	Form   *form  // nil: there is nothing to fill in
	Danger bool   // something ends or breaks
	Back   string // path of the screen to return to, below Path

	// Adapt changes what is stored before the form and Effects see it. It may be nil.
	Adapt func(stored resource)
	// Effects returns sentences that say what the change does, and what it breaks, besides
	// what the fields show. stored is what is stored, sent the members that change. It may
	// be nil.
	Effects func(stored, sent resource) ([]string, error)
	// Explain returns what a new password profile allows, beside what the stored one does.
	// It may be nil.
	Explain func(sent resource) (*explanationView, error)
	// Tries are other things that can be done with the filled-in form before the change.
	Tries []tryOut
	// Body changes what is sent to /v1. It may be nil.
	Body func(sent resource)
	// After makes further changes when the change is made. It may be nil.
	After func(got resource) error
	// Done returns the path of the screen that is shown next, below Path, and what it shows
	// once. got is the answer of /v1. It may be nil: then the screen is Back.
	Done func(got resource) (path string, n notice)
}

// tryOut is a button that sends the form to another screen.
type tryOut struct {
	Text string // name of the text
	Path string // of the screen, below Path
}

// Steps of a change; the values of the buttons "step".
const (
	stepReview  = "review"  // show what will change
	stepEdit    = "edit"    // back to the form
	stepConfirm = "confirm" // make the change
)

// changeView is the data of the template "change".
type changeView struct {
	change
	Step        string
	Action      string
	ETag        string
	Differences []difference
	Sentences   []string
	Explanation *explanationView
	Conflict    bool              // somebody else changed it meanwhile
	Changers    []wire.AuditEvent // who, the last one first
	Fault       string
}

// change serves both steps of a change, by GET and by POST.
func (x *call) change(c change) error {
	v := changeView{change: c, Action: x.console.base + x.URL.Path}
	if c.Form != nil {
		c.Form.zone = x.zone
	}
	if x.Method != http.MethodPost { // GET or HEAD
		return x.startChange(v)
	}
	v.ETag = x.PostForm.Get("etag")
	if c.Form != nil {
		c.Form.read(x.PostForm)
	}
	switch x.PostForm.Get("step") {
	case stepEdit:
		return x.showForm(v, http.StatusOK)
	case stepConfirm:
		return x.makeChange(v)
	}
	return x.reviewChange(v)
}

// stored reads what is changed.
func (x *call) stored(v *changeView) (r resource, etag string, err error) {
	if v.Read == "" {
		return nil, "", nil
	}
	etag, err = x.get(v.Read, nil, &r)
	if err == nil && v.Adapt != nil {
		v.Adapt(r)
	}
	return r, etag, err
}

// startChange shows the form, or what will change if there is no form.
func (x *call) startChange(v changeView) error {
	stored, etag, err := x.stored(&v)
	if err != nil {
		return err
	}
	v.ETag = etag
	if v.Form == nil {
		return x.showReview(v, stored, nil)
	}
	if stored != nil {
		v.Form.load(stored)
	}
	return x.showForm(v, http.StatusOK)
}

func (x *call) showForm(v changeView, status int) error {
	v.Step = stepEdit
	return x.showStatus(status, "change", v.Title, v)
}

// reviewChange shows what will change.
func (x *call) reviewChange(v changeView) error {
	stored, etag, err := x.stored(&v)
	switch {
	case err != nil:
		return err
	case etag != v.ETag:
		return x.showConflict(v, stored, etag)
	case v.Form == nil:
		return x.showReview(v, stored, nil)
	}
	sent, ok := v.Form.members()
	if !ok || !v.Form.complete() {
		return x.showForm(v, http.StatusUnprocessableEntity)
	}
	if len(sent) == 0 && v.Method == http.MethodPatch {
		v.Form.Fault = x.t("frame.nothingChanged")
		return x.showForm(v, http.StatusOK)
	}
	err = x.showReview(v, stored, sent)
	var refused *refusal
	if errors.As(err, &refused) && refused.Status == http.StatusBadRequest {
		v.Form.blame(refused)
		return x.showForm(v, refused.Status)
	}
	return err
}

func (x *call) showReview(v changeView, stored, sent resource) (err error) {
	v.Step = stepConfirm
	if v.Form != nil {
		v.Differences = v.Form.differences()
	}
	if v.Effects != nil {
		if v.Sentences, err = v.Effects(stored, sent); err != nil {
			return err
		}
	}
	if v.Explain != nil {
		if v.Explanation, err = v.Explain(sent); err != nil {
			return err
		}
	}
	return x.show("change", v.Title, v)
}

// showConflict shows who changed the object meanwhile, and what differs. Fields that the
// user did not change have the stored values.
func (x *call) showConflict(v changeView, stored resource, etag string) error {
	v.Conflict, v.ETag, v.Step = true, etag, stepEdit
	if v.Form != nil {
		v.Form.rebase(stored)
		v.Differences = v.Form.differences()
	} else {
		v.Step = stepConfirm
		if v.Effects != nil {
			var err error
			if v.Sentences, err = v.Effects(stored, nil); err != nil {
				return err
			}
		}
	}
	if v.Object != "" && x.caller.Permits("auditevents.List") {
		var events wire.List[wire.AuditEvent]
		if _, err := x.get(pathOf("auditevents"), url.Values{"Object": {v.Object}, "pageSize": {"3"}}, &events); err != nil {
			return err
		}
		v.Changers = events.Items
	}
	return x.showStatus(http.StatusPreconditionFailed, "change", v.Title, v)
}

// makeChange sends the change to /v1.
func (x *call) makeChange(v changeView) error {
	body, ok := v.body()
	if !ok {
		return x.showForm(v, http.StatusUnprocessableEntity)
	}
	request, err := x.request(v.Method, v.Path, body)
	if err != nil {
		return err
	}
	if v.ETag == "" { // some resources have none; otherwise the form does not say what it changes
		stored, etag, err := x.stored(&v)
		if err != nil {
			return err
		}
		if etag != "" {
			return x.showConflict(v, stored, etag)
		}
	} else {
		request.Header.Set("If-Match", v.ETag)
	}
	var got resource
	header, err := x.exchange(request, &got)
	if err == nil && v.After != nil {
		err = v.After(got)
	}
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusPreconditionFailed:
		stored, etag, err := x.stored(&v)
		if err != nil {
			return err
		}
		return x.showConflict(v, stored, etag)
	case errors.As(err, &refused) && refused.Status < http.StatusInternalServerError && v.Form != nil:
		v.Form.blame(refused)
		return x.showForm(v, refused.Status)
	case err != nil:
		return err
	}
	return x.finishChange(v, got, header.Get(warningHeader))
}

// body returns what is sent to /v1; ok is false if the form has a fault.
func (v *changeView) body() (body any, ok bool) {
	sent := resource{}
	if v.Form != nil {
		if sent, ok = v.Form.members(); !ok {
			return nil, false
		}
	} else if v.Body == nil {
		return nil, true
	}
	if v.Body != nil {
		v.Body(sent)
	}
	return sent, true
}

// finishChange sends the browser to the next screen.
func (x *call) finishChange(v changeView, got resource, warning string) error {
	path, n := v.Back, notice{}
	if v.Done != nil {
		path, n = v.Done(got)
	}
	if n.Text == "" {
		n.Text = "frame.done"
	}
	n.Warning = warning
	if err := x.keepNotice(n); err != nil {
		return err
	}
	redirect(x.w, x.console.url(path))
	return nil
}

// complete reports whether every required field is filled in. It adds a fault to those that
// are not.
func (f *form) complete() bool {
	ok := true
	for i := range f.Fields {
		field := &f.Fields[i]
		if field.Required && field.text() == "" {
			field.Fault, ok = "is required", false
		}
	}
	return ok
}

// timeOf parses a time of /v1.
func timeOf(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
