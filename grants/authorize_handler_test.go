package grants

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// policies are clients by ID.
type policies map[string]storage.Client

func (p policies) Client(_ context.Context, id string) (storage.Client, error) {
	c, ok := p[id]
	if !ok {
		return c, storage.ErrNotFound
	}
	return c, nil
}

// TestAuthorizeCheck tests which requests are refused before a user is asked for anything.
func TestAuthorizeCheck(t *testing.T) {
	t.Parallel()
	codes := []string{GrantAuthorizationCode}
	h := &AuthorizeHandler{Clients: policies{
		"shop":     {ID: "shop", Active: true, GrantTypes: codes},
		"inactive": {ID: "inactive", GrantTypes: codes},
		"password": {ID: "password", Active: true, GrantTypes: []string{GrantPassword}},
		"pushes":   {ID: "pushes", Active: true, GrantTypes: codes, RequirePAR: true},
	}}
	digest := strings.Repeat("c", 43)
	for what, test := range map[string]struct {
		client string
		change url.Values
		want   error // nil: accepted
	}{
		"S256":                      {"shop", nil, nil},
		"key":                       {"shop", url.Values{"dpop_jkt": {digest}}, nil},
		"several resources":         {"shop", url.Values{"resource": {"https://a.example", "https://b.example"}}, nil},
		"unknown client":            {"nobody", nil, fosite.ErrUnauthorizedClient},
		"inactive client":           {"inactive", nil, fosite.ErrUnauthorizedClient},
		"client of another grant":   {"password", nil, fosite.ErrUnauthorizedClient},
		"client that must push":     {"pushes", nil, fosite.ErrInvalidRequest},
		"no challenge":              {"shop", url.Values{"code_challenge": nil}, fosite.ErrInvalidRequest},
		"short challenge":           {"shop", url.Values{"code_challenge": {"c"}}, fosite.ErrInvalidRequest},
		"plain challenge":           {"shop", url.Values{"code_challenge_method": {"plain"}}, fosite.ErrInvalidRequest},
		"challenge without method":  {"shop", url.Values{"code_challenge_method": nil}, fosite.ErrInvalidRequest},
		"two challenges":            {"shop", url.Values{"code_challenge": {digest, digest}}, fosite.ErrInvalidRequest},
		"two redirect URIs":         {"shop", url.Values{"redirect_uri": {"https://a.example", "https://b.example"}}, fosite.ErrInvalidRequest},
		"malformed thumbprint":      {"shop", url.Values{"dpop_jkt": {"x"}}, fosite.ErrInvalidRequest},
		"challenge with whitespace": {"shop", url.Values{"code_challenge": {digest[:42] + " "}}, fosite.ErrInvalidRequest},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := fosite.NewAuthorizeRequest()
			r.Client = &fosite.DefaultClient{ID: test.client}
			r.Form = url.Values{"code_challenge": {digest}, "code_challenge_method": {"S256"}, "redirect_uri": {"https://app.example"}}
			for name, values := range test.change {
				r.Form[name] = values
			}
			if err := h.Check(t.Context(), r); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestAuthorizeOtherSession tests that a request without a verified sign-in gets no code.
func TestAuthorizeOtherSession(t *testing.T) {
	t.Parallel()
	h := new(AuthorizeHandler)
	for _, session := range []fosite.Session{new(Session), new(fosite.DefaultSession), nil} {
		r, w := fosite.NewAuthorizeRequest(), fosite.NewAuthorizeResponse()
		r.ResponseTypes, r.Session = fosite.Arguments{"code"}, session
		if err := h.HandleAuthorizeEndpointRequest(t.Context(), r, w); !errors.Is(err, fosite.ErrServerError) || w.GetCode() != "" {
			t.Errorf("session %T: got %v and code %q, want a server error", session, err, w.GetCode())
		}
	}
}
