package wire

import (
	"encoding/json"

	"latchkey/storage"
)

// The type of a request for a one-time password token, as the documentation and as
// the specification spell it.
const (
	typeCodeRequest       = "one_time_password_token_request"
	typeCodeRequestHyphen = "one-time-password-token-request"
)

// The purposes of a code. The message that carries the code states the purpose.
// Account tokens can be got with codes of both.
const (
	purposeReset  = "reset_password"
	purposeSignIn = "passwordless_authentication"

	// misspeltSignIn is how the vendor's guide spells purposeSignIn in one place.
	misspeltSignIn = "passwordless_authenication"
)

// CodeRequestBody is a request for a one-time password token.
type CodeRequestBody struct {
	Type     *string `json:"type"`
	Username *string `json:"username"`
	Purpose  *string `json:"purpose"`
}

// DecodeCodeRequest decodes a body with or without the envelope: clients send both.
// Errors: *InvalidError, ErrBody.
func DecodeCodeRequest(raw json.RawMessage) (CodeRequestBody, error) {
	var body CodeRequestBody
	var envelope struct{ Data json.RawMessage }
	if json.Unmarshal(raw, &envelope) != nil {
		return body, ErrBody
	}
	if envelope.Data != nil {
		raw = envelope.Data
	}
	if _, err := DecodeData(raw, &body, typeCodeRequest, typeCodeRequestHyphen); err != nil {
		return body, err
	}
	var c Check
	c.filled("username", body.Username, true)
	c.filled("purpose", body.Purpose, true)
	c.oneOf("purpose", body.Purpose, purposeReset, purposeSignIn, misspeltSignIn)
	return body, c.Err()
}

// StoredPurpose returns the purpose of the requested code as it is stored.
func (b CodeRequestBody) StoredPurpose() storage.Purpose {
	if *b.Purpose == purposeReset {
		return storage.PurposeResetPassword
	}
	return storage.PurposeSignIn
}
