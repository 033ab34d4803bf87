package grants

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"latchkey/storage"
)

func TestGrantRoles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		client         storage.Client
		has, requested []string
		want           []string
		wantErr        error
	}{
		"all when none is requested":    {has: []string{"A", "B"}, want: []string{"A", "B"}},
		"intersection, no error":        {has: []string{"A", "B"}, requested: []string{"B", "X"}, want: []string{"B"}},
		"nothing left":                  {has: []string{"A"}, requested: []string{"X"}, wantErr: fosite.ErrInvalidScope},
		"no roles at all":               {},
		"ceiling":                       {client: storage.Client{MaximumRoles: []string{"A"}}, has: []string{"A", "B"}, want: []string{"A"}},
		"ceiling cuts the request":      {client: storage.Client{MaximumRoles: []string{"A"}}, has: []string{"A", "B"}, requested: []string{"B"}, wantErr: fosite.ErrInvalidScope},
		"floor reached":                 {client: storage.Client{MinimumRoles: []string{"A"}}, has: []string{"A", "B"}, want: []string{"A", "B"}},
		"floor missed":                  {client: storage.Client{MinimumRoles: []string{"A", "C"}}, has: []string{"A", "B"}, wantErr: fosite.ErrInvalidGrant},
		"floor counts before ceiling":   {client: storage.Client{MinimumRoles: []string{"B"}, MaximumRoles: []string{"A"}}, has: []string{"A", "B"}, want: []string{"A"}},
		"floor not satisfied by asking": {client: storage.Client{MinimumRoles: []string{"C"}}, has: []string{"A"}, requested: []string{"C"}, wantErr: fosite.ErrInvalidGrant},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := GrantRoles(&tt.client, tt.has, tt.requested)
			if !errors.Is(err, tt.wantErr) || (err != nil) != (tt.wantErr != nil) {
				t.Fatalf("got error %v, want %v", err, tt.wantErr)
			}
			if err != nil && !errors.Is(err, ErrInsufficientRoles) {
				t.Errorf("got error %v, want one that wraps ErrInsufficientRoles", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNarrowed tests that a narrowed token does not get a token with more roles, for another
// account or for its own.
func TestNarrowed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		form  string
		scope []string
	}{
		"other account":           {"account_id=beta", []string{"Buy"}},
		"other account, one role": {"account_id=beta scope=Buy", []string{"Buy"}},
		"own account":             {"account_id=acme", []string{"Buy"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, client := newFixture(t)
			fx.join("usr_bob", "beta", "Sell", "Buy")
			subject := fx.hold("acme", "Buy")
			subject.Narrowed = true
			fx.held["held"] = *subject
			exchanged := form("subject_token=held subject_token_type=" + TokenTypeAccessToken + " " + tt.form)
			if _, err := ask(fx.exchange(), client, GrantTokenExchange, exchanged); err != nil {
				t.Fatal(err)
			}
			if _, err := ask(fx.accountMember(t), client, GrantAccountMember, form("member_token=held "+tt.form)); err != nil {
				t.Fatal(err)
			}
			for _, token := range fx.minted {
				if diff := cmp.Diff(tt.scope, token.Scope); diff != "" || !token.Narrowed {
					t.Errorf("got narrowed %v, want true; scope (-want +got):\n%s", token.Narrowed, diff)
				}
			}
		})
	}
}

// TestNarrowedTokens tests that a token counts as narrowed if it has fewer roles than the user.
func TestNarrowedTokens(t *testing.T) {
	t.Parallel()
	fx, client := newFixture(t)
	fx.hold("acme", "Buy", "Approve")
	for scope, want := range map[string]bool{"": false, " scope=Buy+Approve": false, " scope=Buy": true} {
		exchanged := form("subject_token=held subject_token_type=" + TokenTypeAccessToken + scope)
		if _, err := ask(fx.exchange(), client, GrantTokenExchange, exchanged); err != nil {
			t.Fatal(err)
		}
		if got := fx.minted[len(fx.minted)-1].Narrowed; got != want {
			t.Errorf("with%s: got narrowed %v, want %v", scope, got, want)
		}
	}
}
