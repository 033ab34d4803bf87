package grants

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// TestNarrowed: of a token that was made with less than its user could have had
// there is no way to more, neither in another account nor back from there.
func TestNarrowed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		form  string
		scope []string
	}{
		"elsewhere":           {"account_id=beta", []string{"Buy"}},
		"elsewhere, one role": {"account_id=beta scope=Buy", []string{"Buy"}},
		"back":                {"account_id=acme", []string{"Buy"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			w.join("usr_bob", "beta", "Sell", "Buy")
			held := w.hold("acme", "Buy")
			held.Narrowed = true
			w.held["held"] = *held
			exchanged := form("subject_token=held subject_token_type=" + TokenTypeAccessToken + " " + tt.form)
			if _, err := ask(w.exchange(), client, GrantTokenExchange, exchanged); err != nil {
				t.Fatal(err)
			}
			if _, err := ask(w.accountMember(t), client, GrantAccountMember, form("member_token=held "+tt.form)); err != nil {
				t.Fatal(err)
			}
			for _, token := range w.minted {
				if diff := cmp.Diff(tt.scope, token.Scope); diff != "" || !token.Narrowed {
					t.Errorf("narrowed is %v, scope %s", token.Narrowed, diff)
				}
			}
		})
	}
}

// TestNarrowedTokens: which tokens count as narrowed.
func TestNarrowedTokens(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	w.hold("acme", "Buy", "Approve")
	for scope, want := range map[string]bool{"": false, " scope=Buy+Approve": false, " scope=Buy": true} {
		exchanged := form("subject_token=held subject_token_type=" + TokenTypeAccessToken + scope)
		if _, err := ask(w.exchange(), client, GrantTokenExchange, exchanged); err != nil {
			t.Fatal(err)
		}
		if got := w.minted[len(w.minted)-1].Narrowed; got != want {
			t.Errorf("with%s: narrowed is %v", scope, got)
		}
	}
}

// TestSelectionForgivesNothing: to choose an account proves nothing, so the
// failures since the sign-in stay counted.
func TestSelectionForgivesNothing(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	w.choices["choice"] = SelectionToken{Client: client, AMR: []string{"otp"}, AuthTime: start, IssuedAt: start}
	failed := storage.Lockout{Failures: 3, LastFailureAt: start.Add(-time.Second), Version: 3}
	w.Bob().Lockout = failed
	if _, err := ask(w.accountMember(t), client, GrantAccountMember, form("selection_token=choice account_id=acme")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(failed, w.Bob().Lockout); diff != "" {
		t.Error(diff)
	}
}
