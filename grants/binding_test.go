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

// askAs sends a request with what the server knows of it.
func askAs(s *Session, h fosite.TokenEndpointHandler, c *storage.Client, grantType string, v url.Values) (*fosite.AccessResponse, error) {
	ctx := context.Background()
	r := fosite.NewAccessRequest(s)
	r.Client, r.Form, r.GrantTypes = Client{c}, v, fosite.Arguments{grantType}
	r.SetRequestedScopes(fosite.RemoveEmpty(strings.Split(v.Get("scope"), "+")))
	if err := h.HandleTokenEndpointRequest(ctx, r); err != nil {
		return nil, err
	}
	w := fosite.NewAccessResponse()
	return w, h.PopulateTokenEndpointResponse(ctx, r, w)
}

func TestNarrowAudience(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asked, has, byDefault []string
		want                  []string
		refused               bool
	}{
		"nothing asked":            {has: []string{"a", "b"}, want: []string{"a", "b"}},
		"nothing asked, nor has":   {byDefault: []string{"d"}},
		"one of two":               {asked: []string{"b"}, has: []string{"a", "b"}, want: []string{"b"}},
		"another":                  {asked: []string{"c"}, has: []string{"a", "b"}, refused: true},
		"one of them another":      {asked: []string{"a", "c"}, has: []string{"a"}, refused: true},
		"the default":              {asked: []string{"d"}, byDefault: []string{"d"}, want: []string{"d"}},
		"not the default":          {asked: []string{"a"}, byDefault: []string{"d"}, refused: true},
		"the default, not its own": {asked: []string{"d"}, has: []string{"a"}, byDefault: []string{"d"}, refused: true},
		"a server that has none":   {asked: []string{"a"}, refused: true},
	} {
		s := &Session{Resources: c.asked, Audience: c.byDefault}
		err := s.narrowAudience(c.has)
		if c.refused {
			var refusal *fosite.RFC6749Error
			if !errors.As(err, &refusal) || refusal.ErrorField != "invalid_target" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, s.Resources); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bound, proven, want string }{
		{"", "", ""}, {"", "k", ""}, {"k", "k", ""}, {"k", "", "invalid_dpop_proof"}, {"k", "l", "invalid_grant"},
	} {
		if got := code(checkKey(c.bound, c.proven, asGrantError(ErrSubjectToken))); got != c.want {
			t.Errorf("bound to %q, proven %q: %s, want %s", c.bound, c.proven, got, c.want)
		}
	}
}

// TestConfirm: whoever is asked last can still refuse, and then nothing has
// taken effect: the code is good, and the refresh token, too.
func TestConfirm(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	grant := w.accountMember(t)
	refusal, asked := errors.New("no"), 0
	refuse := func(context.Context) error { asked++; return refusal }
	signIn := func(s *Session, more string) (*fosite.AccessResponse, error) {
		return askAs(s, grant, client, GrantAccountMember, form("username=bob one_time_password=12345678"+more))
	}
	if _, err := signIn(&Session{Confirm: refuse}, " scope=Nothing"); asked != 0 || errors.Is(err, refusal) {
		t.Errorf("asked %d times about a grant that fails: %v", asked, err)
	}
	if _, err := signIn(&Session{Confirm: refuse}, ""); !errors.Is(err, refusal) || len(w.Families) != 0 {
		t.Errorf("sign-in: %v, %d families", err, len(w.Families))
	}
	first, err := signIn(&Session{JKT: "k", Resources: []string{"a"}}, "")
	if err != nil {
		t.Fatalf("the code was burnt: %v", err)
	}
	if first.GetTokenType() != "DPoP" || w.minted[len(w.minted)-1].JKT != "k" {
		t.Errorf("token of type %s, bound to %q", first.GetTokenType(), w.minted[len(w.minted)-1].JKT)
	}
	token, _ := first.GetExtra("refresh_token").(string)
	h := &Refresh{Families: w, AccessTokens: w, RefreshTokens: grant.RefreshTokens, Recorder: w, Now: w.Clock}
	refresh := func(s *Session) (*fosite.AccessResponse, error) {
		return askAs(s, h, client, GrantRefreshToken, url.Values{"refresh_token": {token}})
	}
	if _, err := refresh(&Session{Confirm: refuse}); !errors.Is(err, refusal) {
		t.Errorf("refresh: %v", err)
	}
	again, err := refresh(&Session{})
	if err != nil {
		t.Fatalf("the refresh token was used up: %v", err)
	}
	last := w.minted[len(w.minted)-1]
	if diff := cmp.Diff([]string{"a"}, last.Resources); diff != "" || last.JKT != "" || again.GetTokenType() != "bearer" {
		t.Errorf("the resources of the sign-in: %s; a confidential client without a key: %q, %s", diff, last.JKT, again.GetTokenType())
	}
}

// TestPublicFamilyIsBound, and a confidential client's is not.
func TestPublicFamilyIsBound(t *testing.T) {
	t.Parallel()
	for _, public := range []bool{true, false} {
		w, client := newWorld(t)
		client.Public = public
		if _, err := askAs(&Session{JKT: "k"}, w.accountMember(t), client, GrantAccountMember, form("username=bob one_time_password=12345678")); err != nil {
			t.Fatal(err)
		}
		for _, f := range w.Families {
			if bound := f.Family.JKT == "k"; bound != public {
				t.Errorf("public %v: family bound to %q", public, f.Family.JKT)
			}
		}
		if len(w.Families) != 1 {
			t.Errorf("%d families", len(w.Families))
		}
	}
}
