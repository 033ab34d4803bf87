package ordercloud

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// maxConsents is how many consents of a user are listed.
const maxConsents = 1000

// consentRoutes returns the operations of administrators on the consents that a user has
// given to third-party clients.
func (u users) consentRoutes() []route {
	list := u.action(http.MethodGet, "/consents", "ListConsents", "List what a user allowed third-party clients")
	list.Roles, list.Query, list.Answers = u.readers(), listParameters(), map[int]any{http.StatusOK: wire.List[wire.Consent]{}}
	list.Refuses = append(list.Refuses, http.StatusBadRequest)
	end := u.action(http.MethodDelete, "/consents/{clientID}", "EndConsent", "End a user's consent, with the refresh tokens that the client got by it")
	return []route{
		{Operation: list, who: u.who, serve: u.listConsents},
		{Operation: end, who: u.who, serve: u.endConsent},
	}
}

func (u users) listConsents(c *call) (surface.Answer, error) {
	q, err := c.query(text("ClientID").with("GrantedAt", "GrantedAt", timeField).withMembersOf(wire.Consent{}), []string{"ClientID"})
	if err != nil {
		return surface.Answer{}, err
	}
	p, err := u.existing(c)
	if err != nil {
		return surface.Answer{}, err
	}
	all, err := u.cfg.Stores.Consents.Consents(c.Context(), p.User.UID, maxConsents)
	if err != nil {
		return surface.Answer{}, err
	}
	found, err := queryInMemory(q, all, func(x storage.Consent, field string) string {
		return map[string]string{"ClientID": x.ClientID, "GrantedAt": timeText(x.GrantedAt)}[field]
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, wire.ConsentFromRecord)
}

func (u users) endConsent(c *call) (surface.Answer, error) {
	p, err := u.manageable(c)
	if err != nil {
		return surface.Answer{}, err
	}
	client := c.PathValue("clientID")
	all, err := u.cfg.Stores.Consents.Consents(c.Context(), p.User.UID, maxConsents)
	if err != nil {
		return surface.Answer{}, err
	}
	// IDs of clients are compared ignoring their case.
	i := slices.IndexFunc(all, func(x storage.Consent) bool { return strings.EqualFold(x.ClientID, client) })
	if i < 0 {
		return surface.Answer{}, notFound("Consent", client)
	}
	err = u.cfg.Stores.Consents.EndConsent(c.Context(), p.User.UID, all[i].ClientID, u.cfg.Now().UTC())
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound("Consent", client)
	}
	if err == nil {
		u.record(c, strings.ToLower(u.object)+".consent_ended", u.object+"/"+u.auditID(c, p.User.ID)+"/ApiClient/"+all[i].ClientID)
	}
	return surface.Answer{Status: http.StatusNoContent}, err
}
