package admin

import (
	"errors"
	"slices"
	"testing"

	"latchkey/storage"
)

func TestDeleteOwnClient(t *testing.T) {
	t.Parallel()
	rules := &Rules{}
	full := Caller{ClientID: "office", Roles: []string{RoleFullAccess}}
	if err := rules.DeleteClient(t.Context(), full, storage.Client{ID: "office"}); !errors.Is(err, ErrOwnClient) {
		t.Errorf("own client with FullAccess: got %v, want ErrOwnClient", err)
	}
	if err := rules.DeleteClient(t.Context(), full, storage.Client{ID: "shop"}); err != nil {
		t.Errorf("another client: got %v, want no error", err)
	}
	if err := rules.DeleteClient(t.Context(), Caller{ClientID: "office", Roles: []string{"A"}}, storage.Client{ID: "office", Roles: []string{"A"}}); err != nil {
		t.Errorf("own client without FullAccess: got %v, want no error", err)
	}
}

func TestKeptCredentials(t *testing.T) {
	t.Parallel()
	secret := func(id string) storage.ClientSecret { return storage.ClientSecret{ID: id} }
	before := storage.Client{Secrets: []storage.ClientSecret{secret("a"), secret("b")}, JWKS: []byte(`{}`)}
	after := storage.Client{Secrets: []storage.ClientSecret{secret("b"), secret("c")}, JWKS: []byte(`{}`)}
	after.Registration.Sum = []byte("sum")
	want := []string{"secret b", "the keys in JWKS", "the registration access token"}
	if got := keptCredentials(before, after); !slices.Equal(got, want) {
		t.Errorf("got the kept credentials %q, want %q", got, want)
	}
	if got := keptCredentials(before, storage.Client{Secrets: []storage.ClientSecret{secret("c")}, JWKS: []byte(`{"keys":[]}`)}); got != nil {
		t.Errorf("new credentials: kept %q, want none", got)
	}
}

func TestIsSharedUser(t *testing.T) {
	t.Parallel()
	client := storage.Client{AnonymousBuyer: true, DefaultContextUser: "Guest "}
	guest, jane := &storage.Principal{}, &storage.Principal{}
	guest.Login.UsernameKey, jane.Login.UsernameKey = "guest", "jane"
	own := client
	own.AnonymousBuyer = false
	for _, test := range []struct {
		name   string
		client storage.Client
		user   *storage.Principal
		amr    []string
		want   bool
	}{
		{"the guest", client, guest, nil, true},
		{"the guest after a sign-in", client, guest, []string{"otp"}, false},
		{"another user", client, jane, nil, false},
		{"a client without anonymous buyers", own, guest, nil, false},
	} {
		if got := IsSharedUser(&test.client, test.user, test.amr); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestChangesCredentials(t *testing.T) {
	t.Parallel()
	before := storage.UserLogin{User: storage.User{Email: "a@example.com", Phone: "1", FirstName: "A"}, Login: storage.Login{Username: "a"}}
	if ChangesCredentials(before, before, false) || !ChangesCredentials(before, before, true) {
		t.Error("want a change of credentials only with a password")
	}
	for name, change := range map[string]func(*storage.UserLogin){
		"Email": func(u *storage.UserLogin) { u.User.Email = "b@example.com" }, "Phone": func(u *storage.UserLogin) { u.User.Phone = "" },
		"Username": func(u *storage.UserLogin) { u.Login.Username = "b" },
	} {
		after := before
		if change(&after); !ChangesCredentials(before, after, false) {
			t.Errorf("a change of %s: got no change of credentials, want one", name)
		}
	}
	after := before
	if after.User.FirstName = "B"; ChangesCredentials(before, after, false) {
		t.Error("a change of FirstName: got a change of credentials, want none")
	}
}
