package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"latchkey/oauth/ordercloud/wire"
)

// clientScreens returns the screens of the API clients.
func (c *Console) clientScreens() []screen {
	return []screen{
		{path: "/clients", operation: "apiclients.List", nav: "clients.title", serve: (*call).showClients},
		{path: "/clients/{id}", operation: "apiclients.Get", serve: (*call).showClient},
		{path: "/clients/{id}/edit", operation: "apiclients.Patch", posts: true, serve: (*call).editClient},
		{path: "/clients/{id}/enable", operation: "apiclients.Patch", posts: true, serve: (*call).enableClient},
		{path: "/clients/{id}/disable", operation: "apiclients.Patch", posts: true, serve: (*call).disableClient},
		{path: "/clients/{id}/delete", operation: "apiclients.Delete", posts: true, serve: (*call).deleteClient},
		{path: "/new-client", operation: "apiclients.Create", under: "/clients", serve: (*call).chooseClient},
		{path: "/new-client/{kind}", operation: "apiclients.Create", under: "/clients", posts: true, serve: (*call).createClient},
		{path: "/clients/{id}/new-secret", operation: "apiclients.secrets.Create", posts: true, serve: (*call).createSecret},
		{path: "/clients/{id}/secrets/{secret}/edit", operation: "apiclients.secrets.Patch", posts: true, serve: (*call).editSecret},
		{path: "/clients/{id}/secrets/{secret}/delete", operation: "apiclients.secrets.Delete", posts: true, serve: (*call).deleteSecret},
	}
}

// showClients lists the clients.
func (x *call) showClients() error {
	found, err := readList[wire.ApiClient](x, pathOf("apiclients"), "Active")
	if err != nil {
		return err
	}
	return x.show("clients", "clients.title", found)
}

// clientPage is the data of the page of a client.
type clientPage struct {
	Client  wire.ApiClient
	Secrets []wire.ApiClientSecret
	Copies  []clientCopy
}

// soon is how long before its end a secret is shown as one that ends.
const soon = 14 * 24 * time.Hour

// SecretState returns the class and the text of the state of a secret.
func (v view) SecretState(s wire.ApiClientSecret) []string {
	switch now := v.Now(); {
	case s.Expiration == nil:
		return []string{"good", "clients.secretGood"}
	case !s.Expiration.After(now):
		return []string{"off", "clients.secretEnded"}
	case s.Expiration.Before(now.Add(soon)):
		return []string{"warn", "clients.secretEnds"}
	}
	return []string{"good", "clients.secretGood"}
}

// Roles returns roles of OrderCloud and custom ones as one list.
func (v view) Roles(standard, custom []string) []string {
	return slices.Sorted(slices.Values(slices.Concat(standard, custom)))
}

// SignsIn reports whether users sign in through the client.
func (v view) SignsIn(c wire.ApiClient) bool {
	return slices.ContainsFunc(c.GrantTypes, func(grant string) bool { return grant != "client_credentials" && grant != "implicit" })
}

// showClient shows a client.
func (x *call) showClient() error {
	id := x.PathValue("id")
	var page clientPage
	var raw json.RawMessage
	if _, err := x.get(pathOf("apiclients", id), nil, &raw); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &page.Client); err != nil {
		return err
	}
	if x.caller.Permits("apiclients.secrets.List") {
		var err error
		if page.Secrets, err = x.secretsOf(id); err != nil {
			return err
		}
	}
	var err error
	if page.Copies, err = x.clientCopies(page.Client, len(page.Secrets) > 0, raw); err != nil {
		return err
	}
	return x.show("client", "clients.one", page)
}

func (x *call) secretsOf(id string) ([]wire.ApiClientSecret, error) {
	var found wire.List[wire.ApiClientSecret]
	_, err := x.get(pathOf("apiclients", id, "secrets"), url.Values{"pageSize": {"100"}}, &found)
	return found.Items, err
}

// editClient changes a client.
func (x *call) editClient() error {
	id := x.PathValue("id")
	return x.change(change{
		Title: "clients.editTitle", About: id, Button: "clients.save", Method: http.MethodPatch, Path: pathOf("apiclients", id), Read: pathOf("apiclients", id),
		Object: "ApiClient/" + id, Back: "/clients/" + id, Form: clientForm(), Adapt: joinRoles, Effects: x.clientEffects, Body: clearCustomRoles,
	})
}

// joinRoles shows roles of OrderCloud and custom roles in one field. /v1 takes both in the
// member of the former.
func joinRoles(stored resource) {
	for _, names := range [][2]string{{"MinimumRequiredRoles", "MinimumRequiredCustomRoles"}, {"MaximumGrantedRoles", "MaximumGrantedCustomRoles"}} {
		standard, _ := stored[names[0]].([]any)
		custom, _ := stored[names[1]].([]any)
		stored[names[0]] = append(slices.Clone(standard), custom...)
	}
}

// clearCustomRoles empties the members for custom roles, because joinRoles has put these
// roles into the other field.
func clearCustomRoles(sent resource) {
	for _, names := range [][2]string{{"MinimumRequiredRoles", "MinimumRequiredCustomRoles"}, {"MaximumGrantedRoles", "MaximumGrantedCustomRoles"}} {
		if _, changed := sent[names[0]]; changed {
			sent[names[1]] = []string{}
		}
	}
}

// clientEffects says what a change of a client breaks.
func (x *call) clientEffects(stored, sent resource) ([]string, error) {
	var effects []string
	gone := func(member, text, placeholder string) {
		if _, changed := sent[member]; !changed {
			return
		}
		kept, _ := sent[member].([]string)
		had, _ := stored[member].([]any)
		for _, value := range had {
			if s, ok := value.(string); ok && !slices.Contains(kept, s) {
				effects = append(effects, x.t(text, placeholder, s))
			}
		}
	}
	if sent["Active"] == false {
		effects = append(effects, x.t("clients.breaksDisabled"))
	}
	gone("GrantTypes", "clients.breaksGrant", "grant")
	gone("AllowedCredentials", "clients.breaksCredential", "credential")
	gone("RedirectUris", "clients.breaksRedirect", "uri")
	gone("PostLogoutRedirectUris", "clients.breaksLogout", "uri")
	for _, member := range []string{"AllowAnyBuyer", "AllowAnySupplier", "AllowSeller"} {
		if sent[member] == false {
			effects = append(effects, x.t("clients.breaks"+member))
		}
	}
	for _, member := range []string{
		"MinimumRequiredRoles", "MaximumGrantedRoles", "AccessTokenDuration", "RefreshTokenDuration", "SigningAlg", "JWKS",
		"TokenEndpointAuthMethod", "DPoPBoundAccessTokens", "RequirePushedAuthorizationRequests",
	} {
		if _, changed := sent[member]; changed {
			effects = append(effects, x.t("clients.effect"+member))
		}
	}
	return effects, nil
}

func (x *call) enableClient() error  { return x.switchClient("enable", true) }
func (x *call) disableClient() error { return x.switchClient("disable", false) }

// switchClient activates or deactivates a client.
func (x *call) switchClient(verb string, active bool) error {
	id := x.PathValue("id")
	return x.change(change{
		Title: "clients." + verb + "Title", About: id, Button: "clients." + verb, Method: http.MethodPatch, Path: pathOf("apiclients", id), Read: pathOf("apiclients", id),
		Object: "ApiClient/" + id, Back: "/clients/" + id, Danger: !active,
		Body: func(sent resource) { sent["Active"] = active },
		Effects: func(stored, _ resource) ([]string, error) {
			name, _ := stored["AppName"].(string)
			if active {
				return []string{x.t("clients.willEnable", "name", name), x.t("clients.effectEnabled")}, nil
			}
			return []string{x.t("clients.willDisable", "name", name), x.t("clients.breaksDisabled"), x.t("clients.effectDisabled")}, nil
		},
	})
}

// deleteClient deletes a client.
func (x *call) deleteClient() error {
	id := x.PathValue("id")
	return x.change(change{
		Title: "clients.deleteTitle", About: id, Button: "clients.delete", Method: http.MethodDelete, Path: pathOf("apiclients", id), Read: pathOf("apiclients", id),
		Object: "ApiClient/" + id, Back: "/clients/" + id, Danger: true,
		Effects: func(stored, _ resource) ([]string, error) { return x.deletedWithClient(id, stored) },
		Done: func(resource) (string, notice) {
			return "/clients", notice{Text: "clients.deleted", Pairs: []string{"id", id}}
		},
	})
}

// deletedWithClient says what ends with a client.
func (x *call) deletedWithClient(id string, stored resource) ([]string, error) {
	name, _ := stored["AppName"].(string)
	effects := []string{x.t("clients.willDelete", "name", name, "id", id), x.t("clients.breaksTokens")}
	if x.caller.Permits("apiclients.secrets.List") {
		secrets, err := x.secretsOf(id)
		if err != nil {
			return nil, err
		}
		if len(secrets) > 0 {
			effects = append(effects, x.t("clients.breaksSecrets", "count", strconv.Itoa(len(secrets))))
		}
	}
	for member, text := range map[string]string{"AssignedBuyerCount": "clients.breaksBuyers", "AssignedSupplierCount": "clients.breaksSuppliers"} {
		if n, ok := stored[member].(json.Number); ok && n.String() != "0" {
			effects = append(effects, x.t(text, "count", n.String()))
		}
	}
	slices.Sort(effects[2:])
	return append(effects, x.t("clients.breaksConsents"), x.t("clients.noWayBack")), nil
}
