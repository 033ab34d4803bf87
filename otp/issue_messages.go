package otp

import (
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"latchkey/storage"
)

// verificationBytes is the number of random bytes in a verification code: 144 bits,
// 24 characters.
const verificationBytes = 18

// GenerateVerification returns a new verification code: 24 characters of
// A-Z, a-z, 0-9, - and _, so that it needs no escaping in a URL. It returns the error
// of random.
func GenerateVerification(random io.Reader) (string, error) {
	var b [verificationBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("generate verification code: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// notification holds what is needed to make the messages of a request to one login.
type notification struct {
	request storage.CodeRequest
	client  *storage.Client    // nil: the request was made through none in particular
	format  storage.CodeFormat // of a one-time password
	to      *storage.Principal
	senders []storage.Sender
}

// mailbox returns the key of the address that the messages go to if all of them are mails.
// Otherwise it is empty, because a person who has the code may not have read the mail.
func (n *notification) mailbox() string {
	for i := range n.senders {
		if n.senders[i].Kind != storage.SMTPSender {
			return ""
		}
	}
	return n.to.User.EmailKey
}

// issue adds the code or notice for the login to the issuance, and returns the
// messages for it.
func (s *Service) issue(x *storage.Issuance, n notification) ([]storage.Message, error) {
	var messages []storage.Message
	var err error
	switch n.request.Type {
	case storage.MessageForgottenUsername, storage.MessageAccountLocked, storage.MessageContactChanged:
		messages, err = s.messages(n, "", x.Now)
		x.Notices = append(x.Notices, storage.IssuedNotice{LoginID: n.to.Login.ID, Messages: messages})
	case storage.MessageForgottenPassword, storage.MessageNewUserInvitation:
		var issued storage.IssuedVerification
		if issued, err = s.issueVerification(n, x.Now); err == nil {
			x.Verifications, messages = append(x.Verifications, issued), issued.Messages
		}
	case storage.MessageOneTimePassword:
		var issued storage.IssuedCode
		if issued, err = s.issueCode(n, x.Now); err == nil {
			x.Codes, messages = append(x.Codes, issued), issued.Messages
		}
	default:
		err = fmt.Errorf("%w: %s", ErrType, n.request.Type)
	}
	return messages, err
}

// issueCode returns a new one-time password of the login and its messages.
func (s *Service) issueCode(n notification, now time.Time) (storage.IssuedCode, error) {
	text, err := Generate(n.format, s.cfg.Rand)
	if err != nil {
		return storage.IssuedCode{}, err
	}
	id, err := storage.NewID(s.cfg.Rand, codePrefix)
	if err != nil {
		return storage.IssuedCode{}, err
	}
	messages, err := s.messages(n, text, now)
	code := storage.Code{
		ID:        id,
		RequestID: n.request.ID,
		ClientID:  n.request.ClientID,
		Purpose:   n.request.Purpose,
		MailedTo:  n.mailbox(),
		IssuedAt:  storage.IssueTime(now, storage.CodesValidFrom(n.client, n.to)),
		ExpiresAt: n.request.ExpiresAt,
	}
	s.cfg.Codes.SetDigests(&code, &n.to.Login, Bind(text, n.request.Binding))
	return storage.IssuedCode{LoginID: n.to.Login.ID, Messages: messages, Code: code}, err
}

// issueVerification returns a new verification code of the login and its messages.
func (s *Service) issueVerification(n notification, now time.Time) (storage.IssuedVerification, error) {
	text, err := GenerateVerification(s.cfg.Rand)
	if err != nil {
		return storage.IssuedVerification{}, err
	}
	id, err := storage.NewID(s.cfg.Rand, "vfc_")
	if err != nil {
		return storage.IssuedVerification{}, err
	}
	messages, err := s.messages(n, text, now)
	return storage.IssuedVerification{Messages: messages, Code: storage.VerificationCode{
		ID:        id,
		LoginID:   n.to.Login.ID,
		RequestID: n.request.ID,
		ClientID:  n.request.ClientID,
		Digest:    s.cfg.Codes.DigestVerification(n.to.Login.ID, text),
		MailedTo:  n.mailbox(),
		IssuedAt:  storage.IssueTime(now, storage.CodesValidFrom(n.client, n.to)),
		ExpiresAt: n.request.ExpiresAt,
	}}, err
}

// messages returns one message for each sender. code is empty for messages without a
// code.
func (s *Service) messages(n notification, code string, now time.Time) ([]storage.Message, error) {
	payload := Payload{
		Username: n.to.Login.Username, Code: code, ClientID: n.request.ClientID, UserUID: n.to.User.UID,
		ExpiresAt: n.request.ExpiresAt, RequestedAt: n.request.CreatedAt, Purpose: n.request.Purpose, URL: n.request.URL,
		RealmID: n.to.User.RealmID, ProfileID: n.to.Login.ProfileID, LoginID: n.to.Login.ID,
	}
	if n.request.Type == storage.MessageAccountLocked {
		payload.LockedUntil = lockedUntil(n.to.Lockout, now)
	}
	if n.request.Type == storage.MessageContactChanged {
		payload.Email, payload.Phone = n.request.Email, n.request.Phone
	}
	messages := make([]storage.Message, 0, len(n.senders))
	for _, sender := range n.senders {
		m, err := s.message(n.request, sender, payload, now)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// lockedUntil returns when the last lock of a login ends, or the zero time if the
// login is not locked any more.
func lockedUntil(l storage.Lockout, now time.Time) time.Time {
	last := l.LockedUntil
	if l.Codes.LockedUntil.After(last) {
		last = l.Codes.LockedUntil
	}
	if !now.Before(last) {
		return time.Time{}
	}
	return last
}

// message returns a message that is due at once, with the sealed payload.
func (s *Service) message(r storage.CodeRequest, sender storage.Sender, payload Payload, now time.Time) (storage.Message, error) {
	id, err := storage.NewID(s.cfg.Rand, storage.MessagePrefix)
	if err != nil {
		return storage.Message{}, err
	}
	if len(sender.PublicJWK) > 0 && payload.Code != "" {
		// The code is encrypted here and not at delivery, so that the master key
		// alone does not reveal it in the database.
		if payload.Code, err = payload.SealCode(sender.PublicJWK, id); err != nil {
			return storage.Message{}, fmt.Errorf("message sender %s: %w", sender.ID, err)
		}
	}
	sealed, err := payload.Seal(s.cfg.Sealer, id)
	if err != nil {
		return storage.Message{}, err
	}
	return storage.Message{
		ID:        id,
		RequestID: r.ID,
		SenderID:  sender.ID,
		Type:      r.Type,
		UserUID:   payload.UserUID,
		TraceID:   r.TraceID,
		Payload:   sealed,
		State:     storage.MessageQueued,
		RunAt:     now,
		ExpiresAt: r.ExpiresAt,
		CreatedAt: now,
	}, nil
}
