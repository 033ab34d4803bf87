package oauth

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Defaults of the life of sessions.
const (
	DefaultSessionIdle = 8 * time.Hour
	DefaultSessionLife = 7 * 24 * time.Hour
)

const sessionPurpose = "browser session"

// BrowserSessions begins sessions of browsers and reads their cookie. The cookie consists
// of the ID of the session and a secret of 256 bits, with a period between them.
type BrowserSessions struct {
	Store   AuthorizationStore
	Peppers *keys.Peppers
	Rand    io.Reader
	Now     func() time.Time
	Idle    time.Duration // a session that is not used for so long ends
	Life    time.Duration // of a session in total
	Secure  bool          // the pages are reached by https
}

// CookieName returns the name of the cookie. The prefix __Host- demands https, so pages
// that are reached by plain http have another name.
func (b *BrowserSessions) CookieName() string {
	if b.Secure {
		return "__Host-latchkey"
	}
	return "latchkey"
}

// Cookie returns the cookie with that value. An empty value deletes the cookie.
func (b *BrowserSessions) Cookie(value string) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // Secure is false on plain http only
		Name: b.CookieName(), Value: value, Path: "/", Secure: b.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// Read returns the session of the browser with its user. It returns nil if there is none
// or if it has ended. Without the cookie it does not read the store. Errors are those of
// the store.
func (b *BrowserSessions) Read(r *http.Request) (*storage.SessionState, error) {
	cookie, err := r.Cookie(b.CookieName())
	if err != nil {
		return nil, nil //nolint:nilerr // there is no cookie
	}
	id, secret, ok := strings.Cut(cookie.Value, ".")
	if !ok || id == "" || len(cookie.Value) > 128 {
		return nil, nil
	}
	state, err := b.Store.Session(r.Context(), id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	if !b.Peppers.Matches(state.Session.Secret, sessionPurpose, id, secret) || !state.Live(b.Now()) {
		return nil, nil
	}
	return &state, nil
}

// Begin returns the session of a sign-in through the client, and the value of its cookie.
// It stores nothing. former is the session that the browser has now, or nil. If it is of
// the same login, the new session keeps its ID and gets a new secret.
func (b *BrowserSessions) Begin(c *storage.Client, s *signin.SignIn, former *storage.SessionState) (storage.Session, string, error) {
	p, amr, now := &s.Principal, []string{s.AMR}, b.Now().UTC().Truncate(time.Microsecond)
	id, err := storage.NewID(b.Rand, "")
	if err != nil {
		return storage.Session{}, "", err
	}
	if former != nil && former.Session.LoginID == p.Login.ID {
		id = former.Session.ID
	}
	secret, err := storage.NewSecret(b.Rand)
	if err != nil {
		return storage.Session{}, "", fmt.Errorf("new session: %w", err)
	}
	x := storage.Session{
		ID: id, Secret: b.Peppers.Digest(sessionPurpose, id, secret), ClientID: c.ID, UserUID: p.User.UID, LoginID: p.Login.ID,
		SourceID: s.SourceID(), AMR: amr, Purpose: s.Purpose,
		AuthTime:  storage.IssueTime(now, storage.TokensValidFrom(c, p, nil, amr)),
		CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(b.Life),
	}
	x.IdleUntil = b.idleUntil(&x, now)
	return x, id + "." + secret, nil
}

// idleUntil returns when a session that is used now ends if it is not used again.
func (b *BrowserSessions) idleUntil(x *storage.Session, now time.Time) time.Time {
	if idle := now.Add(b.Idle); idle.Before(x.ExpiresAt) {
		return idle
	}
	return x.ExpiresAt
}

// Settle lets a sign-in take effect and stores its session, without issuing a code. Errors
// are those of signin.Authenticator.Settle and of the store.
func (e *Endpoints) Settle(ctx context.Context, s *signin.SignIn, x storage.Session) error {
	return e.authenticator.SettleSession(ctx, s, &x, nil)
}

// Sessions returns the sessions of browsers.
func (e *Endpoints) Sessions() *BrowserSessions { return e.sessions }

// BrowserForms returns the protection of the pages' forms against requests that other
// sites forge.
func (e *Endpoints) BrowserForms() *surface.BrowserForms {
	issuer, _ := url.Parse(e.cfg.Issuer) // New has parsed it
	return &surface.BrowserForms{
		Cookie: e.sessions.CookieName() + "-signin", Secure: e.sessions.Secure, Origin: issuer.Scheme + "://" + issuer.Host, Rand: e.cfg.Rand,
		Digest: func(cookie string) string {
			return hex.EncodeToString(e.cfg.Peppers.Digest("sign-in browser", cookie).Sum)
		},
	}
}
