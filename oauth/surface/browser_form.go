package surface

import (
	"io"
	"net/http"

	"latchkey/storage"
)

// BrowserForms binds forms to the browser that they are shown to, so that no other site can
// post them. A form contains the digest of a cookie, sealed with its state.
type BrowserForms struct {
	Cookie string // its name
	Secure bool   // the pages are reached by https
	Origin string // of the pages
	Digest func(cookie string) string
	Rand   io.Reader
}

// Browser returns the digest of the browser's cookie. If the browser has none, it sets one.
// It returns "" if Rand fails; then MayPost refuses the form.
func (b *BrowserForms) Browser(w http.ResponseWriter, r *http.Request) string {
	if digest := b.Presented(r); digest != "" {
		return digest
	}
	secret, err := storage.NewSecret(b.Rand)
	if err != nil {
		return ""
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is false on plain http only
		Name: b.Cookie, Value: secret, Path: "/", Secure: b.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return b.Digest(secret)
}

// Presented returns the digest of the cookie that the request has; empty: none.
func (b *BrowserForms) Presented(r *http.Request) string {
	cookie, err := r.Cookie(b.Cookie)
	if err != nil || len(cookie.Value) < 40 || len(cookie.Value) > 100 {
		return ""
	}
	return b.Digest(cookie.Value)
}

// MayPost reports whether the form was posted from a page of this server by the browser with
// that digest. If the browser sends Sec-Fetch-Site, that decides, because browsers send
// "Origin: null" from pages with the referrer policy no-referrer.
func (b *BrowserForms) MayPost(r *http.Request, browser string) bool {
	if browser == "" || b.Presented(r) != browser {
		return false
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "null" || origin == b.Origin
}
