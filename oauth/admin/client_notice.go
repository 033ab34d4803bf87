package admin

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"latchkey/storage"
)

// ClientNotice returns the warning for an administrator who gives a client further
// roles while somebody may know a credential that the client keeps: a secret, a key
// or its registration access token. It returns "" if there is nothing to warn of.
func (r *Rules) ClientNotice(ctx context.Context, before, after storage.Client) (string, error) {
	kept := keptCredentials(before, after)
	if len(kept) == 0 {
		return "", nil
	}
	raised, err := r.RaisedClient(ctx, before, after)
	if err != nil || len(raised) == 0 {
		return "", err
	}
	return "The client now reaches " + strings.Join(raised, ", ") + ". So does everybody who has what it keeps: " + strings.Join(kept, ", ") + ".", nil
}

// keptCredentials names the credentials that a client has before and after a
// change.
func keptCredentials(before, after storage.Client) []string {
	var kept []string
	for _, s := range after.Secrets {
		if slices.ContainsFunc(before.Secrets, func(old storage.ClientSecret) bool { return old.ID == s.ID }) {
			kept = append(kept, "secret "+s.ID)
		}
	}
	if len(after.JWKS) > 0 && bytes.Equal(before.JWKS, after.JWKS) {
		kept = append(kept, "the keys in JWKS")
	}
	if len(after.Registration.Sum) > 0 {
		kept = append(kept, "the registration access token")
	}
	return kept
}
