package console

import (
	"net/http"
	"slices"
)

// clientForm returns the form with everything that can be changed of a client.
func clientForm() *form {
	return &form{Name: "client", Fields: []field{
		{Name: "AppName", Kind: textField, Required: true},
		{Name: "Active", Kind: checkField},
		{Name: "GrantTypes", Kind: choicesField, Group: "clients.signIn", Options: values(
			"authorization_code", "password", "refresh_token", "client_credentials", "urn:latchkey:params:oauth:grant-type:account-member",
			"urn:ietf:params:oauth:grant-type:token-exchange", "implicit",
		)},
		{Name: "AllowedCredentials", Kind: choicesField, Options: values("otp", "password")},
		{Name: "AllowAnyBuyer", Kind: checkField, Group: "clients.who"},
		{Name: "AllowAnySupplier", Kind: checkField},
		{Name: "AllowSeller", Kind: checkField},
		{Name: "MinimumRequiredRoles", Kind: linesField},
		{Name: "MaximumGrantedRoles", Kind: linesField},
		{Name: "PasswordProfileID", Kind: textField},
		{Name: "RedirectUris", Kind: linesField, Group: "clients.addresses"},
		{Name: "PostLogoutRedirectUris", Kind: linesField},
		{Name: "BackchannelLogoutUri", Kind: textField},
		{Name: "ThirdParty", Kind: checkField},
		{Name: "RequirePushedAuthorizationRequests", Kind: checkField},
		{Name: "AccessTokenDuration", Kind: numberField, Min: 10, Max: 600, Group: "clients.lifetimes"},
		{Name: "RefreshTokenDuration", Kind: numberField, Max: 524160},
		{Name: "RefreshTokenIdleDuration", Kind: numberField, Max: 524160},
		{Name: "RefreshTokenRotation", Kind: checkField},
		{Name: "TokenEndpointAuthMethod", Kind: choiceField, Group: "clients.authentication", Options: values("", "private_key_jwt")},
		{Name: "JWKS", Kind: jsonField},
		{Name: "DefaultContextUserName", Kind: textField},
		{Name: "SigningAlg", Kind: choiceField, Group: "clients.tokens", Options: values("", "ES256", "RS256", "EdDSA")},
		{Name: "IDTokenSigningAlg", Kind: choiceField, Options: values("", "ES256", "RS256", "EdDSA")},
		{Name: "Resources", Kind: linesField},
		{Name: "DPoPBoundAccessTokens", Kind: checkField},
		{Name: "TrustEndUserAddress", Kind: checkField},
		{Name: "xp", Kind: jsonField},
	}}
}

func values(all ...string) []option {
	options := make([]option, len(all))
	for i, value := range all {
		options[i].Value = value
	}
	return options
}

// clientKind is a kind of client that can be created: its form has the fields that the
// kind needs, and the other members are fixed.
type clientKind struct {
	Name     string // in the path, and of its texts
	Fields   []string
	Required []string
	Preset   map[string]string // what the fields have at first
	Fixed    resource
	Secret   bool // it authenticates by a secret, which is made next
}

// clientKinds returns the kinds, the most secure ones first.
func clientKinds() []clientKind {
	users := []string{"AllowAnyBuyer", "AllowAnySupplier", "AllowSeller"}
	roles := []string{"MinimumRequiredRoles", "MaximumGrantedRoles"}
	return []clientKind{
		{
			Name: "otp", Secret: true, Fields: slices.Concat([]string{"AppName"}, users, roles, []string{"AccessTokenDuration", "RefreshTokenDuration"}),
			Preset: map[string]string{"AllowAnyBuyer": "true", "AccessTokenDuration": "60", "RefreshTokenDuration": "1440"},
			Fixed:  resource{"GrantTypes": []string{"password", "refresh_token"}, "AllowedCredentials": []string{"otp"}},
		},
		{
			Name: "code", Required: []string{"RedirectUris"},
			Fields: slices.Concat([]string{"AppName", "RedirectUris", "PostLogoutRedirectUris", "ThirdParty"}, users, roles, []string{"AccessTokenDuration", "RefreshTokenDuration"}),
			Preset: map[string]string{"AllowAnyBuyer": "true", "AccessTokenDuration": "60", "RefreshTokenDuration": "1440"},
			Fixed:  resource{"GrantTypes": []string{"authorization_code", "refresh_token"}, "AllowedCredentials": []string{"otp"}},
		},
		{
			Name: "machine", Required: []string{"JWKS", "DefaultContextUserName"},
			Fields: slices.Concat([]string{"AppName", "JWKS", "DefaultContextUserName"}, users, roles, []string{"AccessTokenDuration"}),
			Preset: map[string]string{"AllowSeller": "true", "AccessTokenDuration": "60"},
			Fixed: resource{
				"GrantTypes": []string{"client_credentials"}, "AllowedCredentials": []string{}, "TokenEndpointAuthMethod": "private_key_jwt",
			},
		},
		{
			Name: "other", Secret: true,
			Fields: slices.Concat(
				[]string{"AppName", "GrantTypes", "AllowedCredentials", "RedirectUris", "DefaultContextUserName"}, users, roles,
				[]string{"AccessTokenDuration", "RefreshTokenDuration"},
			),
			Preset: map[string]string{"AllowAnyBuyer": "true", "AccessTokenDuration": "60", "RefreshTokenDuration": "1440"},
		},
	}
}

// form returns the form of a new client of the kind.
func (k clientKind) form(posted bool) *form {
	all := clientForm().Fields
	f := &form{Name: "client", Fields: []field{{Name: "ID", Kind: textField}}}
	group := ""
	for i := range all {
		field := all[i]
		if field.Group != "" {
			group = field.Group
		}
		if !slices.Contains(k.Fields, field.Name) {
			continue
		}
		field.Group, group = group, ""
		field.Required = field.Required || slices.Contains(k.Required, field.Name)
		if !posted {
			field.Value = k.Preset[field.Name]
		}
		f.Fields = append(f.Fields, field)
	}
	f.Fields[0], f.Fields[1] = f.Fields[1], f.Fields[0] // the name first
	return f
}

// chooseClient shows the kinds of clients.
func (x *call) chooseClient() error { return x.show("client_kinds", "clients.new", clientKinds()) }

// createClient creates a client of a kind.
func (x *call) createClient() error {
	kinds := clientKinds()
	at := slices.IndexFunc(kinds, func(k clientKind) bool { return k.Name == x.PathValue("kind") })
	if at < 0 {
		return errNotFound
	}
	kind := kinds[at]
	return x.change(change{
		Title: "clients.new-" + kind.Name, Button: "clients.create", Method: http.MethodPost, Path: pathOf("apiclients"), Back: "/new-client",
		Form: kind.form(x.Method == http.MethodPost),
		Body: func(sent resource) {
			for member, value := range kind.Fixed {
				sent[member] = value
			}
		},
		Effects: func(resource, resource) ([]string, error) {
			return []string{x.t("clients.willCreate-" + kind.Name)}, nil
		},
		Done: func(got resource) (string, notice) {
			id, _ := got["ID"].(string)
			if kind.Secret && x.caller.Permits("apiclients.secrets.Create") {
				return "/clients/" + id + "/new-secret", notice{Text: "clients.created", Pairs: []string{"id", id}}
			}
			return "/clients/" + id, notice{Text: "clients.created", Pairs: []string{"id", id}}
		},
	})
}
