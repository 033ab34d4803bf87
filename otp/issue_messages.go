package otp

import (
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"latchkey/storage"
)

// verificationBytes are random: 144 bits make 24 characters.
const verificationBytes = 18

// GenerateVerification returns a new verification code: 24 characters of
// A-Z, a-z, 0-9, - and _, so that it needs no escaping in a URL. It fails if
// random does.
func GenerateVerification(random io.Reader) (string, error) {
	var b [verificationBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("generate verification code: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// letter is what a request sends to one login.
type letter struct {
	request storage.CodeRequest
	client  *storage.Client    // nil: asked through none in particular
	format  storage.CodeFormat // of a one-time password
	to      *storage.Principal
	senders []storage.Sender
}

// issue adds to the issuance what the letter's login gets, and returns the
// messages that tell of it.
func (s *Service) issue(x *storage.Issuance, l letter) ([]storage.Message, error) {
	var messages []storage.Message
	var err error
	switch l.request.Type {
	case storage.MessageForgottenUsername, storage.MessageAccountLocked, storage.MessageContactChanged:
		messages, err = s.messages(l, "", x.Now)
		x.Notices = append(x.Notices, storage.IssuedNotice{LoginID: l.to.Login.ID, Messages: messages})
	case storage.MessageForgottenPassword, storage.MessageNewUserInvitation:
		var issued storage.IssuedVerification
		if issued, err = s.issueVerification(l, x.Now); err == nil {
			x.Verifications, messages = append(x.Verifications, issued), issued.Messages
		}
	case storage.MessageOneTimePassword:
		var issued storage.IssuedCode
		if issued, err = s.issueCode(l, x.Now); err == nil {
			x.Codes, messages = append(x.Codes, issued), issued.Messages
		}
	default:
		err = fmt.Errorf("%w: %s", ErrType, l.request.Type)
	}
	return messages, err
}

// issueCode makes a login's one-time password and the messages that carry it.
func (s *Service) issueCode(l letter, now time.Time) (storage.IssuedCode, error) {
	text, err := Generate(l.format, s.cfg.Rand)
	if err != nil {
		return storage.IssuedCode{}, err
	}
	id, err := storage.NewID(s.cfg.Rand, "otc_")
	if err != nil {
		return storage.IssuedCode{}, err
	}
	messages, err := s.messages(l, text, now)
	return storage.IssuedCode{LoginID: l.to.Login.ID, Messages: messages, Code: storage.Code{
		ID:        id,
		RequestID: l.request.ID,
		ClientID:  l.request.ClientID,
		Purpose:   l.request.Purpose,
		Digest:    s.cfg.Codes.Digest(l.to.Login.ID, text),
		IssuedAt:  storage.IssueTime(now, storage.CodesValidFrom(l.client, l.to)),
		ExpiresAt: l.request.ExpiresAt,
	}}, err
}

// issueVerification makes a login's verification code and the messages that
// carry it.
func (s *Service) issueVerification(l letter, now time.Time) (storage.IssuedVerification, error) {
	text, err := GenerateVerification(s.cfg.Rand)
	if err != nil {
		return storage.IssuedVerification{}, err
	}
	id, err := storage.NewID(s.cfg.Rand, "vfc_")
	if err != nil {
		return storage.IssuedVerification{}, err
	}
	messages, err := s.messages(l, text, now)
	return storage.IssuedVerification{Messages: messages, Code: storage.VerificationCode{
		ID:        id,
		LoginID:   l.to.Login.ID,
		RequestID: l.request.ID,
		ClientID:  l.request.ClientID,
		Digest:    s.cfg.Codes.DigestVerification(l.to.Login.ID, text),
		IssuedAt:  storage.IssueTime(now, storage.CodesValidFrom(l.client, l.to)),
		ExpiresAt: l.request.ExpiresAt,
	}}, err
}

// messages makes one message for each of the letter's senders, that carries the
// code if there is one.
func (s *Service) messages(l letter, code string, now time.Time) ([]storage.Message, error) {
	payload := Payload{
		Username: l.to.Login.Username, Code: code, ClientID: l.request.ClientID, UserUID: l.to.User.UID,
		ExpiresAt: l.request.ExpiresAt, RequestedAt: l.request.CreatedAt, Purpose: l.request.Purpose, URL: l.request.URL,
		RealmID: l.to.User.RealmID, ProfileID: l.to.Login.ProfileID, LoginID: l.to.Login.ID,
	}
	if l.request.Type == storage.MessageAccountLocked {
		payload.LockedUntil = lockedUntil(l.to.Lockout, now)
	}
	if l.request.Type == storage.MessageContactChanged {
		payload.Email, payload.Phone = l.request.Email, l.request.Phone
	}
	messages := make([]storage.Message, 0, len(l.senders))
	for _, sender := range l.senders {
		m, err := s.message(l.request, sender, payload, now)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// lockedUntil is when the last of a login's locks ends; zero if none is in force
// any more.
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

// message seals the payload into a message that is due at once.
func (s *Service) message(r storage.CodeRequest, sender storage.Sender, payload Payload, now time.Time) (storage.Message, error) {
	id, err := storage.NewID(s.cfg.Rand, storage.MessagePrefix)
	if err != nil {
		return storage.Message{}, err
	}
	if len(sender.PublicJWK) > 0 && payload.Code != "" {
		// Here and not at delivery, so that the code is not even in the database
		// for whoever has the master key.
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
