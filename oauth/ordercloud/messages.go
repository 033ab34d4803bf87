package ordercloud

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

// messageTypePlaceholder in a sender's URL stands for the lower-case type of
// the message.
const messageTypePlaceholder = "{messagetype}"

// MessageEncoder writes messages as OrderCloud posts them to message senders.
// All fields but Environment are required.
type MessageEncoder struct {
	// Recipient returns the user of that name in the client's password profile,
	// with an access token that has its roles and the elevated ones;
	// storage.ErrNotFound when the client or the user is gone or may no longer
	// sign in.
	Recipient func(ctx context.Context, clientID, username string, elevated []string) (storage.Principal, string, error)
	// SharedKey opens a sender's shared key (see SharedKeyContext).
	SharedKey func(storage.Sealed) (string, error)
	// SigningSecrets opens a sender's secrets of Standard Webhooks (see
	// SigningSecretsContext).
	SigningSecrets func(storage.Sealed) ([]string, error)
	Now            func() time.Time
	// Environment is told to the receiver: "Sandbox", "Staging", "Production".
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
	EventBody     oneTimePassword
}

type oneTimePassword struct {
	Username        string
	ClientID        string
	OneTimePassword string
}

// Encode returns the call that brings the message to the sender, signed with
// its shared key, with its signing secrets or with both. A message to a user who is gone, or whose name is another
// user's by now, fails for good; any other failure may pass.
func (e MessageEncoder) Encode(ctx context.Context, s storage.Sender, env deliver.Envelope) (deliver.Call, error) {
	p, token, err := e.Recipient(ctx, env.ClientID, env.Username, s.ElevatedRoles)
	if err == nil && p.User.UID != env.UserUID {
		err = storage.ErrNotFound
	}
	if errors.Is(err, storage.ErrNotFound) {
		return deliver.Call{}, deliver.Permanent(fmt.Errorf("recipient of a message: %w", err))
	}
	if err != nil {
		return deliver.Call{}, fmt.Errorf("recipient of a message: %w", err)
	}
	if token, err = sealToken(s.PublicJWK, token); err != nil {
		return deliver.Call{}, fmt.Errorf("message sender %s: %w", s.ID, err)
	}
	m := message{
		OcLogIDHeader: env.Message.TraceID,
		Environment:   e.Environment,
		UserToken:     token,
		Recipient:     UserFromRecord(p.User, p.Login, p.Account.ID),
		MessageType:   env.Message.Type,
		ConfigData:    present(s.XP),
		EventBody:     oneTimePassword{Username: env.Username, ClientID: env.ClientID, OneTimePassword: env.Code},
	}
	m.Recipient.AvailableRoles = listed(p.Roles)
	if p.User.Kind == storage.Buyer {
		m.BuyerID = &p.Account.ID
	}
	return e.call(s, env.Message.ID, m)
}

// sealToken encrypts a user's token to the receiver if that has a key: whoever
// must not read the code must not have a token either, which is worth more.
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

// call encodes the message and signs it the way the sender wants it.
func (e MessageEncoder) call(s storage.Sender, id string, m message) (deliver.Call, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return deliver.Call{}, fmt.Errorf("body of a message: %w", err)
	}
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	if s.Signature == storage.DialectSignature || len(s.SharedKey.Data) > 0 {
		key, err := e.SharedKey(s.SharedKey)
		if err != nil {
			return deliver.Call{}, fmt.Errorf("shared key of message sender %s: %w", s.ID, err)
		}
		header.Set("X-oc-hash", sign(key, body))
	}
	if s.Signature == storage.StandardWebhookSignature {
		if err := e.signStandard(header, s, id, body); err != nil {
			return deliver.Call{}, fmt.Errorf("signing secrets of message sender %s: %w", s.ID, err)
		}
	}
	url := strings.ReplaceAll(s.URL, messageTypePlaceholder, strings.ToLower(string(m.MessageType)))
	return deliver.Call{URL: url, Header: header, Body: body}, nil
}

func (e MessageEncoder) signStandard(header http.Header, s storage.Sender, id string, body []byte) error {
	texts, err := e.SigningSecrets(s.SigningSecrets)
	if err != nil {
		return err
	}
	secrets := make([]deliver.SigningSecret, len(texts))
	for i, text := range texts {
		if secrets[i], err = deliver.ParseSigningSecret(text); err != nil {
			return err
		}
	}
	return deliver.SignStandard(header, id, e.Now(), body, secrets...)
}

// sign returns what OrderCloud sends as X-oc-hash.
func sign(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
