package console

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	authorizePath  = "/oauth/authorize"
	tokenPath      = "/oauth/token"
	revokePath     = "/oauth/revoke"
	endSessionPath = "/oauth/end_session"

	sessionContext = "console session"
	signInContext  = "console sign-in"

	// signInLife is how long the answer of the sign-in page is awaited.
	signInLife = 2 * time.Hour
	// renewBefore is how long before its end an access token is renewed.
	renewBefore = 30 * time.Second
	// maxCookie is the largest value of a cookie that all browsers keep, in bytes.
	maxCookie = 3800
	// maxSession bounds a session after it is unpacked.
	maxSession = 64 << 10
)

// session is the content of the sealed cookie: the tokens of an administrator.
type session struct {
	Access  string `json:"a"`
	Refresh string `json:"r"`
	ID      string `json:"i"` // the ID token, which ends the session without a question
	Until   int64  `json:"u"` // when Access expires, in Unix seconds
}

// tokenAnswer is the answer of the token endpoint (RFC 6749 §5.1).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	ExpiresIn    int64  `json:"expires_in"`
	Error        string `json:"error"`
}

// cookieName returns the name of a cookie. The prefix __Host- demands https.
func (c *Console) cookieName(name string) string {
	if c.cfg.Forms.Secure {
		return "__Host-" + name
	}
	return name
}

// setCookie sets a cookie that scripts cannot read. An empty value deletes it.
func (c *Console) setCookie(w http.ResponseWriter, name, value string) {
	cookie := &http.Cookie{ //nolint:gosec // Secure is false on plain http only
		Name: c.cookieName(name), Value: value, Path: "/", Secure: c.cfg.Forms.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

const sessionCookie = "latchkey-console"

// openSession reads the session of the browser, renews its access token if that is about to
// expire, and finds out what the administrator may do. The error is ErrSignedOut if there
// is no session.
func (x *call) openSession() error {
	c := x.console
	cookie, err := x.Cookie(c.cookieName(sessionCookie))
	if err != nil {
		return ErrSignedOut
	}
	if x.session, err = c.unpack(cookie.Value); err != nil {
		return ErrSignedOut
	}
	if c.cfg.Now().Add(renewBefore).Unix() >= x.session.Until {
		if err := x.renew(); err != nil {
			return err
		}
	}
	request, err := x.request(http.MethodGet, "/v1/me", nil)
	if err != nil {
		return err
	}
	caller, err := c.cfg.Caller(request)
	if err == nil {
		x.caller = caller
	}
	return err
}

// renew gets another access token by the refresh token.
func (x *call) renew() error {
	got, err := x.requestTokens(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {x.session.Refresh}})
	if err != nil {
		return err
	}
	return x.keepTokens(got)
}

// keepTokens sets the cookie of the session.
func (x *call) keepTokens(got tokenAnswer) error {
	s := &x.session
	s.Access, s.Until = got.AccessToken, x.console.cfg.Now().Unix()+got.ExpiresIn
	if got.RefreshToken != "" {
		s.Refresh = got.RefreshToken
	}
	if s.ID == "" {
		s.ID = got.IDToken
	}
	value, err := x.console.pack(*s)
	if err != nil {
		return err
	}
	x.console.setCookie(x.w, sessionCookie, value)
	return nil
}

// requestTokens calls the token endpoint. The error is ErrSignedOut if it refuses.
func (x *call) requestTokens(form url.Values) (tokenAnswer, error) {
	form.Set("client_id", x.console.cfg.ClientID)
	var got tokenAnswer
	answer, err := x.console.postForm(x.Context(), tokenPath, form)
	if err != nil {
		return got, err
	}
	switch {
	case answer.status >= http.StatusInternalServerError, answer.status == http.StatusTooManyRequests:
		return got, &refusal{Status: answer.status}
	case json.Unmarshal(answer.body.Bytes(), &got) != nil, answer.status != http.StatusOK, got.AccessToken == "":
		return got, ErrSignedOut
	}
	return got, nil
}

// signInState is the parameter state of the authorization request, sealed. It is bound to
// the browser, so that nobody signs another browser in (RFC 6749 §10.12).
type signInState struct {
	Browser  string `json:"b"`
	Verifier string `json:"v"` // RFC 7636
	Return   string `json:"r"` // where the browser goes then
	Until    int64  `json:"u"` // Unix seconds
}

// beginSignIn sends the browser to the sign-in page, and from there to back. A sign-in that is
// older than SessionIdle is not accepted (max_age), so that an administrator who was away signs
// in again although the session of the browser goes on. prompt may be empty
// (OpenID Connect Core 1.0 §3.1.2.1).
func (x *call) beginSignIn(back, prompt string) error {
	c := x.console
	random := make([]byte, 32)
	if _, err := io.ReadFull(c.cfg.Rand, random); err != nil {
		return err
	}
	s := signInState{
		Browser: x.browser, Verifier: base64.RawURLEncoding.EncodeToString(random), Return: back, Until: c.cfg.Now().Add(signInLife).Unix(),
	}
	if len(s.Return) > 600 { // the parameter state has a limit
		s.Return = c.url("/")
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return err
	}
	state, err := c.cfg.Sealer.SealText(plain, signInContext)
	if err != nil {
		return err
	}
	challenge := sha256.Sum256([]byte(s.Verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {c.cfg.ClientID}, "redirect_uri": {c.redirectURI()}, "scope": {"openid"}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"}, "ui_locales": {x.locale},
		"max_age": {strconv.FormatInt(c.maxAge(), 10)},
	}
	if prompt != "" {
		q.Set("prompt", prompt)
	}
	redirect(x.w, c.base+authorizePath+"?"+q.Encode())
	return nil
}

// maxAge returns how old a sign-in may be, in seconds.
func (c *Console) maxAge() int64 { return int64(c.cfg.SessionIdle / time.Second) }

// isTooOld reports whether the user signed in longer ago than max_age allows. Somebody at the
// browser may have removed max_age from the authorization request, so the ID token is checked
// too (OpenID Connect Core 1.0 §3.1.3.7, item 13). It comes from the token endpoint directly, so
// its signature is not verified (item 6). A malformed ID token is too old.
func (c *Console) isTooOld(idToken string) bool {
	var claims struct {
		AuthTime int64 `json:"auth_time"`
	}
	_, text, _ := strings.Cut(unfolded(idToken), "\n")
	if json.Unmarshal([]byte(text), &claims) != nil {
		return true
	}
	return c.cfg.Now().Unix()-claims.AuthTime > c.maxAge()
}

func (c *Console) redirectURI() string {
	return strings.TrimSuffix(c.cfg.Issuer, "/") + Path + CallbackPath
}

// serveCallback takes the code of the sign-in page.
func (c *Console) serveCallback(w http.ResponseWriter, r *http.Request) {
	x := c.newCall(w, r)
	if err := x.takeCode(); err != nil {
		x.fail(err)
	}
}

func (x *call) takeCode() error {
	c, q := x.console, x.URL.Query()
	var s signInState
	plain, err := c.cfg.Sealer.OpenText(q.Get("state"), signInContext)
	if err == nil {
		err = json.Unmarshal(plain, &s)
	}
	if err != nil || s.Browser == "" || c.cfg.Forms.Presented(x.Request) != s.Browser || c.cfg.Now().Unix() > s.Until {
		return x.showStatus(http.StatusBadRequest, "error", "frame.signInTitle", message{Text: "frame.signInState"})
	}
	if refused := q.Get("error"); refused != "" {
		return x.showStatus(http.StatusForbidden, "error", "frame.signInTitle", message{Text: "frame.signInRefused", Detail: refused})
	}
	got, err := x.requestTokens(url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {c.redirectURI()}, "code_verifier": {s.Verifier},
	})
	if err == ErrSignedOut { //nolint:errorlint // it is never wrapped
		return x.showStatus(http.StatusBadRequest, "error", "frame.signInTitle", message{Text: "frame.signInState"})
	}
	if err != nil {
		return err
	}
	if c.isTooOld(got.IDToken) {
		x.browser = s.Browser
		x.revoke(session{Refresh: got.RefreshToken})
		return x.beginSignIn(s.Return, "login")
	}
	if err := x.keepTokens(got); err != nil {
		return err
	}
	redirect(x.w, s.Return)
	return nil
}

// serveSignOut forgets the tokens and sends the browser to the logout endpoint, which ends
// the session (OpenID Connect RP-Initiated Logout 1.0). Without an ID token that endpoint
// asks the user.
func (c *Console) serveSignOut(w http.ResponseWriter, r *http.Request) {
	x := c.newCall(w, r)
	err := x.readForm()
	if err == nil {
		_, err = x.openToken()
	}
	if err != nil {
		x.fail(err)
		return
	}
	target := url.Values{
		"client_id": {c.cfg.ClientID}, "post_logout_redirect_uri": {strings.TrimSuffix(c.cfg.Issuer, "/") + Path + SignedOutPath},
		"ui_locales": {x.locale},
	}
	if cookie, err := r.Cookie(c.cookieName(sessionCookie)); err == nil {
		if s, err := c.unpack(cookie.Value); err == nil {
			target.Set("id_token_hint", s.ID)
			x.revoke(s)
		}
	}
	c.setCookie(w, sessionCookie, "")
	c.setCookie(w, noticeCookie, "")
	redirect(w, c.base+endSessionPath+"?"+target.Encode())
}

// revoke ends the tokens of a session (RFC 7009), so that a copy of the cookie is worth
// nothing even if the browser does not get to the logout endpoint.
func (x *call) revoke(s session) {
	c := x.console
	form := url.Values{"client_id": {c.cfg.ClientID}, "token": {s.Refresh}, "token_type_hint": {"refresh_token"}}
	answer, err := c.postForm(x.Context(), revokePath, form)
	if err == nil && answer.status != http.StatusOK {
		err = &refusal{Status: answer.status}
	}
	if err != nil {
		c.cfg.Logger.Warn().Ctx(x.Context()).Err(err).Msg("the tokens of the console could not be revoked")
	}
}

// postForm posts a form to an OAuth endpoint.
func (c *Console) postForm(ctx context.Context, path string, form url.Values) (*recorder, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(request), nil
}

// serveSignedOut is where the logout endpoint sends the browser.
func (c *Console) serveSignedOut(w http.ResponseWriter, r *http.Request) {
	x := c.newCall(w, r)
	c.setCookie(w, sessionCookie, "")
	if err := x.show("error", "frame.signedOutTitle", message{Text: "frame.signedOut"}); err != nil {
		x.fail(err)
	}
}

// pack returns the session as the cookie has it: compressed, because tokens repeat
// themselves and a cookie is small, and sealed.
func (c *Console) pack(s session) (string, error) {
	s.Access, s.ID = unfolded(s.Access), unfolded(s.ID)
	plain, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", err
	}
	value, err := c.cfg.Sealer.SealText(packed.Bytes(), sessionContext)
	if err == nil && len(value) > maxCookie {
		err = fmt.Errorf("console: the tokens are too large for a cookie: %d bytes", len(value))
	}
	return value, err
}

func (c *Console) unpack(value string) (s session, err error) {
	packed, err := c.cfg.Sealer.OpenText(value, sessionContext)
	if err != nil {
		return s, err
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxSession))
	if err == nil {
		err = json.Unmarshal(plain, &s)
	}
	s.Access, s.ID = folded(s.Access), folded(s.ID)
	return s, err
}

// unfolded returns a JWT with its claims not encoded, so that they can be compressed. Other
// texts stay as they are.
func unfolded(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return token
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || base64.RawURLEncoding.EncodeToString(claims) != parts[1] {
		return token
	}
	return parts[0] + "." + parts[2] + "\n" + string(claims)
}

// folded reverses unfolded.
func folded(text string) string {
	outer, claims, ok := strings.Cut(text, "\n")
	if !ok {
		return text
	}
	header, signature, _ := strings.Cut(outer, ".")
	return header + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + signature
}
