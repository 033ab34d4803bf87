package ordercloud

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// maxRequestBytes is the largest body of a request that needs no token.
const maxRequestBytes = 16 << 10

var (
	errNotNamed    = refuse(http.StatusBadRequest, "PasswordReset.MissingUsernameOrEmail", "Username or Email is required.")
	errNoUsername  = refuse(http.StatusBadRequest, "PasswordReset.MissingUsername", "Username is required.")
	errNoEmail     = refuse(http.StatusBadRequest, "PasswordReset.MissingEmail", "Email is required.")
	errNobodyAsked = refuse(http.StatusBadRequest, "OneTimePasswordRequest.UsernameOrEmailRequired", "Username or email is required.")
	errClientID    = refuse(http.StatusBadRequest, "PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.")
	errCharacters  = refuse(http.StatusBadRequest, "ValidationFailure", "Username or Email has unsupported characters or is too long.")
	errNoCodes     = refuse(http.StatusBadRequest, "OneTimePasswordRequest.NotEnabled", "One-time passwords are not enabled for this API client.")
	errNoPasswords = refuse(http.StatusBadRequest, "PasswordReset.NotEnabled", "Passwords are not enabled for this API client.")
)

// forgottenCredentials are the requests of users who cannot sign in.
type forgottenCredentials struct{ *API }

// routes returns the operations for users who cannot sign in. The answer to a request does
// not depend on whether the user exists, because it is sent before the user is looked up.
// See otp.Service.Request and signin.Passwords.Renew.
func (a forgottenCredentials) routes() []route {
	operation := func(method, path, id, summary string, body any) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path, ID: id, Tag: "ForgottenCredentials", Summary: summary, Body: body,
			Answers: map[int]any{http.StatusNoContent: nil}, Refuses: []int{400, 429},
		}
	}
	retrieve := operation(http.MethodPost, "/v1/username/retrieve", "username.Retrieve", "Send forgotten usernames", nil)
	retrieve.Query = []openapi.Parameter{
		{Name: "clientID", About: "ID of the API client that the user signs in through", Required: true},
		{Name: "email", About: "E-mail address of the user", Required: true},
	}
	return []route{
		{
			Operation: operation(http.MethodPost, "/v1/password/onetimepassword", "password.SendOneTimePassword", "Send one-time passwords", wire.OneTimePasswordRequest{}),
			who:       anybody, serve: a.sendOneTimePassword,
		},
		{
			Operation: operation(http.MethodPost, "/v1/password/reset", "password.SendVerificationCode", "Send codes to renew forgotten passwords", wire.PasswordResetRequest{}),
			who:       anybody, serve: a.sendVerificationCode,
		},
		{
			Operation: operation(http.MethodPut, "/v1/password/reset/{code}", "password.ResetByVerificationCode", "Renew a forgotten password", wire.PasswordReset{}),
			who:       anybody, serve: a.resetPassword,
		},
		{Operation: retrieve, who: anybody, serve: a.retrieveUsername},
	}
}

// readSmall is read for a body of at most maxRequestBytes.
func (c *call) readSmall(into any) error {
	c.Body = http.MaxBytesReader(c.w, c.Body, maxRequestBytes)
	return c.read(into)
}

// clientNamed returns the client with that id, or errClientID if it does not exist or is
// inactive. The answer may say so, because ids of clients are not secret.
func (a forgottenCredentials) clientNamed(c *call, id string) (storage.Client, error) {
	if id == "" || !otp.IsName(id) {
		return storage.Client{}, errClientID
	}
	client, err := a.cfg.Stores.Clients.Client(c.Context(), id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !client.Active {
		return client, errClientID
	}
	return client, err
}

func (a forgottenCredentials) sendOneTimePassword(c *call) (surface.Answer, error) {
	var w wire.OneTimePasswordRequest
	if err := c.readSmall(&w); err != nil {
		return surface.Answer{}, err
	}
	asked := otp.Request{
		Type: storage.MessageOneTimePassword, Username: w.Username, Email: w.Email, Purpose: storage.PurposeSignIn,
		GrantType: grants.GrantPassword, // the code is presented as the password
	}
	return a.request(c, w.ClientID, asked, errNobodyAsked, allowsAll)
}

func (a forgottenCredentials) sendVerificationCode(c *call) (surface.Answer, error) {
	var w wire.PasswordResetRequest
	if err := c.readSmall(&w); err != nil {
		return surface.Answer{}, err
	}
	asked := otp.Request{Type: storage.MessageForgottenPassword, Username: w.Username, Email: w.Email, URL: surface.ValueOr(w.URL, "")}
	if err := a.checkRenewalURL(w); err != nil {
		return surface.Answer{}, err
	}
	return a.request(c, w.ClientID, asked, errNotNamed, takesPasswords)
}

func (a forgottenCredentials) retrieveUsername(c *call) (surface.Answer, error) {
	asked := otp.Request{Type: storage.MessageForgottenUsername, Email: c.values.Get("email")}
	return a.request(c, c.values.Get("clientID"), asked, errNoEmail, allowsAll)
}

// allowsAll accepts every client.
func allowsAll(*storage.Client) error { return nil }

// takesPasswords returns errNoPasswords unless users of the client sign in with passwords.
func takesPasswords(client *storage.Client) error {
	if !client.Credentials.Password || !client.HasGrant(grants.GrantPassword) {
		return errNoPasswords
	}
	return nil
}

// request stores the request for a message. allows returns an error if the client does not
// take such requests. unnamed is the error of a request without a username and an e-mail
// address.
func (a forgottenCredentials) request(c *call, clientID string, asked otp.Request, unnamed error, allows func(*storage.Client) error) (surface.Answer, error) {
	asked.Username, asked.Email = strings.TrimSpace(asked.Username), strings.TrimSpace(asked.Email)
	asked.TraceID, asked.Address = a.cfg.TraceID(c.Context()), a.cfg.Address(c.Context())
	client, err := a.clientNamed(c, clientID)
	switch {
	case err != nil:
	case asked.Username == "" && asked.Email == "":
		err = unnamed
	case !otp.IsName(asked.Username) || !otp.IsName(asked.Email):
		err = errCharacters
	default:
		err = allows(&client)
	}
	if err == nil {
		err = a.cfg.Codes.Request(c.Context(), client, asked)
	}
	switch {
	case errors.Is(err, otp.ErrNobodyNamed):
		err = unnamed
	case errors.Is(err, otp.ErrClientWithoutCodes), errors.Is(err, otp.ErrProfileWithoutCodes):
		err = errNoCodes
	}
	return surface.Answer{Status: http.StatusNoContent}, err
}

func (a forgottenCredentials) resetPassword(c *call) (surface.Answer, error) {
	var w wire.PasswordReset
	if err := c.readSmall(&w); err != nil {
		return surface.Answer{}, err
	}
	client, err := a.clientNamed(c, w.ClientID)
	if err == nil {
		err = takesPasswords(&client)
	}
	if err == nil {
		err = checkRenewal(w)
	}
	if err == nil {
		err = a.cfg.Passwords.Renew(c.Context(), &client, signin.Renewal{
			Username: w.Username, Code: c.PathValue("code"), Password: w.Password, Source: a.cfg.Address(c.Context()),
		})
	}
	return surface.Answer{Status: http.StatusNoContent}, passwordRefusal(err)
}

func checkRenewal(w wire.PasswordReset) error {
	switch {
	case strings.TrimSpace(w.Username) == "":
		return errNoUsername
	case !otp.IsName(w.Username):
		return errCharacters
	}
	return w.Validate("").Err()
}

// checkRenewalURL returns a fault if the URL is wrong, or if its origin is not one of
// RenewalOrigins.
func (a forgottenCredentials) checkRenewalURL(w wire.PasswordResetRequest) error {
	if err := w.Validate("").Err(); err != nil || surface.ValueOr(w.URL, "") == "" {
		return err
	}
	if len(a.cfg.RenewalOrigins) == 0 {
		return nil
	}
	asked := originOf(*w.URL)
	for _, allowed := range a.cfg.RenewalOrigins {
		if originOf(allowed) == asked {
			return nil
		}
	}
	return wire.Faults{{Path: "URL", Problem: "is of a site where passwords of this server are not renewed"}}
}

// originOf returns the origin of a URL that was checked (RFC 6454 §4).
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
