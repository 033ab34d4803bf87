package wire

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

// The additional data that the secrets of a delivery config are sealed with.
const (
	DeliverySecretContext = "delivery_config.secret"
	DeliveryHeaderContext = "delivery_config.custom_auth_header"
)

// MessageEncoder encodes messages as OrderCloud posts them to message senders.
// All fields but Environment are required.
type MessageEncoder struct {
	// Recipient returns the user of a message and an access token of the user. The token
	// is empty if the message was not requested through a client. The error is
	// storage.ErrNotFound if the client or the user does not exist any more or may not
	// sign in. It is a method of *token.Recipients.
	Recipient func(context.Context, token.RecipientRequest) (storage.Principal, string, error)
	// Endpoint returns the endpoint of a sender with its secrets, as
	// deliver.Endpoints.Of does.
	Endpoint func(context.Context, storage.Sender) (deliver.Endpoint, error)
	Now      func() time.Time
	// Environment is sent to the receiver: "Sandbox", "Staging", "Production".
	Environment string
}

type message struct {
	OcLogIDHeader string `json:"OcLogIdHeader"`
	Environment   string
	BuyerID       *string
	UserToken     string
	Recipient     User
	CCList        []string // always null: there are no listeners
	MessageType   storage.MessageType
	ConfigData    json.RawMessage
	EventBody     any // oneTimePassword, passwordRenewal, forgottenUsername, accountLocked or contactChanged
}

type oneTimePassword struct {
	Username        string
	ClientID        string
	OneTimePassword string
}

type passwordRenewal struct {
	Username                        string
	PasswordRenewalURL              string `json:"PasswordRenewalUrl"`
	PasswordRenewalVerificationCode string
	PasswordRenewalAccessToken      string
}

type forgottenUsername struct{ Username string }

// accountLocked is Latchkey's own: OrderCloud sends no such message.
type accountLocked struct {
	Username    string
	LockedUntil *time.Time // null: the lock has ended, or has no end
}

// contactChanged is Latchkey's own. It is sent to the former address, which is also
// the one in Recipient.
type contactChanged struct{ Username string }

func lockEnd(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// Encode returns the HTTP request that delivers a message to the endpoint of a sender,
// signed with the shared key, the signing secrets or both. The error is deliver.Permanent
// if the user does not exist any more, if another user has the username by now, if the
// delivery config is off, or if message senders do not get messages of the type. After
// other errors the delivery is tried again.
func (e MessageEncoder) Encode(ctx context.Context, s storage.Sender, env deliver.Envelope) (deliver.Call, error) {
	endpoint, err := e.Endpoint(ctx, s)
	if err != nil {
		return deliver.Call{}, err
	}
	p, token, err := e.recipient(ctx, s, env, token.RecipientRequest{Elevated: s.ElevatedRoles})
	if err != nil {
		return deliver.Call{}, err
	}
	event, err := e.eventBody(ctx, s, env)
	if err != nil {
		return deliver.Call{}, err
	}
	m := message{
		OcLogIDHeader: env.Message.TraceID,
		Environment:   e.Environment,
		UserToken:     token,
		Recipient:     UserFromRecord(p.User, p.Login, p.Account.ID),
		MessageType:   env.Message.Type,
		ConfigData:    present(s.XP),
		EventBody:     event,
	}
	m.Recipient.AvailableRoles = surface.OrEmpty(p.Roles)
	if env.Message.Type == storage.MessageContactChanged {
		m.Recipient.Email, m.Recipient.Phone = env.Email, surface.Optional(env.Phone)
	}
	if p.User.Kind == storage.Buyer {
		m.BuyerID = &p.Account.ID
	}
	return e.call(s, endpoint, env.Message.ID, m)
}

// recipient returns the user that a message is for, and a token of that user for
// the receiver.
func (e MessageEncoder) recipient(ctx context.Context, s storage.Sender, env deliver.Envelope, r token.RecipientRequest) (storage.Principal, string, error) {
	r.ClientID, r.Username, r.ProfileID = env.ClientID, env.Username, env.ProfileID
	if env.Message.Type == storage.MessageContactChanged { // the username may have changed together with the address
		r.LoginID, r.UserUID = env.LoginID, env.UserUID
	}
	p, token, err := e.Recipient(ctx, r)
	if err == nil && p.User.UID != env.UserUID {
		err = storage.ErrNotFound
	}
	if errors.Is(err, storage.ErrNotFound) {
		return p, "", deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the recipient does not exist any more or may not sign in"), err))
	}
	if err != nil {
		return p, "", fmt.Errorf("recipient of a message: %w", err)
	}
	if token, err = sealToken(s.PublicJWK, token); err != nil {
		return p, "", fmt.Errorf("%w: message sender %s: %w", deliver.Reason("the public key of the message sender cannot be used"), s.ID, err)
	}
	return p, token, nil
}

// eventBody returns the part of a message that depends on its type.
func (e MessageEncoder) eventBody(ctx context.Context, s storage.Sender, env deliver.Envelope) (any, error) {
	switch env.Message.Type {
	case storage.MessageOneTimePassword:
		return oneTimePassword{Username: env.Username, ClientID: env.ClientID, OneTimePassword: env.Code}, nil
	case storage.MessageForgottenUsername:
		return forgottenUsername{Username: env.Username}, nil
	case storage.MessageAccountLocked:
		return accountLocked{Username: env.Username, LockedUntil: lockEnd(env.LockedUntil)}, nil
	case storage.MessageContactChanged:
		return contactChanged{Username: env.Username}, nil
	case storage.MessageForgottenPassword, storage.MessageNewUserInvitation:
		_, token, err := e.recipient(ctx, s, env, token.RecipientRequest{OnlyRoles: []string{token.RolePasswordReset}})
		return passwordRenewal{
			Username: env.Username, PasswordRenewalURL: env.URL,
			PasswordRenewalVerificationCode: env.Code, PasswordRenewalAccessToken: token,
		}, err
	case storage.MessageLogout: // goes to clients
	}
	return nil, deliver.Permanent(deliver.Reason(fmt.Sprintf("message senders know no messages of type %q", env.Message.Type)))
}

// sealToken encrypts the token to the key of the receiver, if it has one. The key keeps
// intermediaries from reading codes, and a token is worth more than a code.
func sealToken(jwk json.RawMessage, token string) (string, error) {
	if len(jwk) == 0 || token == "" {
		return token, nil
	}
	key, err := otp.ParseReceiverKey(jwk)
	if err != nil {
		return "", fmt.Errorf("the receiver's key %w", err)
	}
	return key.Encrypt([]byte(token))
}

// call encodes a message and signs it with the signature of the sender.
func (e MessageEncoder) call(s storage.Sender, to deliver.Endpoint, id string, m message) (deliver.Call, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return deliver.Call{}, fmt.Errorf("body of a message: %w", err)
	}
	header := to.Header()
	if to.Key != "" {
		header.Set("X-oc-hash", sign(to.Key, body))
	} else if s.Signature == storage.DialectSignature {
		return deliver.Call{}, deliver.Reason("the message sender has no key to sign with")
	}
	if s.Signature == storage.StandardWebhookSignature {
		if err := to.SignStandard(header, id, e.Now(), body); err != nil {
			return deliver.Call{}, fmt.Errorf("signing secrets of message sender %s: %w", s.ID, err)
		}
	}
	url := strings.ReplaceAll(to.URL, messageTypePlaceholder, strings.ToLower(string(m.MessageType)))
	return deliver.Call{URL: url, Header: header, Body: body}, nil
}

// sign returns the header X-oc-hash (OrderCloud): an HMAC-SHA256 of the body.
func sign(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
