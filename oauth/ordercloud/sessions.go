package ordercloud

import (
	"errors"
	"net/http"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var errThirdParty = refuse(http.StatusForbidden, "Auth.ThirdPartyClient", "A third-party client may not do this for its users.")

// sessionRoutes returns the operations on the user's own sessions. Several sessions are
// ended by POST. Otherwise a DELETE that lacks the ID of its session would end them all.
func (a me) sessionRoutes() []route {
	const path = "/v1/me/sessions"
	operation := func(method, under, verb, summary string, refuses ...int) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path + under, ID: "me." + verb, Tag: "Me", Summary: summary,
			Answers: map[int]any{http.StatusNoContent: nil}, Refuses: append(refuses, http.StatusForbidden),
		}
	}
	list := operation(http.MethodGet, "", "ListSessions", "List the sessions in which the user is signed in at a browser", 400)
	list.Query, list.Answers = listParameters(), sessionsShown()
	return []route{
		{Operation: list, who: everyUser, serve: asFirstParty(a.listSessions)},
		{
			Operation: operation(http.MethodPost, "/endothers", "EndOtherSessions", "End the user's sessions, except that of the access token"),
			who:       everyUser, serve: asFirstParty(a.endOtherSessions),
		},
		{
			Operation: operation(http.MethodDelete, "/{sessionID}", "EndSession", "End one of the user's sessions", 404),
			who:       everyUser, serve: asFirstParty(a.endSession),
		},
	}
}

func sessionsShown() map[int]any { return map[int]any{http.StatusOK: wire.List[wire.Session]{}} }

// asFirstParty is asItself, and also refuses third-party clients: the user has not consented
// to these operations.
func asFirstParty(serve func(*call) (surface.Answer, error)) func(*call) (surface.Answer, error) {
	return asItself(func(c *call) (surface.Answer, error) {
		if c.caller.Client.ThirdParty {
			return surface.Answer{}, errThirdParty
		}
		return serve(c)
	})
}

func (a me) listSessions(c *call) (surface.Answer, error) {
	return a.sessionsOf(c, c.caller.Principal.User.UID)
}

func (a me) endOtherSessions(c *call) (surface.Answer, error) {
	user := &c.caller.Principal.User
	current, err := a.cfg.Sessions.OfFamily(c.Context(), c.caller.FamilyID)
	if err == nil {
		err = a.cfg.Sessions.EndAll(c.Context(), user.UID, current, a.cfg.TraceID(c.Context()))
	}
	if err == nil {
		a.recordSessions(c, userObject(user.Kind), ownName(c))
	}
	return surface.Answer{Status: http.StatusNoContent}, err
}

func (a me) endSession(c *call) (surface.Answer, error) {
	user := &c.caller.Principal.User
	return a.endOne(c, user.UID, userObject(user.Kind), ownName(c))
}

// sessionsOf answers with the sessions of a user.
func (a *API) sessionsOf(c *call, userUID string) (surface.Answer, error) {
	f := text("ID", "ClientID")
	for _, name := range []string{"SignedInAt", "LastUsedAt", "IdleUntil", "ExpiresAt"} {
		f.with(name, name, timeField)
	}
	q, err := c.query(f, []string{"ID", "ClientID"})
	if err != nil {
		return surface.Answer{}, err
	}
	all, err := a.cfg.Sessions.OfUser(c.Context(), userUID)
	if err != nil {
		return surface.Answer{}, err
	}
	current, err := a.cfg.Sessions.OfFamily(c.Context(), c.caller.FamilyID)
	if err != nil {
		return surface.Answer{}, err
	}
	found, err := queryInMemory(q, all, func(x storage.Session, field string) string {
		return map[string]string{
			"ID": x.ID, "ClientID": x.ClientID, "SignedInAt": timeText(x.AuthTime), "LastUsedAt": timeText(x.LastUsedAt),
			"IdleUntil": timeText(x.IdleUntil), "ExpiresAt": timeText(x.ExpiresAt),
		}[field]
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, func(x storage.Session) wire.Session { return wire.SessionFromRecord(x, current) })
}

// endOne ends the session in the path, which must be the user's.
func (a *API) endOne(c *call, userUID, object, name string) (surface.Answer, error) {
	id := c.PathValue("sessionID")
	err := a.cfg.Sessions.EndOfUser(c.Context(), userUID, id, a.cfg.TraceID(c.Context()))
	if errors.Is(err, storage.ErrNotFound) {
		return surface.Answer{}, notFound("Session", id)
	}
	if err == nil {
		a.recordSessions(c, object, name)
	}
	return surface.Answer{Status: http.StatusNoContent}, err
}

func (a *API) recordSessions(c *call, object, name string) {
	a.record(c, strings.ToLower(object)+".sessions_ended", object+"/"+name)
}

// sessionRoutes returns the operations of administrators on the sessions of a user.
func (u users) sessionRoutes() []route {
	list := u.action(http.MethodGet, "/sessions", "ListSessions", "List the sessions in which a user is signed in at a browser")
	list.Roles, list.Query, list.Answers = u.readers(), listParameters(), sessionsShown()
	list.Refuses = append(list.Refuses, http.StatusBadRequest)
	one := u.action(http.MethodDelete, "/sessions/{sessionID}", "EndSession", "End one session of a user")
	all := u.action(http.MethodPost, "/sessions/endall", "EndSessions", "End all sessions of a user")
	return []route{
		{Operation: list, who: u.who, serve: func(c *call) (surface.Answer, error) {
			p, err := u.existing(c)
			if err != nil {
				return surface.Answer{}, err
			}
			return u.sessionsOf(c, p.User.UID)
		}},
		{Operation: one, who: u.who, serve: func(c *call) (surface.Answer, error) {
			p, err := u.manageable(c)
			if err != nil {
				return surface.Answer{}, err
			}
			return u.endOne(c, p.User.UID, u.object, u.auditID(c, p.User.ID))
		}},
		{Operation: all, who: u.who, serve: u.act("sessions_ended", func(c *call, p person) error {
			return u.cfg.Sessions.EndAll(c.Context(), p.User.UID, "", u.cfg.TraceID(c.Context()))
		})},
	}
}
