package ordercloud

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

// maxBodyBytes bounds a request for a one-time password.
const maxBodyBytes = 16 << 10

// ClientStore finds clients.
type ClientStore interface {
	// Client returns the client of that id, ignoring letter case, or
	// storage.ErrNotFound.
	Client(ctx context.Context, id string) (storage.Client, error)
}

// CodeRequester writes a request for one-time passwords down.
type CodeRequester interface {
	Request(ctx context.Context, c storage.Client, r otp.Request) error
}

// OneTimePasswords serves POST /v1/password/onetimepassword.
type OneTimePasswords struct {
	Clients ClientStore
	Codes   CodeRequester
	TraceID func(context.Context) string     // correlation id of a request
	Address func(context.Context) netip.Addr // of who sent a request
	Now     func() time.Time
	Logger  zerolog.Logger
}

// Mount registers the endpoint.
func (h *OneTimePasswords) Mount(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/password/onetimepassword", h.serve)
}

// oneTimePasswordRequest is the vendor's OneTimePasswordRequest.
type oneTimePasswordRequest struct {
	ClientID string
	Username string
	Email    string
}

// serve answers 204 to every well-formed request of a client that may ask,
// whoever it asks for. Whether the user exists is looked up afterwards, by
// somebody else, so neither the answer nor its time can tell.
func (h *OneTimePasswords) serve(w http.ResponseWriter, r *http.Request) {
	err := h.request(w, r)
	if err == nil {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var limit *storage.LimitError
	if errors.As(err, &limit) {
		err = tooMany(limit.Until.Sub(h.Now()))
	}
	answer, known := answerTo(err)
	if !known || answer.status >= http.StatusInternalServerError {
		h.Logger.Error().Ctx(r.Context()).Err(err).Str("path", r.URL.Path).Int("status", answer.status).Msg("request failed")
	}
	writeErrors(w, answer)
}

func (h *OneTimePasswords) request(w http.ResponseWriter, r *http.Request) error {
	body, err := decodeRequest(w, r)
	if err != nil {
		return err
	}
	client, err := h.Clients.Client(r.Context(), body.ClientID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !client.Active {
		return errClientID
	}
	if err != nil {
		return err
	}
	if !client.Credentials.OTP || !client.HasGrant(grants.GrantPassword) {
		return refuse(http.StatusBadRequest, "OneTimePasswordRequest.NotEnabled", "One-time passwords are not enabled for this API client.")
	}
	return h.Codes.Request(r.Context(), client, otp.Request{
		Username: body.Username, Email: body.Email,
		Purpose: storage.PurposeSignIn, TraceID: h.TraceID(r.Context()), Address: h.Address(r.Context()),
	})
}

var (
	errClientID    = refuse(http.StatusBadRequest, "PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.")
	errNoUser      = refuse(http.StatusBadRequest, "OneTimePasswordRequest.UsernameOrEmailRequired", "Username or email is required.")
	errBody        = refuse(http.StatusBadRequest, "Request.InvalidRequestBody", "The request body is not a JSON object of the expected shape.")
	errCharacters  = refuse(http.StatusBadRequest, "ValidationFailure", "Username or Email has unsupported characters or is too long.")
	errContentType = refuse(http.StatusUnsupportedMediaType, "Request.InvalidContentType", "Invalid content type. Please use application/json.")
	errTooLarge    = refuse(http.StatusRequestEntityTooLarge, "Request.InvalidRequestBody", "The request body is too large.")
)

// decodeRequest reads and checks the body.
func decodeRequest(w http.ResponseWriter, r *http.Request) (oneTimePasswordRequest, error) {
	var body oneTimePasswordRequest
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return body, errContentType
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return body, errTooLarge
	}
	if err != nil || !utf8.Valid(raw) || json.Unmarshal(raw, &body) != nil {
		return body, errBody
	}
	body.Username, body.Email = strings.TrimSpace(body.Username), strings.TrimSpace(body.Email)
	switch {
	case !otp.IsName(body.ClientID) || body.ClientID == "":
		return body, errClientID
	case body.Username == "" && body.Email == "":
		return body, errNoUser
	case !otp.IsName(body.Username) || !otp.IsName(body.Email):
		return body, errCharacters
	}
	return body, nil
}
