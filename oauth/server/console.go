package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"latchkey/grants"
	"latchkey/keys"
	"latchkey/oauth/console"
	"latchkey/oauth/ordercloud"
	"latchkey/oauth/token"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// The life of the tokens of the console. A session of the console ends when the session of
// the browser ends, at the latest after consoleLife.
const (
	consoleTokenLife = 10 * time.Minute
	consoleIdle      = 2 * time.Hour // also the maximum age of a sign-in that opens the console
	consoleLife      = 12 * time.Hour
)

// directory is the store with the client of the console, which has no record.
type directory struct {
	*gormstore.Store
	console storage.Client
}

func (s *Server) directory() directory {
	return directory{s.app.Store, consoleClient(s.app.Settings.Issuer)}
}

// Client reads a client. The ID is matched ignoring letter case.
func (d directory) Client(ctx context.Context, id string) (storage.Client, error) {
	if strings.EqualFold(id, storage.ConsoleClientID) {
		return d.console, nil
	}
	return d.Store.Client(ctx, id)
}

// consoleClient returns the client through which administrators sign in to the console: a
// public one with authorization codes and PKCE. Users of all kinds may sign in, because
// companies have administrators too. The roles decide what the console shows.
func consoleClient(issuer string) storage.Client {
	screens := strings.TrimSuffix(issuer, "/") + console.Path
	return storage.Client{
		ID: storage.ConsoleClientID, Name: "Latchkey console", Active: true, Public: true, ProfileID: storage.DefaultProfileID,
		GrantTypes:    []string{grants.GrantAuthorizationCode, grants.GrantRefreshToken},
		Credentials:   storage.Credentials{OTP: true, Password: true},
		AllowAnyBuyer: true, AllowAnySupplier: true, AllowSeller: true,
		AccessTokenTTL: consoleTokenLife, RefreshTokenTTL: consoleLife, RefreshIdleTTL: consoleIdle, ReuseRefreshTokens: true,
		SigningAlg: keys.ES256, IDTokenAlg: keys.ES256, // short signatures: the tokens are kept in a cookie
		RedirectURIs: []string{screens + console.CallbackPath}, PostLogoutRedirectURIs: []string{screens + console.SignedOutPath},
	}
}

// newConsole returns the console. It calls /v1 and the token endpoint by routes.
func (s *Server) newConsole(with services, v1 *ordercloud.API, routes http.Handler) (*console.Console, error) {
	return console.New(console.Config{
		Runtime: s.runtime(), Issuer: s.app.Settings.Issuer, ClientID: storage.ConsoleClientID, Version: s.app.Version, SessionIdle: consoleIdle,
		Server: routes, Operations: v1.Operations(), Sealer: s.app.Sealer, Forms: with.endpoints.BrowserForms(),
		Caller: func(r *http.Request) (console.Caller, error) {
			p, err := v1.Permissions(r)
			if errors.Is(err, token.ErrInvalidToken) {
				return console.Caller{}, console.ErrSignedOut
			}
			if err != nil {
				return console.Caller{}, err
			}
			return console.Caller{Username: p.Username, BuyerID: p.BuyerID, SupplierID: p.SupplierID, Permits: p.Permits}, nil
		},
	})
}
