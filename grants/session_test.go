package grants

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"latchkey/storage"
)

// askAs runs both phases of a handler with a session of the server.
func askAs(s *Session, h fosite.TokenEndpointHandler, c *storage.Client, grantType string, v url.Values) (*fosite.AccessResponse, error) {
	ctx := context.Background()
	r := fosite.NewAccessRequest(s)
	r.Client, r.Form, r.GrantTypes = Client{c}, v, fosite.Arguments{grantType}
	r.SetRequestedScopes(fosite.RemoveEmpty(strings.Split(v.Get("scope"), "+")))
	if err := h.HandleTokenEndpointRequest(ctx, r); err != nil {
		return nil, err
	}
	response := fosite.NewAccessResponse()
	return response, h.PopulateTokenEndpointResponse(ctx, r, response)
}

func TestNarrowAudience(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asked, has, byDefault []string
		want                  []string
		refused               bool
	}{
		"nothing asked":            {has: []string{"a", "b"}, want: []string{"a", "b"}},
		"nothing asked, default":   {byDefault: []string{"d"}},
		"one of two":               {asked: []string{"b"}, has: []string{"a", "b"}, want: []string{"b"}},
		"another":                  {asked: []string{"c"}, has: []string{"a", "b"}, refused: true},
		"one of them another":      {asked: []string{"a", "c"}, has: []string{"a"}, refused: true},
		"the default":              {asked: []string{"d"}, byDefault: []string{"d"}, want: []string{"d"}},
		"not the default":          {asked: []string{"a"}, byDefault: []string{"d"}, refused: true},
		"the default, not its own": {asked: []string{"d"}, has: []string{"a"}, byDefault: []string{"d"}, refused: true},
		"a server without any":     {asked: []string{"a"}, refused: true},
	} {
		s := &Session{Resources: c.asked, Audience: c.byDefault}
		err := s.narrowAudience(c.has)
		if c.refused {
			var refusal *fosite.RFC6749Error
			if !errors.As(err, &refusal) || refusal.ErrorField != "invalid_target" {
				t.Errorf("%s: got %v, want invalid_target", name, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, s.Resources); err != nil || diff != "" {
			t.Errorf("%s: got error %v, resources (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bound, proven, want string }{
		{"", "", ""}, {"", "k", ""}, {"k", "k", ""}, {"k", "", "invalid_dpop_proof"}, {"k", "l", "invalid_grant"},
	} {
		if got := code(checkKey(c.bound, c.proven, asGrantError(ErrSubjectToken))); got != c.want {
			t.Errorf("bound to %q, proven %q: got %s, want %s", c.bound, c.proven, got, c.want)
		}
	}
}

// TestConfirm tests that Confirm can refuse a grant at the last moment. Then nothing has taken
// effect: the code and the refresh token can still be used.
func TestConfirm(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	grant := fx.accountMember(t)
	refusal, calls := errors.New("no"), 0
	refuse := func(context.Context) error { calls++; return refusal }
	signIn := func(s *Session, more string) (*fosite.AccessResponse, error) {
		return askAs(s, grant, client, GrantAccountMember, form("username=bob one_time_password=12345678"+more))
	}
	if _, err := signIn(&Session{Confirm: refuse}, " scope=Nothing"); calls != 0 || errors.Is(err, refusal) {
		t.Errorf("Confirm was called %d times for a grant that fails, want 0; error %v", calls, err)
	}
	if _, err := signIn(&Session{Confirm: refuse}, ""); !errors.Is(err, refusal) || len(fx.Families) != 0 {
		t.Errorf("refused sign-in: got error %v, %d families; want the refusal and none", err, len(fx.Families))
	}
	first, err := signIn(&Session{JKT: "k", Resources: []string{"a"}}, "")
	if err != nil {
		t.Fatalf("the code after the refusal: got %v, want no error", err)
	}
	if first.GetTokenType() != "DPoP" || fx.minted[len(fx.minted)-1].JKT != "k" {
		t.Errorf("got a token of type %s, bound to %q; want DPoP and k", first.GetTokenType(), fx.minted[len(fx.minted)-1].JKT)
	}
	token, _ := first.GetExtra("refresh_token").(string)
	h := &Refresh{Families: fx, AccessTokens: fx, RefreshTokens: grant.RefreshTokens, Recorder: fx, Now: fx.Clock}
	refresh := func(s *Session) (*fosite.AccessResponse, error) {
		return askAs(s, h, client, GrantRefreshToken, url.Values{"refresh_token": {token}})
	}
	if _, err := refresh(&Session{Confirm: refuse}); !errors.Is(err, refusal) {
		t.Errorf("refused refresh: got %v, want the refusal", err)
	}
	again, err := refresh(&Session{})
	if err != nil {
		t.Fatalf("the refresh token after the refusal: got %v, want no error", err)
	}
	last := fx.minted[len(fx.minted)-1]
	if diff := cmp.Diff([]string{"a"}, last.Resources); diff != "" || last.JKT != "" || again.GetTokenType() != "bearer" {
		t.Errorf("resources (-want +got):\n%s\ngot key %q and type %s, want none and bearer", diff, last.JKT, again.GetTokenType())
	}
}
