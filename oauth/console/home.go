package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"latchkey/oauth/ordercloud/wire"
)

// codeScreen is a screen that looks for codes: that of all users, or that of the users of a
// company for its own administrators.
type codeScreen struct {
	path       string // below Path
	operations string // beginning of the IDs of its operations
	nav        string
	own        bool
}

func codeScreens() []codeScreen {
	const requests = "onetimepasswordrequests"
	return []codeScreen{
		{"/home", requests, "home.title", false},
		{"/buyer-codes", "buyers." + requests, "home.codes", true},
		{"/supplier-codes", "suppliers." + requests, "home.codes", true},
	}
}

// homeScreens returns the screens that find codes and show the state of the servers.
func (c *Console) homeScreens() []screen {
	var all []screen
	for _, of := range codeScreens() {
		all = append(all,
			screen{path: of.path, operation: of.operations + ".List", nav: of.nav, own: of.own, serve: func(x *call) error { return x.showHome(of) }},
			screen{path: of.path + "/codes/{id}", operation: of.operations + ".Get", serve: func(x *call) error { return x.showTimeline(of) }},
			screen{
				path: of.path + "/codes/{id}/messages/{message}/retry", operation: of.operations + ".messages.Retry", posts: true,
				serve: func(x *call) error { return x.retryMessage(of) },
			})
	}
	return all
}

// requests returns the path of the requests below /v1 that the screen is about, with further
// segments.
func (x *call) requests(of codeScreen, segments ...string) (string, error) {
	all := []string{"onetimepasswordrequests"}
	switch {
	case !of.own:
	case strings.HasPrefix(of.operations, "buyers.") && x.caller.BuyerID != "":
		all = []string{"buyers", x.caller.BuyerID, all[0]}
	case strings.HasPrefix(of.operations, "suppliers.") && x.caller.SupplierID != "":
		all = []string{"suppliers", x.caller.SupplierID, all[0]}
	default: // the screen is for the users of companies
		return "", errNotFound
	}
	return pathOf(append(all, segments...)...), nil
}

// homeView is the data of the template "home".
type homeView struct {
	Screen string // path of the screen, as Link takes it
	Find   string // as typed
	Found  []wire.CodeRequest
	Checks []wire.StatusCheck
	Funnel []funnelPeriod
}

// funnelPeriod is a period of the funnel with its bars.
type funnelPeriod struct {
	Name    string // of the text of the heading
	AtLeast bool
	Bars    []funnelBar
}

// funnelBar is a number of the funnel. Its bar is Width wide, where the longest one is
// funnelWidth.
type funnelBar struct {
	Text  string // name of the text
	Count int
	Width int
	Kind  string // class of the bar
}

const funnelWidth = 100

func (x *call) showHome(of codeScreen) error {
	v := homeView{Screen: strings.TrimPrefix(of.path, "/"), Find: strings.TrimSpace(x.URL.Query().Get("find"))}
	if v.Find != "" {
		path, err := x.requests(of)
		if err != nil {
			return err
		}
		var found wire.List[wire.CodeRequest]
		if _, err := x.get(path, url.Values{"find": {v.Find}, "pageSize": {strconv.Itoa(rowsOfList)}}, &found); err != nil {
			return err
		}
		if v.Found = found.Items; len(v.Found) == 1 {
			redirect(x.w, x.console.url(of.path+"/codes/"+url.PathEscape(v.Found[0].ID)))
			return nil
		}
	}
	if !of.own && v.Find == "" {
		if err := x.readStatus(&v); err != nil {
			return err
		}
	}
	title := "home.title"
	if of.own {
		title = "home.codes"
	}
	return x.show("home", title, v)
}

// readStatus reads the checks and the funnel. The database may be too busy to count: then
// they are left out.
func (x *call) readStatus(v *homeView) error {
	if x.caller.Permits("status.Get") {
		var status wire.Status
		if err := x.getUnlessBusy(pathOf("status"), &status); err != nil {
			return err
		}
		v.Checks = status.Checks
	}
	if !x.caller.Permits("onetimepasswordrequests.Funnel") {
		return nil
	}
	var funnel wire.OneTimePasswordFunnel
	if err := x.getUnlessBusy(pathOf("onetimepasswordrequests", "funnel"), &funnel); err != nil {
		return err
	}
	for i, name := range []string{"home.hour", "home.day"} {
		if i < len(funnel.Periods) {
			v.Funnel = append(v.Funnel, funnelOf(name, funnel.Periods[i]))
		}
	}
	return nil
}

// getUnlessBusy reads a resource. If the database does not answer in time, it reads none.
func (x *call) getUnlessBusy(path string, into any) error {
	_, err := x.get(path, nil, into)
	if refused, ok := errors.AsType[*refusal](err); ok && refused.Status == http.StatusServiceUnavailable {
		return nil
	}
	return err
}

// funnelOf returns the bars of a period.
func funnelOf(name string, p wire.FunnelPeriod) funnelPeriod {
	f := funnelPeriod{Name: name, AtLeast: p.AtLeast, Bars: []funnelBar{
		{"home.requested", p.Requested, 0, "plain"},
		{"home.delivered", p.Delivered, 0, "plain"},
		{"home.redeemed", p.Redeemed, 0, "good"},
		{"home.expired", p.Expired, 0, "warn"},
		{"home.dead", p.Dead, 0, "bad"},
		{"home.guessed", p.Guessed, 0, "bad"},
	}}
	longest := 1
	for _, b := range f.Bars {
		longest = max(longest, b.Count)
	}
	for i := range f.Bars {
		b := &f.Bars[i]
		if b.Width = b.Count * funnelWidth / longest; b.Count > 0 {
			b.Width = max(b.Width, 1)
		}
	}
	return f
}

// timelineView is the data of the template "timeline".
type timelineView struct {
	Screen  string
	Request wire.CodeRequest
	URL     string // of the page
	Moving  bool   // something is still to happen
	Retry   string // ID of the operation
}

func (x *call) showTimeline(of codeScreen) error {
	path, err := x.requests(of, x.PathValue("id"))
	if err != nil {
		return err
	}
	v := timelineView{Screen: strings.TrimPrefix(of.path, "/"), URL: x.console.base + x.URL.Path, Retry: of.operations + ".messages.Retry"}
	if _, err := x.get(path, nil, &v.Request); err != nil {
		return err
	}
	v.Moving = v.Request.State == "waiting" || v.Request.State == "queued"
	return x.show("timeline", "home.timeline", v)
}

// Message returns the message of the request with the ID.
func (v timelineView) Message(id *string) (found wire.RequestMessage) {
	for _, m := range v.Request.Messages {
		if id != nil && m.ID == *id {
			found = m
		}
	}
	return found
}

// retryMessage sends a message again.
func (x *call) retryMessage(of codeScreen) error {
	id, message := x.PathValue("id"), x.PathValue("message")
	path, err := x.requests(of, id, "messages", message, "retry")
	if err != nil {
		return err
	}
	read, err := x.requests(of, id)
	if err != nil {
		return err
	}
	timeline := of.path + "/codes/"
	return x.change(change{
		Title: "home.retryTitle", Button: "home.retry", Method: http.MethodPost, Path: path, Read: read, Object: "Message/" + message, Back: timeline + id,
		Effects: func(stored, _ resource) ([]string, error) {
			return []string{x.retryEffect(stored, message)}, nil
		},
		Done: func(got resource) (string, notice) {
			another, _ := got["RequestID"].(string)
			if another == "" || another == id {
				return timeline + id, notice{Text: "home.retried"}
			}
			return timeline + another, notice{Text: "home.retriedAnew"}
		},
	})
}

// retryEffect returns the sentence that says what the retry of a message does. A waiting
// message is sent with its code. A message that has ended no longer contains its code, so
// the retry makes a new one.
func (x *call) retryEffect(stored resource, message string) string {
	messages, _ := stored["Messages"].([]any)
	for _, m := range messages {
		if one, ok := m.(map[string]any); ok && one["ID"] == message && one["State"] == "queued" {
			return x.t("home.retrySame")
		}
	}
	return x.t("home.retryNew")
}
