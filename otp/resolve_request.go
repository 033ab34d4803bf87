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

// The reasons why a login gets no message, besides those of
// storage.Client.CodeRefusal. They are the Outcome of audit events such as
// code.not_sent.
const (
	reasonClient     = "client_unusable"
	reasonCodesOff   = "codes_off"
	reasonExpired    = "expired"
	reasonNoSender   = "no_sender"
	reasonSuperseded = "superseded" // by a newer request
)

// requestConfig is the configuration that a request is resolved with.
type requestConfig struct {
	client  *storage.Client // nil: the request was made through none in particular
	profile storage.PasswordProfile
	senders []storage.Sender // for messages of the request's type
}

// result is what the request leads to for one login, or for the request as a whole.
type result struct {
	who      *storage.Principal // nil: the request as a whole
	reason   string             // why nothing is sent; empty: the messages are sent
	retired  bool               // the new code replaces a live one
	messages []storage.Message
	direct   int // how many of them are sent without being claimed
}

// work resolves one request and stores the result. While the database is unavailable
// it tries again, with new codes each time; only stored codes are ever sent.
func (s *Service) work(ctx context.Context, r storage.CodeRequest) error {
	var results []result
	err := poll.Retry(ctx, func(ctx context.Context) error {
		now := s.cfg.Now().UTC()
		issuance, v, err := s.resolve(ctx, r, now)
		if err != nil {
			return fmt.Errorf("resolve request %s: %w", r.ID, err)
		}
		send := s.reserveDelivery(&issuance, v)
		issued, err := s.cfg.Store.IssueCodes(ctx, issuance)
		results = withOutcome(v, issued)
		send(err == nil)
		return err
	})
	if errors.Is(err, storage.ErrStale) {
		return nil // the lease was lost, and another worker ended the request
	}
	if err != nil {
		return err
	}
	s.report(ctx, r, results)
	return nil
}

// directMessages is the highest number of messages of a request that are sent without
// being claimed.
const directMessages = 4

// reserveDelivery leases the messages of an issuance for which the delivery has room. The
// caller must call send. If stored is true, send hands these messages to the delivery.
func (s *Service) reserveDelivery(x *storage.Issuance, results []result) (send func(stored bool)) {
	type reserved struct {
		of   *result
		m    storage.Message
		give func(storage.Message, bool)
	}
	var all []reserved
	take := func(messages []storage.Message) {
		for i := range messages {
			m := &messages[i]
			owner := slices.IndexFunc(results, func(v result) bool { return hasMessage(v.messages, m.ID) })
			if owner < 0 || len(all) >= directMessages {
				continue
			}
			give, ok := s.cfg.Deliver(m.SenderID)
			if !ok {
				continue
			}
			m.Attempts, m.LeaseUntil = 1, x.Now.Add(lease)
			all = append(all, reserved{&results[owner], *m, give})
		}
	}
	for i := range x.Codes {
		take(x.Codes[i].Messages)
	}
	for i := range x.Verifications {
		take(x.Verifications[i].Messages)
	}
	for i := range x.Notices {
		take(x.Notices[i].Messages)
	}
	return func(stored bool) {
		for _, r := range all {
			sent := stored && hasMessage(r.of.messages, r.m.ID)
			if sent {
				r.of.direct++
			}
			r.give(r.m, sent)
		}
	}
}

// hasMessage reports whether the message with that ID is one of the messages.
func hasMessage(messages []storage.Message, id string) bool {
	return slices.ContainsFunc(messages, func(m storage.Message) bool { return m.ID == id })
}

// withOutcome adds what the store has done to the results.
func withOutcome(results []result, issued storage.IssueResult) []result {
	for i := range results {
		v := &results[i]
		if v.who == nil {
			continue
		}
		id := v.who.Login.ID
		v.retired = issued.Retired[id]
		if limit := issued.Limited[id]; limit != nil {
			v.reason, v.messages = limit.Budget+"_limit", nil
		}
		if issued.Superseded[id] {
			v.reason, v.messages = reasonSuperseded, nil
		}
	}
	return results
}

// report records and logs the results, and wakes the delivery if messages are to be
// claimed.
func (s *Service) report(ctx context.Context, r storage.CodeRequest, results []result) {
	queued := 0
	for _, v := range results {
		if v.reason == "" {
			queued += len(v.messages) - v.direct
			s.recordIssue(ctx, r, v)
			continue
		}
		s.record(ctx, r, ".not_sent", v.reason, v.who)
		s.cfg.Logger.Info().Str("request", r.ID).Str("type", string(r.Type)).Str("client", r.ClientID).
			Str("trace", r.TraceID).Str("reason", v.reason).Msg("no message sent")
	}
	if queued > 0 {
		s.cfg.Wake()
	}
}

// recordIssue records an issued code, the code that it replaced, and the messages
// that carry it.
func (s *Service) recordIssue(ctx context.Context, r storage.CodeRequest, v result) {
	if v.retired {
		s.record(ctx, r, ".retired", "replaced", v.who)
	}
	s.record(ctx, r, ".issued", "success", v.who)
	for _, m := range v.messages {
		s.record(ctx, r, "message.queued", m.SenderID, v.who)
	}
}

// resolve returns what the request leads to for each login. It changes nothing.
func (s *Service) resolve(ctx context.Context, r storage.CodeRequest, now time.Time) (storage.Issuance, []result, error) {
	issuance := storage.Issuance{RequestID: r.ID, Now: now, ChargedAt: r.CreatedAt}
	if waitsForBudget(r.Type) {
		issuance.Postpone, issuance.ChargedAt = true, now
	}
	if !now.Before(r.ExpiresAt) {
		return issuance, []result{{reason: reasonExpired}}, nil
	}
	if r.Type == storage.MessageLogout {
		return s.resolveLogout(ctx, r, issuance)
	}
	with, refusal, err := s.readConfig(ctx, r)
	if err != nil {
		return issuance, nil, err
	}
	if refusal != "" {
		return issuance, []result{{reason: refusal}}, nil
	}
	found, err := s.recipients(ctx, r)
	if err != nil {
		return issuance, nil, err
	}
	if len(found) == 0 {
		return issuance, []result{{reason: storage.RefusedUnknown}}, nil
	}
	var results []result
	for i := range found {
		v := result{who: &found[i]}
		senders := with.sendersFor(r.Type, v.who)
		if v.reason = with.refusal(r.Type, v.who, senders, now); v.reason == "" {
			if v.messages, err = s.issue(&issuance, notification{r, with.client, with.profile.Code, v.who, senders}); err != nil {
				return issuance, nil, err
			}
			s.chargeRecipient(&issuance, &r, v.who)
		}
		results = append(results, v)
	}
	return issuance, results, nil
}

// readConfig returns the configuration that the request is resolved with. refusal is
// the reason why nothing is sent, empty if there is none.
func (s *Service) readConfig(ctx context.Context, r storage.CodeRequest) (with requestConfig, refusal string, err error) {
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
func (s *Service) client(ctx context.Context, r storage.CodeRequest, with *requestConfig) (refusal string, err error) {
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
func (s *Service) codeProfile(ctx context.Context, r storage.CodeRequest, with *requestConfig) (refusal string, err error) {
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

// senders returns the senders that deliver messages of the type, without those whose
// delivery config is disabled or does not exist.
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

// recipients returns the logins that match the request.
func (s *Service) recipients(ctx context.Context, r storage.CodeRequest) ([]storage.Principal, error) {
	if r.Type == storage.MessageNewUserInvitation || r.Type == storage.MessageContactChanged {
		return s.loginOfUser(ctx, r)
	}
	usernameKey, emailKey := NormalizeUsername(r.Username), NormalizeUsername(r.Email)
	if usernameKey == "" && emailKey == "" {
		return nil, nil
	}
	return s.cfg.People.Recipients(ctx, r, usernameKey, emailKey)
}

// loginOfUser returns the first login of the user r.UserUID, in the profile
// r.ProfileID unless that is empty.
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

// sendersFor returns the senders in the user's realm that serve the user.
func (with *requestConfig) sendersFor(t storage.MessageType, p *storage.Principal) []storage.Sender {
	var serving []storage.Sender
	for _, sender := range with.senders {
		if sender.RealmID == p.User.RealmID && sender.Serves(t, p.User) {
			serving = append(serving, sender)
		}
	}
	return serving
}

// refusal returns the reason why the login gets no message of the type, empty if it
// gets one.
func (with *requestConfig) refusal(t storage.MessageType, p *storage.Principal, senders []storage.Sender, now time.Time) string {
	to := *p
	if t == storage.MessageAccountLocked || t == storage.MessageContactChanged { // these messages are sent to locked logins too
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
