package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"latchkey/oauth/token"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

// webhookTime is the format of times in webhooks: in UTC, with an offset instead of
// the Z that resources have.
const webhookTime = "2006-01-02T15:04:05.000-07:00"

// WebhookEncoder encodes messages as the events that Elastic Path posts to webhook
// integrations. All fields are required.
type WebhookEncoder struct {
	// Recipient returns the user of a message, or storage.ErrNotFound if the client or
	// the user does not exist any more or may not sign in. It is a method of
	// *token.Recipients. The token that it returns is not used.
	Recipient func(context.Context, token.RecipientRequest) (storage.Principal, string, error)
	// Endpoint returns the endpoint of a sender with its secrets, as
	// deliver.Endpoints.Of does.
	Endpoint func(context.Context, storage.Sender) (deliver.Endpoint, error)
	Now      func() time.Time
	StoreID  string // store_id of all events
}

type event struct {
	ID            string             `json:"id"`
	StoreID       string             `json:"store_id"`
	TriggeredBy   string             `json:"triggered_by"`
	Integration   eventIntegration   `json:"integration"`
	Payload       any                `json:"payload"` // codeRequestPayload, lockPayload or contactPayload
	Configuration eventConfiguration `json:"configuration"`
}

type eventIntegration struct {
	ID          string `json:"id"`
	Type        string `json:"integration_type"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

type codeRequestPayload struct {
	RealmID   string           `json:"authentication_realm_id"`
	CreatedAt string           `json:"created_at"`
	Code      string           `json:"one_time_password_token"`
	ProfileID string           `json:"password_profile_id"`
	Purpose   string           `json:"purpose"`
	UpdatedAt string           `json:"updated_at"`
	User      eventUser        `json:"user_authentication_info"`
	Login     eventProfileInfo `json:"user_authentication_password_profile_info"`
}

type lockPayload struct {
	RealmID     string           `json:"authentication_realm_id"`
	CreatedAt   string           `json:"created_at"`
	LockedUntil *string          `json:"locked_until"` // null: the lock has ended, or its end is not known
	ProfileID   string           `json:"password_profile_id"`
	UpdatedAt   string           `json:"updated_at"`
	User        eventUser        `json:"user_authentication_info"`
	Login       eventProfileInfo `json:"user_authentication_password_profile_info"`
}

// contactPayload is sent to the former address, which user_authentication_info
// contains.
type contactPayload struct {
	RealmID   string           `json:"authentication_realm_id"`
	CreatedAt string           `json:"created_at"`
	ProfileID string           `json:"password_profile_id"`
	UpdatedAt string           `json:"updated_at"`
	User      eventUser        `json:"user_authentication_info"`
	Login     eventProfileInfo `json:"user_authentication_password_profile_info"`
}

type eventUser struct {
	Email string `json:"email"`
	ID    string `json:"id"`
	Name  string `json:"name"`
}

type eventProfileInfo struct {
	ID        string `json:"id"`
	ProfileID string `json:"password_profile_id"`
	Username  string `json:"username"`
}

type eventConfiguration struct {
	URL       string `json:"url"`
	SecretKey string `json:"secret_key"`
}

// Encode returns the HTTP request that delivers the message to the sender's
// endpoint. The error is deliver.Permanent if no event stands for the type of the
// message, if the user does not exist any more or the username belongs to another
// user by now, and if the delivery config of the sender is off. After other errors
// the delivery is tried again.
func (e WebhookEncoder) Encode(ctx context.Context, s storage.Sender, env deliver.Envelope) (deliver.Call, error) {
	trigger, ok := eventOf(env.Message.Type)
	if !ok {
		return deliver.Call{}, deliver.Permanent(deliver.Reason(fmt.Sprintf("integrations observe no messages of type %q", env.Message.Type)))
	}
	endpoint, err := e.Endpoint(ctx, s)
	if err != nil {
		return deliver.Call{}, err
	}
	recipient := token.RecipientRequest{ClientID: env.ClientID, Username: env.Username, ProfileID: env.ProfileID}
	if env.Message.Type == storage.MessageContactChanged { // the username may have been changed with the address
		recipient.LoginID, recipient.UserUID = env.LoginID, env.UserUID
	}
	p, _, err := e.Recipient(ctx, recipient)
	if err == nil && p.User.UID != env.UserUID {
		err = storage.ErrNotFound
	}
	if errors.Is(err, storage.ErrNotFound) {
		return deliver.Call{}, deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the recipient does not exist any more or may not sign in"), err))
	}
	if err != nil {
		return deliver.Call{}, fmt.Errorf("recipient of a message: %w", err)
	}
	return e.call(s, endpoint, env, event{
		ID:          uuid.NewSHA1(eventSpace, []byte(env.Message.ID)).String(),
		StoreID:     e.StoreID,
		TriggeredBy: trigger,
		Integration: eventIntegration{ID: s.ID, Type: "webhook", Name: s.Name, Description: s.Description},
		Payload:     payload(env, p),
		// Elastic Path repeats the secret key in the body.
		Configuration: eventConfiguration{URL: endpoint.URL, SecretKey: endpoint.Key},
	})
}

func payload(env deliver.Envelope, p storage.Principal) any {
	requested := env.RequestedAt.UTC().Format(webhookTime)
	realmID, profileID := storage.RealmUUID(env.RealmID), storage.PasswordProfileUUID(env.ProfileID)
	user := eventUser{Email: p.User.Email, ID: p.User.UID, Name: fullName(p.User)}
	login := eventProfileInfo{ID: env.LoginID, ProfileID: profileID, Username: env.Username}
	if env.Message.Type == storage.MessageAccountLocked {
		return lockPayload{
			RealmID: realmID, ProfileID: profileID, LockedUntil: lockEnd(env.LockedUntil),
			CreatedAt: requested, UpdatedAt: requested, User: user, Login: login,
		}
	}
	if env.Message.Type == storage.MessageContactChanged {
		user.Email = env.Email
		return contactPayload{
			RealmID: realmID, ProfileID: profileID, CreatedAt: requested, UpdatedAt: requested, User: user, Login: login,
		}
	}
	purpose := purposeSignIn
	if env.Purpose == storage.PurposeResetPassword {
		purpose = purposeReset
	}
	return codeRequestPayload{
		RealmID: realmID, ProfileID: profileID, Code: env.Code, Purpose: purpose,
		CreatedAt: requested, UpdatedAt: requested,
		User: user, Login: login,
	}
}

func lockEnd(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(webhookTime)
	return &text
}

// call encodes the event. Elastic Path has no signature, only the secret key in a
// header. If the sender asks for it, the headers of Standard Webhooks are added.
func (e WebhookEncoder) call(s storage.Sender, to deliver.Endpoint, env deliver.Envelope, posted event) (deliver.Call, error) {
	body, err := json.Marshal(posted)
	if err != nil {
		return deliver.Call{}, fmt.Errorf("body of an event: %w", err)
	}
	header := to.Header()
	header.Set("X-MOLTIN-INTEGRATION-TRIGGER", posted.TriggeredBy)
	if to.Key != "" {
		header.Set("X-MOLTIN-SECRET-KEY", to.Key)
	}
	if s.Signature == storage.StandardWebhookSignature {
		if err := to.SignStandard(header, env.Message.ID, e.Now(), body); err != nil {
			return deliver.Call{}, fmt.Errorf("signing secrets of integration %s: %w", s.ID, err)
		}
	}
	return deliver.Call{URL: to.URL, Header: header, Body: body}, nil
}
