package ordercloud

import (
	"errors"
	"net/http"

	"latchkey/keys"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// signingKeys are the keys that sign tokens.
type signingKeys struct{ *API }

func (a signingKeys) routes() []route {
	const path = "/v1/signingkeys"
	admin, read := []string{"SigningKeyAdmin"}, []string{"SigningKeyAdmin", "SigningKeyReader"}
	operation := func(method, under, verb, summary string, roles []string, answers map[int]any, refuses ...int) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path + under, ID: "signingkeys." + verb, Tag: "SigningKey", Summary: summary,
			Roles: roles, Answers: answers, Refuses: refuses,
		}
	}
	shown := map[int]any{http.StatusOK: wire.SigningKey{}}
	list := operation(http.MethodGet, "", "List", "List the signing keys", read, map[int]any{http.StatusOK: wire.List[wire.SigningKey]{}}, 400)
	list.Query = listParameters()
	rotate := operation(http.MethodPost, "/rotate", "Rotate", "Announce a successor of a signing key", admin, shown, 400, 409)
	rotate.Body = wire.KeyRotation{}
	planned := map[int]any{http.StatusOK: wire.KeyPlan{}}
	planRotate := operation(http.MethodGet, "/rotate/plan", "PlanRotation", "Get what a rotation would do", read, planned, 400, 409)
	planRotate.Query = []openapi.Parameter{{Name: "alg", About: "JWS algorithm; default the server's"}}
	planRevoke := operation(http.MethodGet, "/{kid}/revoke/plan", "PlanRevocation", "Get what a revocation would do", read, planned, 404, 409)
	return []route{
		{Operation: planRotate, serve: a.planRotate},
		{Operation: planRevoke, serve: a.planRevoke},
		{Operation: list, serve: a.list},
		{Operation: operation(http.MethodGet, "/{kid}", "Get", "Get a signing key", read, shown, 404), serve: a.get},
		{Operation: rotate, serve: a.rotate},
		{
			Operation: operation(http.MethodPost, "/{kid}/revoke", "Revoke", "End a signing key at once", admin, map[int]any{http.StatusNoContent: nil}, 404, 409),
			serve:     a.revoke,
		},
	}
}

func (a signingKeys) list(c *call) (surface.Answer, error) {
	f := text("ID", "Alg", "State")
	for _, name := range []string{"CreatedAt", "ActivatesAt", "RetiresAt", "GoneAt", "RevokedAt"} {
		f.with(name, name, timeField)
	}
	q, err := c.query(f, []string{"ID", "Alg", "State"})
	if err != nil {
		return surface.Answer{}, err
	}
	all, err := a.cfg.Stores.Keys.List(c.Context()) // oldest first, which is the order without sortBy
	if err != nil {
		return surface.Answer{}, err
	}
	found, err := queryInMemory(q, all, func(k keys.KeyInfo, field string) string {
		return map[string]string{
			"ID": k.KID, "Alg": k.Alg, "State": string(k.State), "CreatedAt": timeText(k.CreatedAt),
			"ActivatesAt": timeText(k.ActivatesAt), "RetiresAt": timeText(k.RetiresAt),
			"GoneAt": timeText(k.GoneAt), "RevokedAt": timeText(k.RevokedAt),
		}[field]
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, wire.SigningKeyFromInfo)
}

func (a signingKeys) get(c *call) (surface.Answer, error) {
	all, err := a.cfg.Stores.Keys.List(c.Context())
	if err != nil {
		return surface.Answer{}, err
	}
	for _, k := range all {
		if k.KID == c.PathValue("kid") {
			return surface.Answer{Status: http.StatusOK, Body: wire.SigningKeyFromInfo(k)}, nil
		}
	}
	return surface.Answer{}, notFound("SigningKey", c.PathValue("kid"))
}

// rotate answers with the successor of a signing key. If a successor is announced already,
// it answers with that one, so a repeated request changes nothing.
func (a signingKeys) rotate(c *call) (surface.Answer, error) {
	var w wire.KeyRotation
	if c.ContentLength != 0 {
		if err := c.readExactly(&w); err != nil {
			return surface.Answer{}, err
		}
	}
	if err := w.Validate("").Err(); err != nil {
		return surface.Answer{}, err
	}
	successor, err := a.cfg.Stores.Keys.Rotate(c.Context(), surface.ValueOr(w.Alg, ""))
	if err != nil {
		return surface.Answer{}, keyRefusal(err, "")
	}
	a.record(c, "signingkey.rotated", "SigningKey/"+successor.KID)
	return surface.Answer{Status: http.StatusOK, Body: wire.SigningKeyFromInfo(successor)}, nil
}

func (a signingKeys) revoke(c *call) (surface.Answer, error) {
	kid := c.PathValue("kid")
	if err := a.cfg.Stores.Keys.Revoke(c.Context(), kid); err != nil {
		return surface.Answer{}, keyRefusal(err, kid)
	}
	a.record(c, "signingkey.revoked", "SigningKey/"+kid)
	return surface.Answer{Status: http.StatusNoContent}, nil
}

func (a signingKeys) planRotate(c *call) (surface.Answer, error) {
	w := wire.KeyRotation{Alg: surface.Optional(c.values.Get("alg"))}
	if err := w.Validate("").Err(); err != nil {
		return surface.Answer{}, err
	}
	plan, err := a.cfg.Stores.Keys.PlanRotate(c.Context(), surface.ValueOr(w.Alg, ""))
	return surface.Answer{Status: http.StatusOK, Body: wire.KeyPlanFromPlan(plan)}, keyRefusal(err, "")
}

func (a signingKeys) planRevoke(c *call) (surface.Answer, error) {
	kid := c.PathValue("kid")
	plan, err := a.cfg.Stores.Keys.PlanRevoke(c.Context(), kid)
	return surface.Answer{Status: http.StatusOK, Body: wire.KeyPlanFromPlan(plan)}, keyRefusal(err, kid)
}

// keyRefusal returns the refusal for an error of the ring, or the error.
func keyRefusal(err error, kid string) error {
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return notFound("SigningKey", kid)
	case errors.Is(err, keys.ErrExternalKey):
		return refuse(http.StatusConflict, "SigningKey.External", "The key that signs is configured at the server. Only its configuration changes it.")
	}
	return err
}
