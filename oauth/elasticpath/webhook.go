package elasticpath

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

// SecretKeyContext is what an integration's secret key is sealed with as
// additional data, so that no other sealed secret can pass for one.
const SecretKeyContext = "integration.secret_key"

// The events that integrations may observe. All but the first are ours.
const (
	codeRequested  = "one-time-password-token-request.created"
	loginLocked    = "user-authentication-password-profile-info.locked"
	contactChanged = "user-authentication-info.contact-changed"
)

// observed are the events with the types of the messages that tell them.
var observed = [...]struct {
	event string
	kind  storage.MessageType
}{
	{codeRequested, storage.MessageOneTimePassword},
	{loginLocked, storage.MessageAccountLocked},
	{contactChanged, storage.MessageContactChanged},
}

func typeOf(event string) (storage.MessageType, bool) {
	for _, o := range observed {
		if o.event == event {
			return o.kind, true
		}
	}
	return "", false
}

func eventOf(t storage.MessageType) (string, bool) {
	for _, o := range observed {
		if o.kind == t {
			return o.event, true
		}
	}
	return "", false
}

// webhookTime is how webhooks, unlike resources, write a time: in UTC, and not
// with a Z.
const webhookTime = "2006-01-02T15:04:05.000-07:00"

// eventSpace is the name space (RFC 9562 §6.6) of the ids of events, which are
// made of the message's so that they are the same on every attempt.
var eventSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:latchkey:message"))

// WebhookEncoder writes messages as Elastic Path posts events to webhook
// integrations. All fields are required.
type WebhookEncoder struct {
	// Recipient returns the user of that name; storage.ErrNotFound when the
	// client or the user is gone or may no longer sign in. *token.Recipients
	// has one. The token that it returns is not used.
	Recipient func(context.Context, token.RecipientRequest) (storage.Principal, string, error)
	// Endpoint returns where the sender delivers, with its secrets;
	// deliver.Endpoints.Of does.
	Endpoint func(context.Context, storage.Sender) (deliver.Endpoint, error)
	Now      func() time.Time
	StoreID  string // what the store is called here
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
	LockedUntil *string          `json:"locked_until"` // null: the lock has ended, or nobody knows when it does
	ProfileID   string           `json:"password_profile_id"`
	UpdatedAt   string           `json:"updated_at"`
	User        eventUser        `json:"user_authentication_info"`
	Login       eventProfileInfo `json:"user_authentication_password_profile_info"`
}

// contactPayload goes to the former address: user_authentication_info has that.
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

// Encode returns the call that brings the message to the sender's endpoint. A
// message of a type that no event tells, to a user who is gone, or whose name is
// another user's by now, fails for good, and so does one of a sender whose
// delivery config is off; any other failure may pass.
func (e WebhookEncoder) Encode(ctx context.Context, s storage.Sender, env deliver.Envelope) (deliver.Call, error) {
	trigger, ok := eventOf(env.Message.Type)
	if !ok {
		return deliver.Call{}, deliver.Permanent(deliver.Reason(fmt.Sprintf("integrations observe no messages of type %q", env.Message.Type)))
	}
	endpoint, err := e.Endpoint(ctx, s)
	if err != nil {
		return deliver.Call{}, err
	}
	who := token.RecipientRequest{ClientID: env.ClientID, Username: env.Username, ProfileID: env.ProfileID}
	if env.Message.Type == storage.MessageContactChanged { // whoever changed the address may have changed the username as well
		who.LoginID, who.UserUID = env.LoginID, env.UserUID
	}
	p, _, err := e.Recipient(ctx, who)
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
		// The vendor shows the receiver its own secret.
		Configuration: eventConfiguration{URL: endpoint.URL, SecretKey: endpoint.Key},
	})
}

func payload(env deliver.Envelope, p storage.Principal) any {
	requested := env.RequestedAt.UTC().Format(webhookTime)
	user := eventUser{Email: p.User.Email, ID: p.User.UID, Name: fullName(p.User)}
	login := eventProfileInfo{ID: env.LoginID, ProfileID: storage.PasswordProfileUUID(env.ProfileID), Username: env.Username}
	if env.Message.Type == storage.MessageAccountLocked {
		return lockPayload{
			RealmID: storage.RealmUUID(env.RealmID), ProfileID: storage.PasswordProfileUUID(env.ProfileID), LockedUntil: lockEnd(env.LockedUntil),
			CreatedAt: requested, UpdatedAt: requested, User: user, Login: login,
		}
	}
	if env.Message.Type == storage.MessageContactChanged {
		user.Email = env.Email
		return contactPayload{
			RealmID: env.RealmID, ProfileID: env.ProfileID, CreatedAt: requested, UpdatedAt: requested, User: user, Login: login,
		}
	}
	purpose := purposeSignIn
	if env.Purpose == storage.PurposeResetPassword {
		purpose = purposeReset
	}
	return codeRequestPayload{
		RealmID: storage.RealmUUID(env.RealmID), ProfileID: storage.PasswordProfileUUID(env.ProfileID), Code: env.Code, Purpose: purpose,
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

// call encodes the event. The secret key in the header is all that the vendor
// has for a signature; Standard Webhooks come on top where the sender wants
// them.
func (e WebhookEncoder) call(s storage.Sender, to deliver.Endpoint, env deliver.Envelope, told event) (deliver.Call, error) {
	body, err := json.Marshal(told)
	if err != nil {
		return deliver.Call{}, fmt.Errorf("body of an event: %w", err)
	}
	header := to.Header()
	header.Set("X-MOLTIN-INTEGRATION-TRIGGER", told.TriggeredBy)
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
