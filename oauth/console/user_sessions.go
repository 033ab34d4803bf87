package console

import (
	"net/http"
	"net/url"
	"strings"

	"latchkey/oauth/ordercloud/wire"
)

// sessionSearch is the screen that finds the user whose sessions and consents are shown.
func (c *Console) sessionSearch() []screen {
	return []screen{{path: "/sessions", operation: "users.Search", nav: "sessions.title", serve: (*call).searchSessions}}
}

func (x *call) searchSessions() error {
	found, err := x.findUsers("sessions")
	if err != nil {
		return err
	}
	return x.show("users", "sessions.title", found)
}

// sessionScreens returns the screens of the sessions and consents of a user.
func (k userKind) sessionScreens() []screen {
	one := func(more, verb string, posts bool, serve func(*call, userKind) error) screen {
		return screen{
			path: k.pattern("/{id}" + more), operation: k.operations + "." + verb, under: "/sessions", posts: posts,
			serve: func(x *call) error { return serve(x, k) },
		}
	}
	return []screen{
		one("/sessions", "ListSessions", false, (*call).showSessions),
		one("/sessions/end-all", "EndSessions", true, (*call).endSessions),
		one("/sessions/end/{session}", "EndSession", true, (*call).endSession),
		one("/consents/{client}/end", "EndConsent", true, (*call).endConsent),
	}
}

// shownSessions is the data of the template "user_sessions".
type shownSessions struct {
	URL         string // of the user; the screens of the sessions are below it
	Name        string
	Sessions    []wire.Session
	Consents    []wire.Consent
	SeesConsent bool
	MayEnd      bool
	MayEndAll   bool
	MayWithdraw bool
}

// showSessions shows the sessions and consents of a user.
func (x *call) showSessions(k userKind) error {
	company, id := x.PathValue("company"), x.PathValue("id")
	v := shownSessions{
		URL: x.console.url(k.page(company, id)), Name: id,
		SeesConsent: x.caller.Permits(k.operations + ".ListConsents"),
		MayEnd:      x.caller.Permits(k.operations + ".EndSession"), MayEndAll: x.caller.Permits(k.operations + ".EndSessions"),
		MayWithdraw: x.caller.Permits(k.operations + ".EndConsent"),
	}
	var user wire.User
	if _, err := x.get(k.api(company, id), nil, &user); err != nil {
		return err
	}
	if user.Username != "" {
		v.Name = user.Username
	}
	page := url.Values{"pageSize": {"100"}}
	var sessions wire.List[wire.Session]
	if _, err := x.get(k.api(company, id, "sessions"), page, &sessions); err != nil {
		return err
	}
	v.Sessions = sessions.Items
	if v.SeesConsent {
		var consents wire.List[wire.Consent]
		if _, err := x.get(k.api(company, id, "consents"), page, &consents); err != nil {
			return err
		}
		v.Consents = consents.Items
	}
	return x.show("user_sessions", "sessions.ofUser", v)
}

// sessionChange returns a change that leads back to the sessions of the user.
func (x *call) sessionChange(k userKind, method string, more ...string) change {
	c := x.userChange(k, method, more...)
	c.Back, c.Danger = k.page(x.PathValue("company"), x.PathValue("id"), "sessions"), true
	return c
}

// endSession ends a session.
func (x *call) endSession(k userKind) error {
	c := x.sessionChange(k, http.MethodDelete, "sessions", x.PathValue("session"))
	c.Title, c.Button = "sessions.end", "sessions.end"
	c.Effects = func(resource, resource) ([]string, error) {
		return []string{x.t("sessions.effectEnd"), x.t("sessions.effectTold"), x.t("sessions.effectOffline")}, nil
	}
	c.Done = func(resource) (string, notice) { return c.Back, notice{Text: "sessions.ended"} }
	return x.change(c)
}

// endSessions ends all sessions of a user.
func (x *call) endSessions(k userKind) error {
	c := x.sessionChange(k, http.MethodPost, "sessions", "endall")
	c.Title, c.Button = "sessions.endAll", "sessions.endAll"
	c.Effects = func(resource, resource) ([]string, error) {
		return []string{x.t("sessions.effectEndAll"), x.t("sessions.effectTold"), x.t("sessions.effectOffline")}, nil
	}
	c.Done = func(resource) (string, notice) { return c.Back, notice{Text: "sessions.allEnded"} }
	return x.change(c)
}

// endConsent ends a consent of a user.
func (x *call) endConsent(k userKind) error {
	client := x.PathValue("client")
	c := x.sessionChange(k, http.MethodDelete, "consents", client)
	c.Title, c.Button = "sessions.endConsent", "sessions.endConsent"
	c.Effects = func(resource, resource) ([]string, error) {
		return []string{x.t("sessions.effectConsent", "client", client), x.t("sessions.effectAsked"), x.t("sessions.effectOffline")}, nil
	}
	c.Done = func(resource) (string, notice) {
		return c.Back, notice{Text: "sessions.consentEnded", Pairs: []string{"client", client}}
	}
	return x.change(c)
}

// Join returns the words separated by commas.
func (v view) Join(words []string) string { return strings.Join(words, ", ") }
