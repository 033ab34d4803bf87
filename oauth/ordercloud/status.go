package ordercloud

import (
	"net/http"
	"slices"

	"latchkey/oauth/admin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
)

// status says how the servers on the database are doing.
type status struct{ *API }

// statusCheck is a check and the roles that may see it. One of them is enough. They are the
// roles that may read the records that the check is about.
type statusCheck struct {
	name  string
	roles []string // empty: FullAccess only
}

func statusChecks() []statusCheck {
	return []statusCheck{
		{admin.CheckDeadLetters, requestReaders},
		{admin.CheckSenders, []string{"MessageSenderAdmin", "MessageSenderReader"}},
		{admin.CheckAuditChain, []string{"AuditReader"}},
		{admin.CheckSigningKeys, []string{"SigningKeyAdmin", "SigningKeyReader"}},
		{admin.CheckServers, nil},
		{admin.CheckRetention, nil},
	}
}

func (a status) routes() []route {
	var roles []string
	for _, check := range statusChecks() {
		roles = append(roles, check.roles...)
	}
	return []route{{serve: a.get, Operation: openapi.Operation{
		Method: http.MethodGet, Path: "/v1/status", ID: "status.Get", Tag: "Status", Roles: surface.SortedSet(roles),
		Summary: "Get the state of the servers: the checks that the caller may see", Answers: map[int]any{http.StatusOK: wire.Status{}},
	}}}
}

// get runs the checks one after the other. A check with an error has the state unknown, and
// the others are still shown.
func (a status) get(c *call) (surface.Answer, error) {
	w := wire.Status{Checks: []wire.StatusCheck{}}
	for _, check := range statusChecks() {
		if len(check.roles) == 0 {
			check.roles = []string{admin.RoleFullAccess}
		}
		if !c.caller.Has(check.roles...) {
			continue
		}
		found, err := a.cfg.Status.Check(c.Context(), check.name)
		if err != nil {
			a.cfg.Logger.Warn().Ctx(c.Context()).Err(err).Str("check", check.name).Msg("status check failed")
			found = admin.Check{Name: check.name, State: admin.StateUnknown}
		}
		w.Checks = append(w.Checks, wire.StatusCheck{
			Name: found.Name, State: string(found.State), Count: found.Count, Since: surface.Optional(found.Since),
			About: surface.OrEmpty(slices.Clone(found.About)), Detail: surface.Optional(found.Detail),
		})
	}
	return surface.Answer{Status: http.StatusOK, Body: w}, nil
}
