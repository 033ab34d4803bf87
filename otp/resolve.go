package otp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/otp/internal/poll"
	"latchkey/storage"
)

// Why somebody who was named gets no code, besides storage.Client.Refusal: the
// Outcome of code.not_sent.
const (
	reasonClient   = "client_unusable"
	reasonCodesOff = "codes_off"
	reasonExpired  = "expired"
	reasonNoSender = "no_sender"
)

// setting is the configuration that a request is resolved under.
type setting struct {
	client  storage.Client
	profile storage.PasswordProfile
	senders []storage.Sender
}

// verdict says what became of the request for one login, or for the request
// as a whole.
type verdict struct {
	who    *storage.Principal
	reason string // empty: a code was issued

	messages []storage.Message // that carry the code
}

// work resolves one request and settles it. While the storage is away it tries
// again, with new codes each time; only those that were settled ever exist.
func (s *Service) work(ctx context.Context, r storage.CodeRequest) error {
	var verdicts []verdict
	err := poll.Retry(ctx, func(ctx context.Context) error {
		now := s.cfg.Now().UTC()
		codes, v, err := s.resolve(ctx, r, now)
		if err != nil {
			return fmt.Errorf("resolve request %s: %w", r.ID, err)
		}
		verdicts = v
		return s.cfg.Store.IssueCodes(ctx, storage.Issuance{RequestID: r.ID, Now: now, Codes: codes})
	})
	if errors.Is(err, storage.ErrStale) {
		return nil // the lease was lost and somebody else ended the request
	}
	if err != nil {
		return err
	}
	s.report(ctx, r, verdicts)
	return nil
}

// report records and logs the verdicts, and wakes the delivery if there is
// anything to deliver.
func (s *Service) report(ctx context.Context, r storage.CodeRequest, verdicts []verdict) {
	issued := 0
	for _, v := range verdicts {
		if v.reason == "" {
			issued++
			s.recordIssue(ctx, r, v)
			continue
		}
		s.record(ctx, r, "code.not_sent", v.reason, v.who)
		s.cfg.Logger.Info().Str("request", r.ID).Str("client", r.ClientID).Str("trace", r.TraceID).
			Str("reason", v.reason).Msg("no one-time password sent")
	}
	if issued > 0 {
		s.cfg.Wake()
	}
}

// recordIssue tells the Recorder of a code, of the one that it replaced, and of
// the messages that carry it.
func (s *Service) recordIssue(ctx context.Context, r storage.CodeRequest, v verdict) {
	if v.who.Login.Code.Live(s.cfg.Now()) {
		s.record(ctx, r, "code.retired", "replaced", v.who)
	}
	s.record(ctx, r, "code.issued", "success", v.who)
	for _, m := range v.messages {
		s.record(ctx, r, "message.queued", m.SenderID, v.who)
	}
}

// resolve finds out who gets which code. It has no effect.
func (s *Service) resolve(ctx context.Context, r storage.CodeRequest, now time.Time) ([]storage.IssuedCode, []verdict, error) {
	if !now.Before(r.ExpiresAt) {
		return nil, []verdict{{reason: reasonExpired}}, nil
	}
	with, refusal, err := s.setting(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if refusal != "" {
		return nil, []verdict{{reason: refusal}}, nil
	}
	found, err := s.addressees(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 {
		return nil, []verdict{{reason: storage.RefusedUnknown}}, nil
	}
	var codes []storage.IssuedCode
	var verdicts []verdict
	for i := range found {
		p := &found[i]
		senders := with.sendersFor(p)
		reason := with.refusal(p, senders, now)
		if reason != "" {
			verdicts = append(verdicts, verdict{who: p, reason: reason})
			continue
		}
		code, err := s.issue(r, with.profile.Code, p, senders, now)
		if err != nil {
			return nil, nil, err
		}
		codes = append(codes, code)
		verdicts = append(verdicts, verdict{who: p, messages: code.Messages})
	}
	return codes, verdicts, nil
}

// setting reads the configuration, and says why it allows nobody a code if
// that is so.
func (s *Service) setting(ctx context.Context, r storage.CodeRequest) (with setting, refusal string, err error) {
	with.client, err = s.cfg.Directory.Client(ctx, r.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return with, reasonClient, nil
	}
	if err != nil {
		return with, "", err
	}
	if !with.client.Active || !with.client.Credentials.OTP || !with.client.HasGrant("password") {
		return with, reasonClient, nil
	}
	with.profile, err = s.cfg.Directory.PasswordProfile(ctx, r.ProfileID)
	if errors.Is(err, storage.ErrNotFound) {
		return with, reasonCodesOff, nil
	}
	if err != nil {
		return with, "", err
	}
	if !with.profile.OneTimeCodes {
		return with, reasonCodesOff, nil
	}
	with.senders, err = s.cfg.Directory.Senders(ctx)
	return with, "", err
}

// addressees returns the logins that the request names.
func (s *Service) addressees(ctx context.Context, r storage.CodeRequest) ([]storage.Principal, error) {
	usernameKey, emailKey := NormalizeUsername(r.Username), NormalizeUsername(r.Email)
	if usernameKey == "" && emailKey == "" {
		return nil, nil
	}
	return s.cfg.Store.Recipients(ctx, r, usernameKey, emailKey)
}

// sendersFor returns the senders of the user's realm that serve the user.
func (with *setting) sendersFor(p *storage.Principal) []storage.Sender {
	var serving []storage.Sender
	for _, sender := range with.senders {
		if sender.RealmID == p.User.RealmID && sender.Serves(storage.MessageOneTimePassword, p.User) {
			serving = append(serving, sender)
		}
	}
	return serving
}

// refusal says why the login gets no code, empty if it gets one.
func (with *setting) refusal(p *storage.Principal, senders []storage.Sender, now time.Time) string {
	if reason := with.client.Refusal(p, now); reason != "" {
		return reason
	}
	if len(senders) == 0 {
		return reasonNoSender
	}
	return ""
}

// issue makes a login's code and the messages that carry it.
func (s *Service) issue(r storage.CodeRequest, format storage.CodeFormat, p *storage.Principal, senders []storage.Sender, now time.Time) (storage.IssuedCode, error) {
	text, err := Generate(format, s.cfg.Rand)
	if err != nil {
		return storage.IssuedCode{}, err
	}
	id, err := storage.NewID(s.cfg.Rand, "otc_")
	if err != nil {
		return storage.IssuedCode{}, err
	}
	issued := storage.IssuedCode{LoginID: p.Login.ID, Code: storage.Code{
		ID:        id,
		RequestID: r.ID,
		ClientID:  r.ClientID,
		Purpose:   r.Purpose,
		Digest:    s.cfg.Codes.Digest(p.Login.ID, text),
		ExpiresAt: r.ExpiresAt,
	}}
	payload := Payload{Username: p.Login.Username, Code: text, ClientID: r.ClientID, UserUID: p.User.UID, ExpiresAt: r.ExpiresAt}
	for _, sender := range senders {
		m, err := s.message(r, sender, payload, now)
		if err != nil {
			return storage.IssuedCode{}, err
		}
		issued.Messages = append(issued.Messages, m)
	}
	return issued, nil
}

// message seals the payload into a message that is due at once.
func (s *Service) message(r storage.CodeRequest, sender storage.Sender, payload Payload, now time.Time) (storage.Message, error) {
	id, err := storage.NewID(s.cfg.Rand, "msg_")
	if err != nil {
		return storage.Message{}, err
	}
	if len(sender.PublicJWK) > 0 {
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
		Type:      storage.MessageOneTimePassword,
		UserUID:   payload.UserUID,
		TraceID:   r.TraceID,
		Payload:   sealed,
		State:     storage.MessageQueued,
		RunAt:     now,
		ExpiresAt: r.ExpiresAt,
		CreatedAt: now,
	}, nil
}
