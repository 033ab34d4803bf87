package console

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"latchkey/oauth/ordercloud/wire"
)

// auditScreens returns the screens of the audit events and of their chain.
func (c *Console) auditScreens() []screen {
	return []screen{
		{path: "/audit", operation: "auditevents.List", nav: "audit.title", serve: (*call).showAudit},
		{path: "/audit/events/{id}", operation: "auditevents.Get", serve: (*call).showAuditEvent},
		{path: "/audit/export", operation: "auditevents.Export", serve: (*call).exportAudit},
		{path: "/audit/chain", operation: "auditchain.Get", serve: (*call).showAuditChain},
		{path: "/audit/chain/verify", operation: "auditchain.verifications.Create", posts: true, serve: (*call).verifyAuditChain},
	}
}

// auditPeriods are the times that can be chosen, the first one by default. Without a time
// the list reads all events, which takes long in a large database.
var auditPeriods = []struct {
	Value  string
	Length time.Duration // 0: all
}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"week", 7 * 24 * time.Hour}, {"month", 30 * 24 * time.Hour}, {"all", 0}}

// auditFilters are the filters of /v1 that the screen has. Those of the form come first.
var auditFilters = []string{"Action", "Outcome", "about", "ClientID", "TraceID", "Object", "Source", "sortBy"}

// auditView is the data of the template "audit".
type auditView struct {
	list[wire.AuditEvent]
	Period  string
	Periods []string
	From    string
	To      string // as in the form
	Oldest  bool   // the oldest event comes first
	Export  string // URL of the export of the same events
	Hidden  []keptField
	Actions []string
}

// auditActions are actions that the form suggests.
var auditActions = []string{
	"sign_in", "code.*", "message.*", "session.*", "token.*", "password.*", "login.*", "apiclient*", "*user.*", "buyer.*", "securityprofile*",
	"passwordprofile.*", "messagesender*", "signingkey.*", "auditchain.*", "auditevents.exported",
}

// showAudit lists audit events.
func (x *call) showAudit() error {
	given := x.URL.Query()
	v := auditView{Period: given.Get("period"), From: given.Get("from"), To: given.Get("to"), Oldest: given.Get("sortBy") == "ID", Actions: auditActions}
	for _, p := range auditPeriods {
		v.Periods = append(v.Periods, p.Value)
	}
	if !slices.Contains(v.Periods, v.Period) {
		v.Period = v.Periods[0]
	}
	if !given.Has("Time") { // later pages have the times of the first one
		for _, t := range x.auditTimes(&v) {
			given.Add("Time", t)
		}
	}
	filtered := *x.Request
	u := *x.URL
	u.RawQuery = given.Encode()
	filtered.URL = &u
	page := *x
	page.Request = &filtered
	found, err := readList[wire.AuditEvent](&page, pathOf("auditevents"), append(slices.Clone(auditFilters), "Time")...)
	if err != nil {
		return err
	}
	v.list = found
	for _, link := range []*string{&v.Next, &v.First} {
		if *link != "" {
			*link += "&" + url.Values{"period": {v.Period}, "from": {v.From}, "to": {v.To}}.Encode()
		}
	}
	for _, name := range []string{"ClientID", "TraceID", "Object", "Source", "sortBy"} {
		if value := found.Values.Get(name); value != "" {
			v.Hidden = append(v.Hidden, keptField{Name: name, Label: name, Value: value, Shown: name != "sortBy"})
		}
	}
	if x.caller.Permits("auditevents.Export") {
		query := url.Values{}
		for _, name := range append(slices.Clone(auditFilters), "Time") {
			if values := given[name]; len(values) > 0 && name != "sortBy" {
				query[name] = values
			}
		}
		if found.Search != "" {
			query.Set("search", found.Search)
		}
		v.Export = x.console.url("/audit/export") + "?" + query.Encode()
	}
	return x.show("audit", "audit.title", v)
}

// auditTimes returns the filters by time that the form chooses: from and to, in the zone of
// the viewer, or a period.
func (x *call) auditTimes(v *auditView) []string {
	var times []string
	at := func(sign, text string) {
		if t, err := time.ParseInLocation(localTime, text, x.zone); err == nil {
			times = append(times, sign+t.UTC().Format(time.RFC3339))
		}
	}
	at(">=", v.From)
	at("<", v.To)
	if len(times) > 0 {
		v.Period = "all"
		return times
	}
	for _, p := range auditPeriods {
		if p.Value == v.Period && p.Length > 0 {
			times = append(times, ">="+x.console.cfg.Now().Add(-p.Length).UTC().Format(time.RFC3339))
		}
	}
	return times
}

// Without returns the URL of the list without one filter.
func (v auditView) Without(name string) string {
	query := url.Values{"period": {v.Period}, "from": {v.From}, "to": {v.To}}
	for filter, values := range v.Values {
		if filter != name && filter != "Time" {
			query[filter] = values
		}
	}
	return v.Action + "?" + query.Encode()
}

// auditOutcome returns the kind of state of an outcome.
func auditOutcome(e wire.AuditEvent) string {
	switch {
	case e.Action == "audit.chain_broken" || e.Outcome == "broken" || e.Outcome == "failed":
		return "bad"
	case e.Outcome == "success" || e.Outcome == "":
		return "good"
	case strings.HasPrefix(e.Action, "message.") || strings.HasSuffix(e.Action, ".queued"):
		return "off"
	}
	return "warn"
}

// AuditOutcome returns the kind of state of an outcome for the style of it.
func (v view) AuditOutcome(e wire.AuditEvent) string { return auditOutcome(e) }

// followMargin is how long before an event the list of related events begins. A short time
// keeps the list fast.
const followMargin = time.Hour

// AuditFollow returns the URL of the events that the filter selects, the oldest first, from
// an hour before the event on.
func (v view) AuditFollow(e wire.AuditEvent, filter, value string) string {
	query := url.Values{
		filter: {value}, "sortBy": {"ID"}, "period": {"all"}, "Time": {">=" + e.Time.Add(-followMargin).UTC().Format(time.RFC3339)},
	}
	return v.console.url("/audit") + "?" + query.Encode()
}

// AuditOf returns the URL of the events of the last month that the filter selects by one of
// the values; empty: there is no value.
func (v view) AuditOf(filter string, values ...string) string {
	values = slices.DeleteFunc(values, func(s string) bool { return s == "" || strings.ContainsAny(s, "*|") })
	if len(values) == 0 {
		return ""
	}
	slices.Sort(values)
	return v.console.url("/audit") + "?" + url.Values{filter: {strings.Join(slices.Compact(values), "|")}, "period": {"month"}}.Encode()
}

// About returns the users that the event is by, for the filter about.
func (v view) About(e wire.AuditEvent) string {
	var names []string
	for _, name := range []*string{e.UserID, e.Username} {
		if name != nil && *name != "" && !strings.ContainsAny(*name, "*|") {
			names = append(names, *name)
		}
	}
	return strings.Join(names, "|")
}

// showAuditEvent shows an event with all its members.
func (x *call) showAuditEvent() error {
	var e wire.AuditEvent
	if _, err := x.get(pathOf("auditevents", x.PathValue("id")), nil, &e); err != nil {
		return err
	}
	return x.show("audit_event", "audit.event", e)
}

// exportAudit sends the events that the list shows as a file.
func (x *call) exportAudit() error {
	query := url.Values{}
	for _, name := range append(slices.Clone(auditFilters), "Time", "search") {
		if values := x.URL.Query()[name]; len(values) > 0 && name != "sortBy" {
			query[name] = values
		}
	}
	return x.stream(pathOf("auditevents", "export"), query, "audit-"+x.console.cfg.Now().UTC().Format("20060102T150405Z")+".ndjson")
}

// chainView is the data of the template "audit_chain".
type chainView struct {
	wire.AuditChain
	Verifications []wire.AuditVerification
}

// showAuditChain shows the state of the chain and its verifications.
func (x *call) showAuditChain() error {
	var v chainView
	if _, err := x.get(pathOf("auditchain"), nil, &v.AuditChain); err != nil {
		return err
	}
	if x.caller.Permits("auditchain.verifications.List") {
		var all wire.List[wire.AuditVerification]
		if _, err := x.get(pathOf("auditchain", "verifications"), url.Values{"pageSize": {"10"}}, &all); err != nil {
			return err
		}
		v.Verifications = all.Items
	}
	return x.show("audit_chain", "audit.chain", v)
}

// verifyAuditChain starts a verification.
func (x *call) verifyAuditChain() error {
	return x.change(change{
		Title: "audit.verify", Button: "audit.verifyNow", Method: http.MethodPost, Path: pathOf("auditchain", "verifications"),
		Back: "/audit/chain",
		Form: &form{Name: "verification", Fields: []field{{Name: "Expect", Kind: textField}}},
		Effects: func(resource, resource) ([]string, error) {
			return []string{x.t("audit.verifyEffect")}, nil
		},
		Done: func(resource) (string, notice) { return "/audit/chain", notice{Text: "audit.verifyStarted"} },
	})
}

// Percent returns how much of a verification is done.
func (v view) Percent(read, all int64) int64 {
	if all <= 0 {
		return 0
	}
	return min(100, 100*read/all)
}

// OwnClient returns the ID of the client of the console, which has no screen.
func (v view) OwnClient() string { return v.console.cfg.ClientID }

// Named returns the text of that name and value, or the value if there is none.
func (v view) Named(name string, value any) (string, error) {
	plain := v.Plain(value)
	if !v.HasText(name + "." + plain) {
		return plain, nil
	}
	return v.T(name + "." + plain)
}

// Plain returns a value as text, or what a pointer points to; nil is no text.
func (v view) Plain(value any) string {
	at := reflect.ValueOf(value)
	for at.Kind() == reflect.Pointer {
		if at.IsNil() {
			return ""
		}
		at = at.Elem()
	}
	return fmt.Sprint(at.Interface())
}
