package ordercloud

import (
	"errors"
	"net/http"
	"time"

	"latchkey/oauth/admin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

const (
	// replayedByDefault is how far back a replay starts unless the request says otherwise.
	replayedByDefault = 30 * 24 * time.Hour
	maxReplicas       = 1000
)

var errTooManyTasks = refuse(http.StatusConflict, "Task.TooMany", "Five tasks of this kind have not ended yet. Wait until one of them has.")

// passwordProfiles is the resource PasswordProfile, in the default realm. The profiles are
// created and deleted below /v2.
type passwordProfiles struct {
	*API
	standard[storage.PasswordProfile]
}

func (a passwordProfiles) routes() []route {
	k := kind{
		object: "PasswordProfile", path: "/v1/passwordprofiles", param: "passwordProfileID",
		admin: []string{"SecurityProfileAdmin"}, reader: []string{"SecurityProfileReader"},
		fields: text("ID", "Name", "UsernameFormat").with("OneTimePasswords", "OneTimeCodes", otherField).withMembersOf(wire.PasswordProfile{}),
		search: []string{"ID", "Name"}, sameID: equalID, atomic: true,
	}
	e := editor[wire.PasswordProfile, storage.PasswordProfile]{k, a}
	one := k.path + "/{passwordProfileID}"
	shown := map[int]any{http.StatusOK: wire.PasswordProfile{}}
	list := k.operation(http.MethodGet, k.path, "List", "List the PasswordProfile objects", k.readers())
	list.Query, list.Answers, list.Refuses = listParameters(), map[int]any{http.StatusOK: wire.List[wire.PasswordProfile]{}}, []int{400}
	get := k.operation(http.MethodGet, one, "Get", "Get a PasswordProfile", k.readers())
	get.Answers, get.Refuses = shown, []int{404}
	put := k.operation(http.MethodPut, one, "Save", "Replace a PasswordProfile", k.admin)
	put.Body, put.Answers, put.Refuses = wire.PasswordProfile{}, shown, []int{400, 404, 412}
	put.Headers = []openapi.Parameter{{Name: "If-Match", About: "Entity tag that the object must still have"}}
	patch := k.operation(http.MethodPatch, one, "Patch", "Change members of a PasswordProfile", k.admin)
	patch.Body, patch.Answers, patch.Refuses, patch.Headers, patch.Partial = put.Body, shown, put.Refuses, put.Headers, true
	explain := k.operation(http.MethodPost, one+"/explain", "Explain",
		"Show how many guesses a PasswordProfile would allow with the members of the body, without changing it", k.readers())
	explain.Query = []openapi.Parameter{{Name: "replicas", About: "How many servers share the database, 1 to 1000; default 1", Type: "integer"}}
	explain.Body, explain.Partial = wire.PasswordProfile{}, true
	explain.Answers, explain.Refuses = map[int]any{http.StatusOK: wire.PasswordProfileExplanation{}}, []int{400, 404}
	return append([]route{
		{Operation: list, serve: a.serveList(k)},
		{Operation: get, serve: e.serveGet},
		{Operation: put, serve: e.servePut},
		{Operation: patch, serve: e.servePatch},
		{Operation: explain, serve: a.explain(e)},
	}, a.replayRoutes(k)...)
}

func (a passwordProfiles) serveList(k kind) func(*call) (surface.Answer, error) {
	return func(c *call) (surface.Answer, error) {
		q, err := c.query(k.fields, k.search)
		if err != nil {
			return surface.Answer{}, err
		}
		if len(q.Sort) == 0 {
			q.Sort = []storage.Order{{Field: "ID"}}
		}
		found, err := a.cfg.Stores.PasswordProfiles.ListPasswordProfiles(c.Context(), storage.DefaultRealmID, q)
		if err != nil {
			return surface.Answer{}, err
		}
		return listOf(c, q, found, wire.PasswordProfileFromRecord)
	}
}

// get reads the profile with a list, because PasswordProfile may answer from a cache.
func (a passwordProfiles) get(c *call, id string) (storage.PasswordProfile, error) {
	found, err := a.cfg.Stores.PasswordProfiles.ListPasswordProfiles(c.Context(), storage.DefaultRealmID,
		storage.Query{Where: []storage.Condition{equals("ID", storage.PasswordProfileID(id))}, Limit: 1})
	if err == nil && len(found.Items) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.PasswordProfile{}, err
	}
	return found.Items[0], nil
}

func (a passwordProfiles) show(r storage.PasswordProfile) wire.PasswordProfile {
	return wire.PasswordProfileFromRecord(r)
}

func (a passwordProfiles) id(w *wire.PasswordProfile) *string { return &w.ID }

func (a passwordProfiles) version(r storage.PasswordProfile) int64 { return r.Version }

func (a passwordProfiles) apply(c *call, w wire.PasswordProfile, base storage.PasswordProfile) (storage.PasswordProfile, error) {
	if err := a.cfg.Rules.ChangePasswordProfile(c.Context(), c.caller.Authority(), base.ID); err != nil {
		return base, err
	}
	if err := w.Validate("").Err(); err != nil {
		return base, err
	}
	want := w.ToRecord(base)
	return want, wire.RiskFaults(want, a.cfg.GuessCeiling).Err()
}

func (a passwordProfiles) save(c *call, _ wire.PasswordProfile, r storage.PasswordProfile) (storage.PasswordProfile, error) {
	return a.cfg.Stores.PasswordProfiles.PutPasswordProfile(c.Context(), r)
}

// explain explains the profile with the members of the body.
func (a passwordProfiles) explain(e editor[wire.PasswordProfile, storage.PasswordProfile]) func(*call) (surface.Answer, error) {
	return func(c *call) (surface.Answer, error) {
		replicas, err := number(c.values.Get("replicas"), "replicas", 1, maxReplicas, 1)
		if err != nil {
			return surface.Answer{}, err
		}
		raw, err := c.rawBody()
		if err != nil {
			return surface.Answer{}, err
		}
		var named wire.PasswordProfile
		if err := c.decode(raw, &named); err != nil {
			return surface.Answer{}, err
		}
		r, err := e.find(c, c.PathValue(e.param))
		if err != nil {
			return surface.Answer{}, err
		}
		w, err := wire.Patched(e.show(r), raw)
		if err == nil {
			err = w.Validate("").Err()
		}
		if err != nil {
			return surface.Answer{}, err
		}
		explanation := otp.Explain(w.ToRecord(r), replicas, a.cfg.GuessCeiling)
		return surface.Answer{Status: http.StatusOK, Body: wire.ExplanationFromCore(explanation)}, nil
	}
}

// replayRoutes returns the operations that replay a lockout policy over past events.
func (a passwordProfiles) replayRoutes(k kind) []route {
	path := k.path + "/{passwordProfileID}/replays"
	operation := func(method, path, verb, summary string, status int, answer any, refuses ...int) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path, ID: "passwordprofiles.replays." + verb, Tag: k.object, Summary: summary,
			Roles: k.admin, Answers: map[int]any{status: answer}, Refuses: refuses,
		}
	}
	list := operation(http.MethodGet, path, "List", "List the replays of lockout policies, which are kept for a week", http.StatusOK, wire.List[wire.PolicyReplay]{}, 400, 404)
	list.Query = listParameters()
	start := operation(http.MethodPost, path, "Create", "Start to replay a lockout policy over the recorded sign-ins, without changing the profile",
		http.StatusCreated, wire.PolicyReplay{}, 400, 404, 409)
	start.Body = wire.PolicyReplayRequest{}
	get := operation(http.MethodGet, path+"/{replayID}", "Get", "Get a replay with its progress or its result", http.StatusOK, wire.PolicyReplay{}, 404)
	return []route{
		{Operation: list, serve: a.listReplays},
		{Operation: start, serve: a.startReplay},
		{Operation: get, serve: a.getReplay},
	}
}

// replayed returns the profile in the path, and the Object of its tasks.
func (a passwordProfiles) replayed(c *call) (p storage.PasswordProfile, object string, err error) {
	id := c.PathValue("passwordProfileID")
	p, err = a.get(c, id)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound("PasswordProfile", id)
	}
	return p, "PasswordProfile/" + p.ID, err
}

// showReplay names logins only to callers who may read the events that they are from.
func showReplay(c *call, t storage.Task) (wire.PolicyReplay, error) {
	return wire.PolicyReplayFromTask(t, c.caller.Has(auditReaders()...))
}

func (a passwordProfiles) listReplays(c *call) (surface.Answer, error) {
	_, object, err := a.replayed(c)
	if err != nil {
		return surface.Answer{}, err
	}
	return listTasks(c, storage.TaskPolicyReplay, object, func(t storage.Task) (wire.PolicyReplay, error) { return showReplay(c, t) })
}

func (a passwordProfiles) startReplay(c *call) (surface.Answer, error) {
	var w wire.PolicyReplayRequest
	if err := c.readExactly(&w); err != nil {
		return surface.Answer{}, err
	}
	p, object, err := a.replayed(c)
	if err != nil {
		return surface.Answer{}, err
	}
	proposed := w.Proposed(wire.PasswordProfileFromRecord(p))
	if err := proposed.Validate("").Err(); err != nil {
		return surface.Answer{}, err
	}
	now := a.cfg.Now().UTC()
	since := surface.ValueOr(w.Since, now.Add(-replayedByDefault)).UTC()
	if !since.Before(now) {
		return surface.Answer{}, wire.Faults{{Path: "Since", Problem: "must be in the past"}}
	}
	t, err := a.startTask(c, storage.TaskPolicyReplay, object, admin.PolicyReplay{ProfileID: p.ID, Policy: proposed.ToRecord(p).Lockout, Since: since})
	if err != nil {
		return surface.Answer{}, err
	}
	shown, err := showReplay(c, t)
	return surface.Answer{Status: http.StatusCreated, Body: shown}, err
}

func (a passwordProfiles) getReplay(c *call) (surface.Answer, error) {
	_, object, err := a.replayed(c)
	if err != nil {
		return surface.Answer{}, err
	}
	t, err := a.task(c, storage.TaskPolicyReplay, object, "PolicyReplay", c.PathValue("replayID"))
	if err != nil {
		return surface.Answer{}, err
	}
	shown, err := showReplay(c, t)
	return surface.Answer{Status: http.StatusOK, Body: shown}, err
}

// startTask starts a task for the caller.
func (a *API) startTask(c *call, kind storage.TaskKind, object string, request any) (storage.Task, error) {
	t := storage.Task{Kind: kind, Object: object, ClientID: c.caller.Client.ID, TraceID: a.cfg.TraceID(c.Context())}
	if p := c.caller.Principal; p != nil {
		t.UserUID, t.Username = p.User.UID, p.Login.Username
	}
	t, err := a.cfg.Tasks.Start(c.Context(), t, request)
	if errors.Is(err, storage.ErrTooMany) {
		err = errTooManyTasks
	}
	return t, err
}

func (a *API) task(c *call, kind storage.TaskKind, object, what, id string) (storage.Task, error) {
	t, err := a.cfg.Tasks.Get(c.Context(), kind, object, id)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound(what, id)
	}
	return t, err
}

// listTasks answers with the newest tasks of a kind and object.
func listTasks[W any](c *call, kind storage.TaskKind, object string, show func(storage.Task) (W, error)) (surface.Answer, error) {
	f := text("ID", "State", "ClientID", "Username").with("UserID", "UserID", textField).with("CreatedAt", "CreatedAt", timeField).with("EndedAt", "EndedAt", timeField)
	var shape W
	q, err := c.query(f.withMembersOf(shape), []string{"ID", "State", "Username"})
	if err != nil {
		return surface.Answer{}, err
	}
	all, err := c.api.cfg.Tasks.List(c.Context(), kind, object)
	if err != nil {
		return surface.Answer{}, err
	}
	found, err := queryInMemory(q, all, func(t storage.Task, field string) string {
		return map[string]string{
			"ID": t.ID, "State": string(t.State), "ClientID": t.ClientID, "Username": t.Username, "UserID": t.UserUID,
			"CreatedAt": timeText(t.CreatedAt), "EndedAt": timeText(t.EndedAt),
		}[field]
	})
	if err != nil {
		return surface.Answer{}, err
	}
	shown := make([]W, len(found.Items))
	for i, t := range found.Items {
		if shown[i], err = show(t); err != nil {
			return surface.Answer{}, err
		}
	}
	return listOf(c, q, storage.WithItems(found, shown), func(w W) W { return w })
}
