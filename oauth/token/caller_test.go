package token

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

func TestAudience(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Audience{
		`"a"`: {"a"}, `["a","b"]`: {"a", "b"}, `null`: nil,
	} {
		var got Audience
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if written, err := json.Marshal(got); want != nil && (err != nil || string(written) != text) {
			t.Errorf("%[1]s: got %[2]s after encoding, error %[3]v", text, written, err)
		}
	}
	for _, text := range []string{`["a"]`, `[]`, `[1,2]`, `{}`, `1`, `["a",["b"]]`} {
		var got Audience
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s: got %v, want an error", text, got)
		}
	}
}

func TestBearerToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		headers []string
		want    string
	}{
		{[]string{"Bearer abc"}, "abc"},
		{[]string{"bearer abc"}, "abc"},
		{[]string{"BEARER  abc "}, "abc"},
		{[]string{"Bearer"}, ""},
		{[]string{"Bearer "}, ""},
		{[]string{"Bearer a b"}, ""},
		{[]string{"Bearer a, Bearer b"}, ""},
		{[]string{"Bearera"}, ""},
		{[]string{"Basic abc"}, ""},
		{[]string{"abc"}, ""},
		{[]string{""}, ""},
		{[]string{"Bearer abc", "Bearer abc"}, ""},
		{nil, ""},
	}
	for _, test := range tests {
		got, ok := BearerToken(http.Header{"Authorization": test.headers})
		if got != test.want || ok != (test.want != "") {
			t.Errorf("%q: got %q, %v", test.headers, got, ok)
		}
	}
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	const revoked = `Bearer realm="latchkey", error="invalid_token", error_description="The access token was revoked."`
	tests := []struct {
		err  error
		want string
	}{
		{nil, `Bearer realm="latchkey"`},
		{ErrNoToken, `Bearer realm="latchkey"`},
		{ErrInvalidToken, `Bearer realm="latchkey", error="invalid_token", error_description="The access token is invalid or expired."`},
		{ErrTokenRevoked, revoked},
		{errors.Join(errors.New("detail"), ErrTokenRevoked), revoked},
		{ErrInsufficientRoles, `Bearer realm="latchkey", error="insufficient_scope", error_description="The access token lacks a role."`},
	}
	for _, test := range tests {
		if got := Challenge(test.err); got != test.want {
			t.Errorf("%v: got %s, want %s", test.err, got, test.want)
		}
	}
	if !errors.Is(ErrTokenRevoked, ErrInvalidToken) || !errors.Is(ErrNoToken, ErrInvalidToken) {
		t.Error("want ErrTokenRevoked and ErrNoToken to wrap ErrInvalidToken")
	}
}

func TestCallerHas(t *testing.T) {
	t.Parallel()
	tests := []struct {
		has, asked []string
		want       bool
	}{
		{nil, nil, true},
		{nil, []string{"A"}, false},
		{[]string{"A"}, []string{"A"}, true},
		{[]string{"B"}, []string{"A", "B"}, true},
		{[]string{"a"}, []string{"A"}, false},
		{[]string{"FullAccess"}, []string{"A"}, true},
	}
	for _, test := range tests {
		if got := (&Caller{Roles: test.has}).Has(test.asked...); got != test.want {
			t.Errorf("%q has %q: got %v, want %v", test.has, test.asked, got, test.want)
		}
	}
}

func TestCallerSellerSide(t *testing.T) {
	t.Parallel()
	user := func(kind storage.UserKind) *storage.Principal {
		return &storage.Principal{User: storage.User{Kind: kind}}
	}
	tests := []struct {
		name   string
		caller Caller
		want   bool
	}{
		{"client", Caller{Roles: []string{"FullAccess"}}, true},
		{"client without a secret", Caller{}, false},
		{"admin user", Caller{Principal: user(storage.Admin)}, true},
		{"admin user in an account", Caller{Principal: user(storage.Admin), Member: &storage.Member{}, Roles: []string{"FullAccess"}}, false},
		{"buyer user", Caller{Principal: user(storage.Buyer), Roles: []string{"FullAccess"}}, false},
		{"supplier user", Caller{Principal: user(storage.Supplier), Roles: []string{"FullAccess"}}, false},
	}
	for _, test := range tests {
		if got := test.caller.SellerSide(); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
