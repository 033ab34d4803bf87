package elasticpath

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"latchkey/otp"
	"latchkey/storage"
)

// CodeRequester writes a request for one-time passwords down; *otp.Service is
// one.
type CodeRequester interface {
	Request(ctx context.Context, client storage.Client, r otp.Request) error
}

// The names of one type, in the documentation and in the specification.
const (
	typeCodeRequest       = "one_time_password_token_request"
	typeCodeRequestHyphen = "one-time-password-token-request"
)

// What a code may be asked for. It tells the receiver of the message and the
// token endpoint what the code is meant for; account tokens take either.
const (
	purposeReset  = "reset_password"
	purposeSignIn = "passwordless_authentication"

	// misspeltSignIn is how the vendor's guide spells purposeSignIn in one place.
	misspeltSignIn = "passwordless_authenication"
)

// CodeRequestBody asks for a one-time password.
type CodeRequestBody struct {
	Type     *string `json:"type"`
	Username *string `json:"username"`
	Purpose  *string `json:"purpose"`
}

// postCodeRequest answers 202 to every well-formed request, whoever it asks
// for. Whether the user exists is looked up afterwards, by somebody else, so
// neither the answer nor its time can tell.
func (a *API) postCodeRequest(c *call) (reply, error) {
	p, err := a.knownProfileOf(c)
	if err != nil {
		return reply{}, err
	}
	body, err := c.readCodeRequest()
	if err != nil {
		return reply{}, err
	}
	purpose := storage.PurposeSignIn
	if *body.Purpose == purposeReset {
		purpose = storage.PurposeResetPassword
	}
	err = a.cfg.Codes.Request(c.Context(), *c.caller.Client, otp.Request{
		ProfileID: p.ID, Username: *body.Username, Purpose: purpose,
		Address: a.cfg.Address(c.Context()), TraceID: a.cfg.TraceID(c.Context()),
	})
	return reply{status: http.StatusAccepted}, err
}

// readCodeRequest reads the body in both forms that clients send: with and
// without the envelope.
func (c *call) readCodeRequest() (CodeRequestBody, error) {
	var body CodeRequestBody
	raw, err := c.rawBody()
	if err != nil {
		return body, err
	}
	var envelope struct{ Data json.RawMessage }
	if json.Unmarshal(raw, &envelope) != nil {
		return body, errBody
	}
	if envelope.Data != nil {
		raw = envelope.Data
	}
	if _, err := decodeData(raw, &body, typeCodeRequest, typeCodeRequestHyphen); err != nil {
		return body, err
	}
	var check check
	check.filled("username", body.Username, true)
	check.filled("purpose", body.Purpose, true)
	check.oneOf("purpose", body.Purpose, purposeReset, purposeSignIn, misspeltSignIn)
	return body, check.err()
}

// knownProfileOf returns the password profile that the path names, from memory
// where possible.
func (a *API) knownProfileOf(c *call) (storage.PasswordProfile, error) {
	realmID, _ := c.id("realm")
	id, ok := c.id("profile")
	if !ok {
		return storage.PasswordProfile{}, notFound("password profile")
	}
	p, err := a.cfg.Profiles.PasswordProfile(c.Context(), id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && p.RealmID != realmID {
		return p, notFound("password profile")
	}
	return p, err
}
