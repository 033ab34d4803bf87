package grants

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// secretStore is a store of two clients: shop with the secret "right", and the public client
// app.
type secretStore struct{ err error }

func (s secretStore) Client(_ context.Context, id string) (storage.Client, error) {
	switch {
	case s.err != nil:
		return storage.Client{}, s.err
	case id == "shop":
		return storage.Client{ID: id, Active: true, Secrets: []storage.ClientSecret{{Digest: DigestClientSecret(plainDigests{}, id, "right")}}}, nil
	case id == "app":
		return storage.Client{ID: id, Active: true, Public: true}, nil
	case id == "old":
		return storage.Client{ID: id, Public: true}, nil
	}
	return storage.Client{}, storage.ErrNotFound
}

// plainDigests returns the text as its digest, and counts the digests.
type plainDigests struct{ made *int }

func (d plainDigests) Digest(purpose string, parts ...string) storage.Digest {
	if d.made != nil {
		*d.made++
	}
	return storage.Digest{Sum: []byte(purpose + strings.Join(parts, "\x00"))}
}

func (d plainDigests) Matches(want storage.Digest, purpose string, parts ...string) bool {
	return slices.Equal(want.Sum, d.Digest(purpose, parts...).Sum)
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		basicID, basicSecret string
		form                 string
		storeErr             error
		want                 error
		digests              int
	}{
		"basic":                  {basicID: "shop", basicSecret: "right", digests: 1},
		"encoded basic":          {basicID: "sh%6Fp", basicSecret: "right", digests: 1},
		"form":                   {form: "client_id=shop&client_secret=right", digests: 1},
		"wrong secret":           {basicID: "shop", basicSecret: "x", want: fosite.ErrInvalidClient, digests: 1},
		"no secret":              {form: "client_id=shop", want: fosite.ErrInvalidClient, digests: 1},
		"unknown client":         {basicID: "x", basicSecret: "x", want: fosite.ErrInvalidClient, digests: 1},
		"no client":              {want: fosite.ErrInvalidClient, digests: 1},
		"public client":          {form: "client_id=app", digests: 1},
		"public with a secret":   {form: "client_id=app&client_secret=x", want: fosite.ErrInvalidClient, digests: 1},
		"inactive client":        {form: "client_id=old", want: fosite.ErrInvalidClient, digests: 1},
		"two ways":               {basicID: "shop", basicSecret: "right", form: "client_secret=right", want: fosite.ErrInvalidRequest},
		"two clients":            {basicID: "shop", basicSecret: "right", form: "client_id=app", want: fosite.ErrInvalidRequest},
		"the same id twice":      {basicID: "shop", basicSecret: "right", form: "client_id=shop", digests: 1},
		"malformed basic":        {basicID: "%zz", basicSecret: "right", want: fosite.ErrInvalidRequest},
		"store is not available": {basicID: "shop", basicSecret: "right", storeErr: storage.ErrUnavailable, want: storage.ErrUnavailable},
	} {
		made := 0
		r := httptest.NewRequest(http.MethodPost, "/token", nil)
		if c.basicID != "" {
			r.SetBasicAuth(c.basicID, c.basicSecret)
		}
		form, err := url.ParseQuery(c.form)
		if err != nil {
			t.Fatal(err)
		}
		client, err := ClientAuthentication(secretStore{c.storeErr}, plainDigests{&made}, time.Now)(t.Context(), r, form)
		if !errors.Is(err, c.want) || (err == nil) != (client != nil) || made != c.digests {
			t.Errorf("%s: got %v, %v with %d digests, want %v with %d", name, client, err, made, c.want, c.digests)
		}
	}
}

// TestFurtherEndpoints tests that other endpoints authenticate clients as the token endpoint
// does, and that Revoke ends a family only for its client.
func TestFurtherEndpoints(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	_, object := e.post(t, passwordForm+url.QueryEscape(rightPassword))
	token, _ := object["refresh_token"].(string)
	read := func() (storage.Client, error) {
		r := httptest.NewRequest(http.MethodPost, "/revoke", strings.NewReader("token="+token))
		r.Header.Set("Content-Type", formType)
		c, form, err := e.endpoint.Client(httptest.NewRecorder(), r)
		if err == nil && form.Get("token") != token {
			t.Errorf("got the form %v", form)
		}
		return c, err
	}
	if c, err := read(); err != nil || c.ID != "shop" {
		t.Errorf("got client %q, error %v; want shop", c.ID, err)
	}
	e.clientErr = fosite.ErrInvalidClient
	if _, err := read(); !errors.Is(err, fosite.ErrInvalidClient) {
		t.Errorf("a wrong secret: got %v, want ErrInvalidClient", err)
	}
	e.clientErr = nil
	refresh := e.endpoint.handlers[1].(*Refresh)
	for _, step := range []struct {
		client, token string
		want          error
	}{{"shop", "x", nil}, {"shop", "lkr_f.1.new.s.m", nil}, {"other", token, ErrForeignToken}, {"shop", token, nil}, {"shop", token, nil}} {
		if err := refresh.Revoke(t.Context(), step.client, step.token); !errors.Is(err, step.want) {
			t.Errorf("revoke %s by %s: got %v, want %v", step.token, step.client, err, step.want)
		}
	}
	if response, object := e.post(t, "grant_type=refresh_token&refresh_token="+token); response.StatusCode != 400 || object["error"] != "invalid_grant" {
		t.Errorf("a revoked token: got %d %v, want 400 invalid_grant", response.StatusCode, object)
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_900_000_000, 0)
	token := AccessToken{Client: &storage.Client{ID: "shop"}, Scope: []string{"a", "b"}, IssuedAt: now, ExpiresAt: now.Add(time.Minute)}
	claims := token.Claims("https://id.example", "https://api.example")
	if claims["sub"] != "shop" || claims["client_id"] != "shop" || claims["scope"] != "a b" || claims["amr"] != nil ||
		!slices.Equal(claims["aud"].([]string), []string{"https://api.example"}) || claims["exp"].(int64)-claims["iat"].(int64) != 60 {
		t.Errorf("claims of a client %v", claims)
	}
	token.Principal = &storage.Principal{User: storage.User{UID: "usr_1"}}
	token.AMR, token.AuthTime, token.JKT, token.Resources = []string{"otp"}, now, "thumb", []string{"https://other.example"}
	again := token.Claims("https://id.example", "https://api.example")
	if again["sub"] != "usr_1" || again["auth_time"] != now.Unix() || again["cnf"].(map[string]string)["jkt"] != "thumb" ||
		!slices.Equal(again["aud"].([]string), token.Resources) || again["jti"] == claims["jti"] {
		t.Errorf("claims of a user %v", again)
	}
}
