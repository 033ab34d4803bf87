package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"latchkey/oauth/token"
	"latchkey/otp/deliver"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// messageStore is the store of the messages to deliver. A client takes the place of the
// sender in messages about logouts.
type messageStore struct{ *gormstore.Store }

// Sender implements deliver.Store.
func (s messageStore) Sender(ctx context.Context, id string) (storage.Sender, error) {
	clientID, ok := storage.LogoutClientID(id)
	if !ok {
		return s.Store.Sender(ctx, id)
	}
	client, err := s.Client(ctx, clientID)
	if err != nil {
		return storage.Sender{}, err
	}
	return storage.LogoutSender(&client), nil
}

// encodeLogout returns a function that encodes the call that notifies a client of a
// logout (OpenID Connect Back-Channel Logout 1.0 §2.5). Each attempt has a token of its
// own, so that a late one has not expired and is signed with a key that is published.
func (a *App) encodeLogout(tokens *token.Issuer) encodeFunc {
	return func(ctx context.Context, s storage.Sender, e deliver.Envelope) (deliver.Call, error) {
		client, err := a.Store.Client(ctx, e.ClientID)
		if err != nil {
			return deliver.Call{}, fmt.Errorf("client of a logout: %w", err)
		}
		signed, err := tokens.MintLogout(ctx, &client, token.Logout{ID: e.Message.ID, UserUID: e.UserUID, SessionID: e.SessionID})
		if err != nil {
			return deliver.Call{}, err
		}
		return deliver.Call{
			URL: s.URL, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			Body: []byte(url.Values{"logout_token": {signed}}.Encode()),
		}, nil
	}
}
