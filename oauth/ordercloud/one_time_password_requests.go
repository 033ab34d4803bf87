package ordercloud

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// oneTimePasswordRequests are the stored requests for one-time passwords and other
// messages: all of them or, below a buyer or supplier, those that reached one of its users
// or that name one.
type oneTimePasswordRequests struct {
	*API
	path string
	who  audience
	of   storage.UserKind // of the company; empty: all requests
}

func (a *API) requestRoutes() []route {
	const under = "/onetimepasswordrequests"
	all := oneTimePasswordRequests{a, "/v1" + under, sellers, ""}
	return slices.Concat(all.routes(), []route{all.funnelRoute()},
		oneTimePasswordRequests{a, "/v1/buyers/{buyerID}" + under, companyUsers, storage.Buyer}.routes(),
		oneTimePasswordRequests{a, "/v1/suppliers/{supplierID}" + under, companyUsers, storage.Supplier}.routes())
}

var (
	requestAdmins  = []string{"OneTimePasswordAdmin"}
	requestReaders = []string{"OneTimePasswordAdmin", "OneTimePasswordReader"}
)

func (a oneTimePasswordRequests) operation(method, under, verb, summary string, roles []string, answer any, refuses ...int) openapi.Operation {
	return openapi.Operation{
		Method: method, Path: a.path + under, ID: operationID(strings.TrimPrefix(a.path+under, "/v1/"), verb), Tag: "OneTimePasswordRequest",
		Summary: summary, Roles: roles, Answers: map[int]any{http.StatusOK: answer}, Refuses: refuses,
	}
}

func (a oneTimePasswordRequests) routes() []route {
	of := ""
	if a.of != "" {
		of = " of a company's users"
	}
	list := a.operation(http.MethodGet, "", "List", "List the requests"+of+" for one-time passwords and other messages, the newest first",
		requestReaders, wire.List[wire.CodeRequest]{}, 400)
	list.Query = append(listParameters(), openapi.Parameter{
		Name: "find", About: "Username, e-mail address, ID of a request, of a message or of the HTTP request, in full. Finds the requests that a user made by another name too",
	})
	if a.of != "" {
		list.Refuses = append(list.Refuses, http.StatusNotFound)
	}
	get := a.operation(http.MethodGet, "/{requestID}", "Get", "Get a request"+of+" with what became of its codes and messages; by the ID of a message, with what became of that",
		requestReaders, wire.CodeRequest{}, 404)
	retry := a.operation(http.MethodPost, "/{requestID}/messages/{messageID}/retry", "Retry", "Send a message"+of+" again while its code is valid",
		requestAdmins, wire.MessageRetry{}, 404, 409)
	retry.ID = operationID(strings.TrimPrefix(a.path+"/messages", "/v1/"), "Retry")
	return []route{{Operation: list, who: a.who, serve: a.list}, {Operation: get, who: a.who, serve: a.get}, {Operation: retry, who: a.who, serve: a.retry}}
}

func (a oneTimePasswordRequests) list(c *call) (surface.Answer, error) {
	f := text("ID", "Type", "ClientID", "Username", "Email", "TraceID").with("CreatedAt", "CreatedAt", timeField).
		with("ExpiresAt", "ExpiresAt", timeField).with("ResolvedAt", "ResolvedAt", timeField).withMembersOf(wire.CodeRequest{})
	q, err := c.query(f, []string{"Username", "Email", "ClientID"})
	if err != nil {
		return surface.Answer{}, err
	}
	if len(q.Sort) == 0 {
		q.Sort = []storage.Order{{Field: "CreatedAt", Descending: true}}
	}
	company, err := a.company(c)
	if err != nil {
		return surface.Answer{}, err
	}
	wanted := c.values.Get("find")
	if wanted == "" && a.of != "" {
		return surface.Answer{}, wire.Faults{{Path: "find", Problem: "is required"}}
	}
	if wanted != "" {
		found, err := a.find(c, company, wanted)
		if err != nil {
			return surface.Answer{}, err
		}
		q.Where = append(q.Where, found)
	}
	found, err := a.cfg.Stores.Records.ListRequests(c.Context(), q)
	if err != nil {
		return surface.Answer{}, err
	}
	now := a.cfg.Now()
	for i := range found.Items {
		if found.Items[i], err = a.visibleTo(c, company, found.Items[i]); err != nil {
			return surface.Answer{}, err
		}
	}
	return listOf(c, q, found, func(t storage.Timeline) wire.CodeRequest { return wire.CodeRequestFromTimeline(t, now) })
}

// company returns the company in the path; without one it is zero.
func (a oneTimePasswordRequests) company(c *call) (storage.Account, error) {
	if a.of == "" {
		return storage.Account{}, nil
	}
	id := c.PathValue("buyerID") + c.PathValue("supplierID") // one of them
	found, err := a.account(c, a.of, id)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound(objectType(a.of), id)
	}
	return found, err
}

const (
	maxNamed = 20  // users of one name that are looked up
	maxFound = 100 // requests that are found
)

// find returns the condition for the requests that a search word finds.
func (a oneTimePasswordRequests) find(c *call, company storage.Account, word string) (storage.Condition, error) {
	condition := storage.Condition{Fields: []string{"ID"}, Tests: []storage.Test{{Op: storage.OpEqual, Value: noRecord}}}
	words, err := a.words(c, company, word)
	if err != nil {
		return condition, err
	}
	ids, err := a.cfg.Stores.Records.FindRequests(c.Context(), words, maxFound)
	if err != nil {
		return condition, err
	}
	for _, id := range ids {
		if a.of != "" { // a company sees only some of them
			if _, _, err := a.timelineOf(c, company, id); errors.Is(err, storage.ErrNotFound) {
				continue
			} else if err != nil {
				return condition, err
			}
		}
		condition.Tests = append(condition.Tests, storage.Test{Op: storage.OpEqual, Value: id})
	}
	return condition, nil
}

// words returns the ID and the names by which requests are found. If word is the ID of a
// message, it returns the ID of the request of that message. The names are word, and all
// names of the users who have it as a username or e-mail address.
func (a oneTimePasswordRequests) words(c *call, company storage.Account, word string) (storage.RequestWords, error) {
	w := storage.RequestWords{ID: word, Names: []string{word}}
	m, err := a.cfg.Stores.Records.Message(c.Context(), word)
	if err == nil && m.RequestID != "" {
		return storage.RequestWords{ID: m.RequestID}, nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return w, err
	}
	named := storage.Condition{Fields: []string{"Username", "Email"}, Tests: []storage.Test{{Op: storage.OpEqualFold, Value: word}}}
	users, err := a.cfg.Stores.Users.ListUsers(c.Context(),
		storage.UserScope{RealmID: storage.DefaultRealmID, Kind: company.Kind, AccountUID: company.UID},
		storage.Query{Where: []storage.Condition{named}, Limit: maxNamed})
	if err != nil {
		return w, err
	}
	for i := range users.Items {
		u := &users.Items[i].User
		logins, err := a.cfg.Stores.Logins.LoginsOfUser(c.Context(), u.UID)
		if err != nil {
			return w, err
		}
		w.UserUIDs = append(w.UserUIDs, u.UID)
		if u.Email != "" {
			w.Names = append(w.Names, u.Email)
		}
		for _, l := range logins {
			w.Names = append(w.Names, l.Username)
		}
	}
	return w, nil
}

// visibleTo returns the part of a timeline that a company may see: the codes and messages of
// its users. Without a company it returns the whole timeline.
func (a oneTimePasswordRequests) visibleTo(c *call, company storage.Account, t storage.Timeline) (storage.Timeline, error) {
	if a.of == "" {
		return t, nil
	}
	theirs := map[string]bool{}
	for _, code := range t.Codes {
		theirs[code.UserUID] = false
	}
	for _, m := range t.Messages {
		theirs[m.UserUID] = false
	}
	for uid := range theirs {
		var err error
		if theirs[uid], err = a.isTheirs(c, company, uid); err != nil {
			return t, err
		}
	}
	return otp.OfUsers(t, func(uid string) bool { return theirs[uid] }), nil
}

// isTheirs reports whether the user is one of the company's own.
func (a oneTimePasswordRequests) isTheirs(c *call, company storage.Account, userUID string) (bool, error) {
	u, err := a.cfg.Stores.Users.UserByUID(c.Context(), userUID)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil && u.AccountUID == company.UID, err
}

// names reports whether a request names a user of the company.
func (a oneTimePasswordRequests) names(c *call, company storage.Account, r *storage.CodeRequest) (bool, error) {
	theirs := false
	var err error
	if r.UserUID != "" {
		theirs, err = a.isTheirs(c, company, r.UserUID)
	}
	if r.Username != "" && !theirs && err == nil {
		var p storage.Principal
		p, err = a.cfg.Stores.Logins.Principal(c.Context(), storage.LoginKey{ProfileID: r.ProfileID, UsernameKey: otp.NormalizeUsername(r.Username)})
		theirs = p.Known && p.User.AccountUID == company.UID
	}
	if r.Email != "" && !theirs && err == nil {
		same := storage.Condition{Fields: []string{"Email"}, Tests: []storage.Test{{Op: storage.OpEqualFold, Value: r.Email}}}
		var found storage.Page[storage.UserLogin]
		found, err = a.cfg.Stores.Users.ListUsers(c.Context(), storage.UserScope{RealmID: storage.DefaultRealmID, Kind: company.Kind, AccountUID: company.UID},
			storage.Query{Where: []storage.Condition{same}, Limit: 1})
		theirs = len(found.Items) > 0
	}
	return theirs, err
}

// timeline returns the part of the request in the path that the caller may see. others
// reports whether it also has codes or messages of users whom the caller may not see.
func (a oneTimePasswordRequests) timeline(c *call) (t storage.Timeline, others bool, err error) {
	company, err := a.company(c)
	if err != nil {
		return t, false, err
	}
	id := c.PathValue("requestID")
	t, others, err = a.timelineOf(c, company, id)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound("OneTimePasswordRequest", id)
	}
	return t, others, err
}

// timelineOf is timeline for a company and the ID of a request or a message. A company may
// see a request that reached one of its users, or that names one and reached nobody.
// Otherwise the error is storage.ErrNotFound.
func (a oneTimePasswordRequests) timelineOf(c *call, company storage.Account, id string) (t storage.Timeline, others bool, err error) {
	all, err := otp.FindTimeline(c.Context(), a.cfg.Stores.Records, id)
	if err == nil {
		t, err = a.visibleTo(c, company, all)
	}
	if err != nil || a.of == "" {
		return t, false, err
	}
	others = len(t.Codes) < len(all.Codes) || len(t.Messages) < len(all.Messages)
	visible := len(t.Codes)+len(t.Messages) > 0
	// The name in the request may have belonged to another company's user when it was made. So
	// the name makes a request visible only if the request reached nobody.
	if !visible && !others && id == t.Request.ID {
		visible, err = a.names(c, company, &t.Request)
	}
	if err == nil && !visible {
		err = storage.ErrNotFound
	}
	return t, others, err
}

func (a oneTimePasswordRequests) get(c *call) (surface.Answer, error) {
	t, _, err := a.timeline(c)
	if err != nil {
		return surface.Answer{}, err
	}
	now := a.cfg.Now()
	return surface.Answer{Status: http.StatusOK, Body: wire.CodeRequestFromTimeline(t, now).WithTimeline(t, now)}, nil
}

func (a oneTimePasswordRequests) retry(c *call) (surface.Answer, error) {
	t, others, err := a.timeline(c)
	if err != nil {
		return surface.Answer{}, err
	}
	w := wire.MessageRetry{RequestID: t.Request.ID, MessageID: c.PathValue("messageID")}
	i := slices.IndexFunc(t.Messages, func(m storage.Message) bool { return m.ID == w.MessageID })
	if i < 0 {
		return surface.Answer{}, notFound("Message", w.MessageID)
	}
	if others && !t.Messages[i].Type.HasCode() { // the whole request would be repeated
		return surface.Answer{}, noRetry("its request reaches users of others too")
	}
	another, err := otp.Retry(c.Context(), a.cfg.Stores.Messages, a.cfg.Rand, w.MessageID, a.cfg.Now().UTC())
	switch {
	case errors.Is(err, otp.ErrNoRetry):
		_, reason, _ := strings.Cut(err.Error(), ": ")
		return surface.Answer{}, noRetry(reason)
	case errors.Is(err, storage.ErrNotFound):
		return surface.Answer{}, notFound("Message", w.MessageID)
	case err != nil:
		return surface.Answer{}, err
	}
	if another != "" {
		w.RequestID = another
	}
	a.cfg.Wake()
	a.record(c, "message.retried", "Message/"+w.MessageID)
	return surface.Answer{Status: http.StatusOK, Body: w}, nil
}

func noRetry(reason string) error {
	return refuse(http.StatusConflict, "Message.NoRetry", "The message cannot be sent again: "+reason+".")
}

func (a oneTimePasswordRequests) funnelRoute() route {
	funnel := a.operation(http.MethodGet, "/funnel", "Funnel", "Count the requested, delivered, redeemed and expired codes of the last hour and day", requestReaders, wire.OneTimePasswordFunnel{})
	funnel.ID = operationID(strings.TrimPrefix(a.path, "/v1/"), "Funnel")
	return route{Operation: funnel, serve: a.funnel}
}

// funnel answers with counts up to the last full minute. So all servers answer the same, and
// each server counts at most once a minute.
func (a oneTimePasswordRequests) funnel(c *call) (surface.Answer, error) {
	until := a.cfg.Now().UTC().Truncate(time.Minute)
	select {
	case a.counting <- struct{}{}:
		defer func() { <-a.counting }()
	case <-c.Context().Done(): // another request is still counting
		return surface.Answer{}, c.Context().Err()
	}
	if !a.counted.Until.Equal(until) {
		periods, err := a.cfg.Stores.Figures.CodeFunnel(c.Context(), until, time.Hour, 24*time.Hour)
		if err != nil {
			return surface.Answer{}, err
		}
		a.counted = wire.OneTimePasswordFunnel{Until: until}
		for _, p := range periods {
			a.counted.Periods = append(a.counted.Periods, wire.FunnelPeriodFromRecord(p))
		}
	}
	return surface.Answer{Status: http.StatusOK, Body: a.counted}, nil
}
