package otp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/otp/internal/poll"
	"latchkey/storage"
)

// Why somebody who was named gets nothing, besides storage.Client.Refusal: the
// Outcome of code.not_sent and its likes.
const (
	reasonClient   = "client_unusable"
	reasonCodesOff = "codes_off"
	reasonExpired  = "expired"
	reasonNoSender = "no_sender"
)

// setting is the configuration that a request is resolved under.
type setting struct {
	client  *storage.Client // nil: asked through none in particular
	profile storage.PasswordProfile
	senders []storage.Sender // for messages of the request's type
}

// verdict says what became of the request for one login, or for the request
// as a whole.
type verdict struct {
	who    *storage.Principal
	reason string // empty: the messages were sent

	messages []storage.Message
}

// work resolves one request and settles it. While the storage is away it tries
// again, with new codes each time; only those that were settled ever exist.
func (s *Service) work(ctx context.Context, r storage.CodeRequest) error {
	var verdicts []verdict
	err := poll.Retry(ctx, func(ctx context.Context) error {
		now := s.cfg.Now().UTC()
		issuance, v, err := s.resolve(ctx, r, now)
		if err != nil {
			return fmt.Errorf("resolve request %s: %w", r.ID, err)
		}
		limited, err := s.cfg.Store.IssueCodes(ctx, issuance)
		verdicts = withLimits(v, limited)
		return err
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

// withLimits says of each login that a used-up budget stopped which one it was.
func withLimits(verdicts []verdict, limited storage.Limited) []verdict {
	for i := range verdicts {
		v := &verdicts[i]
		if v.who == nil || limited[v.who.Login.ID] == nil {
			continue
		}
		v.reason, v.messages = limited[v.who.Login.ID].Budget+"_limit", nil
	}
	return verdicts
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
		s.record(ctx, r, ".not_sent", v.reason, v.who)
		s.cfg.Logger.Info().Str("request", r.ID).Str("type", string(r.Type)).Str("client", r.ClientID).
			Str("trace", r.TraceID).Str("reason", v.reason).Msg("no message sent")
	}
	if issued > 0 {
		s.cfg.Wake()
	}
}

// recordIssue tells the Recorder of a code, of the one that it replaced, and of
// the messages that carry it.
func (s *Service) recordIssue(ctx context.Context, r storage.CodeRequest, v verdict) {
	if r.Type == storage.MessageOneTimePassword && v.who.Login.Code.Live(s.cfg.Now()) {
		s.record(ctx, r, ".retired", "replaced", v.who)
	}
	s.record(ctx, r, ".issued", "success", v.who)
	for _, m := range v.messages {
		s.record(ctx, r, "message.queued", m.SenderID, v.who)
	}
}

// resolve finds out who gets what. It has no effect.
func (s *Service) resolve(ctx context.Context, r storage.CodeRequest, now time.Time) (storage.Issuance, []verdict, error) {
	issuance := storage.Issuance{RequestID: r.ID, Now: now, ChargedAt: r.CreatedAt}
	if waitsForBudget(r.Type) {
		issuance.Postpone, issuance.ChargedAt = true, now
	}
	if !now.Before(r.ExpiresAt) {
		return issuance, []verdict{{reason: reasonExpired}}, nil
	}
	with, refusal, err := s.setting(ctx, r)
	if err != nil {
		return issuance, nil, err
	}
	if refusal != "" {
		return issuance, []verdict{{reason: refusal}}, nil
	}
	found, err := s.addressees(ctx, r)
	if err != nil {
		return issuance, nil, err
	}
	if len(found) == 0 {
		return issuance, []verdict{{reason: storage.RefusedUnknown}}, nil
	}
	var verdicts []verdict
	for i := range found {
		v := verdict{who: &found[i]}
		senders := with.sendersFor(r.Type, v.who)
		if v.reason = with.refusal(r.Type, v.who, senders, now); v.reason == "" {
			if v.messages, err = s.issue(&issuance, letter{r, with.client, with.profile.Code, v.who, senders}); err != nil {
				return issuance, nil, err
			}
			s.chargeRecipient(&issuance, &r, v.who)
		}
		verdicts = append(verdicts, v)
	}
	return issuance, verdicts, nil
}

// setting reads the configuration that the request is resolved under. refusal is
// the reason why nobody gets anything under it, empty if there is none.
func (s *Service) setting(ctx context.Context, r storage.CodeRequest) (with setting, refusal string, err error) {
	if refusal, err = s.client(ctx, r, &with); refusal != "" || err != nil {
		return with, refusal, err
	}
	if r.Type == storage.MessageOneTimePassword {
		if refusal, err = s.codeProfile(ctx, r, &with); refusal != "" || err != nil {
			return with, refusal, err
		}
	}
	with.senders, err = s.senders(ctx, r.Type)
	return with, "", err
}

// client reads the client of the request into with, if the request has one.
// refusal is the reason why the client cannot be used, empty if it can.
func (s *Service) client(ctx context.Context, r storage.CodeRequest, with *setting) (refusal string, err error) {
	if r.ClientID == "" {
		return "", nil
	}
	client, err := s.cfg.Directory.Client(ctx, r.ClientID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !client.Active {
		return reasonClient, nil
	}
	if err != nil {
		return "", err
	}
	with.client = &client
	return "", nil
}

// codeProfile reads the password profile of a request for a one-time password
// into with. refusal is the reason why no code may be issued, empty if one may.
func (s *Service) codeProfile(ctx context.Context, r storage.CodeRequest, with *setting) (refusal string, err error) {
	profile := &with.profile
	*profile, err = s.cfg.Directory.PasswordProfile(ctx, r.ProfileID)
	if errors.Is(err, storage.ErrNotFound) {
		profile, err = nil, nil
	}
	if err != nil {
		return "", err
	}
	switch err := checkCodesAllowed(with.client, profile, ""); {
	case errors.Is(err, ErrClientWithoutCodes):
		return reasonClient, nil
	case errors.Is(err, ErrProfileWithoutCodes):
		return reasonCodesOff, nil
	}
	return "", nil
}

// senders returns the senders that deliver messages of the type. One whose
// delivery config is disabled, or gone, is silent.
func (s *Service) senders(ctx context.Context, t storage.MessageType) ([]storage.Sender, error) {
	all, err := s.cfg.Directory.Senders(ctx)
	if err != nil {
		return nil, err
	}
	var senders []storage.Sender
	for _, sender := range all {
		if !sender.Active || !sender.Handles(t) {
			continue
		}
		if sender.DeliveryConfig != "" {
			config, err := s.cfg.Directory.DeliveryConfig(ctx, sender.DeliveryConfig)
			if errors.Is(err, storage.ErrNotFound) || err == nil && !config.Enabled {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		senders = append(senders, sender)
	}
	return senders, nil
}

// addressees returns the logins that the request names.
func (s *Service) addressees(ctx context.Context, r storage.CodeRequest) ([]storage.Principal, error) {
	if r.Type == storage.MessageNewUserInvitation || r.Type == storage.MessageContactChanged {
		return s.loginOfUser(ctx, r)
	}
	usernameKey, emailKey := NormalizeUsername(r.Username), NormalizeUsername(r.Email)
	if usernameKey == "" && emailKey == "" {
		return nil, nil
	}
	return s.cfg.People.Recipients(ctx, r, usernameKey, emailKey)
}

// loginOfUser returns the first login of the user whom the message is for, in the
// profile that the request names, if it names one.
func (s *Service) loginOfUser(ctx context.Context, r storage.CodeRequest) ([]storage.Principal, error) {
	logins, err := s.cfg.People.LoginsOfUser(ctx, r.UserUID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(logins, func(l storage.Login) bool { return r.ProfileID == "" || l.ProfileID == r.ProfileID })
	if i < 0 {
		return nil, nil
	}
	p, err := s.cfg.People.PrincipalOf(ctx, logins[i].ID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return []storage.Principal{p}, err
}

// sendersFor returns the senders of the user's realm that serve the user.
func (with *setting) sendersFor(t storage.MessageType, p *storage.Principal) []storage.Sender {
	var serving []storage.Sender
	for _, sender := range with.senders {
		if sender.RealmID == p.User.RealmID && sender.Serves(t, p.User) {
			serving = append(serving, sender)
		}
	}
	return serving
}

// refusal says why the login gets no message of the type, empty if it does.
func (with *setting) refusal(t storage.MessageType, p *storage.Principal, senders []storage.Sender, now time.Time) string {
	to := *p
	if t == storage.MessageAccountLocked || t == storage.MessageContactChanged { // it is for those who are locked as well
		to.Lockout, to.Source = storage.Lockout{}, storage.Source{}
	}
	reason := to.CodeRefusal(now)
	if with.client != nil {
		reason = with.client.CodeRefusal(&to, now)
	}
	if reason == "" && len(senders) == 0 {
		return reasonNoSender
	}
	return reason
}
