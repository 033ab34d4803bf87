package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// SignInStore is what an Authenticator asks of a store.
type SignInStore interface {
	// Principal reads a login by what was typed, and whether the source of the
	// key is known for it. A name that nobody has is not an error: it has a
	// lockout state like any other.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	// RecordFailure writes the next lockout state, and the request to tell the
	// user of a lock if there is one, unless the state in p is outdated
	// (storage.ErrStale).
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error
	// SettleLogin lets a success take effect, all or nothing, or answers
	// storage.ErrRefused.
	SettleLogin(ctx context.Context, s storage.Settlement) error
}

// CodeMatcher tells whether what was presented is the login's live code for
// that client and one of the purposes. It must take the same time with and
// without a code.
type CodeMatcher interface {
	Match(p storage.Principal, clientID string, purposes []storage.Purpose, presented string, now time.Time) bool
}

// PasswordVerifier checks permanent passwords; see Hasher.
type PasswordVerifier interface {
	Verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error)
	Hash(ctx context.Context, password string) (string, error)
	// DecoyVerify takes as long as Verify, and fails like it, without any work.
	DecoyVerify(ctx context.Context, password string) error
}

// AuthenticatorConfig configures an Authenticator. Store, Codes and Passwords
// are required.
type AuthenticatorConfig struct {
	Store     SignInStore
	Codes     CodeMatcher
	Passwords PasswordVerifier
	Recorder  storage.Recorder // default: discards
	Now       func() time.Time // default: time.Now
	Rand      io.Reader        // default: crypto/rand.Reader
}

// Authenticator decides sign-ins: it verifies a credential without touching
// state and settles the attempt by its outcome.
type Authenticator struct {
	attempts
	settle    func(ctx context.Context, s storage.Settlement) error
	codes     CodeMatcher
	passwords PasswordVerifier
}

// NewAuthenticator returns an Authenticator, or an error that names what is
// missing.
func NewAuthenticator(cfg AuthenticatorConfig) (*Authenticator, error) {
	if cfg.Store == nil || cfg.Codes == nil || cfg.Passwords == nil {
		return nil, errors.New("signin: an Authenticator needs Store, Codes and Passwords")
	}
	return &Authenticator{
		attempts: newAttempts(cfg.Store, cfg.Recorder, cfg.Now, cfg.Rand),
		settle:   cfg.Store.SettleLogin, codes: cfg.Codes, passwords: cfg.Passwords,
	}, nil
}

// Attempt is what somebody presents to sign in.
type Attempt struct {
	ProfileID string // the password profile of the login
	Username  string // as typed
	Secret    string
	Source    netip.Addr        // where the user is; invalid: not known
	OTP       bool              // the secret may be a one-time password
	Password  bool              // the secret may be the permanent password
	Purposes  []storage.Purpose // what the one-time password may have been asked for; none: no code will do
}

// SignIn is a verified attempt that has not taken effect yet; see Settle.
type SignIn struct {
	Principal storage.Principal
	AMR       string          // RFC 8176: "otp" or "pwd"
	Purpose   storage.Purpose // of the one-time password; empty: none, or to sign in
	action    string          // of the audit event
	clientID  string
	address   string         // for audit events
	refusal   error          // if it is overtaken
	source    storage.Source // that the attempt came from, with the id that it has or will have; zero: none
	codeID    string         // empty: no code was presented
	newHash   string
	resumed   bool // no credential was presented
}

// Verify checks the secret, a one-time password first and then the permanent
// password, as far as both the attempt and the client allow each. A wrong
// attempt is counted before Verify returns ErrCredentials; a right one changes
// nothing until Settle. Every refusal costs the same: the same reads, one hash
// if passwords are allowed, or the time of one if a lock makes it pointless, one
// write.
//
// A source from which the login has signed in before has a lock of its own.
// Elsewhere there are two: guesses at passwords do not keep a code out.
//
// The right permanent password may be too old, or have become too weak for the
// rules: then nothing is counted and nothing can be settled, and the error is
// ErrPasswordExpired or a *RuleError. Nobody else sees those.
//
// Other errors, among them ErrBusy and storage.ErrUnavailable, mean that nothing
// was decided. They count as a failure only for a login that has a live code:
// see undecided.
func (a *Authenticator) Verify(ctx context.Context, c *storage.Client, at Attempt) (*SignIn, error) {
	began := time.Now()
	s, err := a.verify(ctx, c, at)
	if errors.Is(err, ErrCredentials) {
		holdRefusal(ctx, began)
	}
	return s, err
}

func (a *Authenticator) verify(ctx context.Context, c *storage.Client, at Attempt) (*SignIn, error) {
	at.OTP = at.OTP && c.Credentials.OTP
	at.Password = at.Password && c.Credentials.Password
	turn, p, err := a.takeTurn(ctx, keyOf(at.ProfileID, at.Username, at.Source))
	if err != nil {
		return nil, err
	}
	defer turn.leave()
	s, err := a.check(ctx, c, p, at, turn.seen)
	if err != nil {
		return nil, a.undecided(ctx, c, p, at, turn.seen, err)
	}
	if s == nil {
		return nil, a.refused(ctx, c, p, at, turn.seen)
	}
	if err := a.usable(ctx, s, at.Secret); err != nil {
		return nil, err
	}
	return s, nil
}

// undecided settles an attempt whose password could not be checked for that
// cause, and returns the cause. As a guess at a one-time password it has been
// answered, for the right one would have been taken by then. So with a live code
// it counts, or whoever keeps the hasher busy, or hangs up while it is, could
// guess without end. Without one nothing was learned and nothing counts, but it
// costs the same write.
func (a *Authenticator) undecided(
	ctx context.Context, c *storage.Client, p storage.Principal, at Attempt, seen time.Time, cause error,
) error {
	if !at.OTP {
		return cause
	}
	next := unmoved
	if c.CodeLive(&p, a.now()) {
		next = a.failed(&p, seen, func(p *storage.Principal) lockout.Guess {
			return lockout.Guess{Code: true, CodeLive: c.CodeLive(p, a.now())}
		})
	}
	n := a.noteOf(c, &p, at, "undecided")
	if err := a.write(ctx, p, n, next); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// What audit events say of sign-ins.
const (
	actionSignIn     = "sign_in"
	notSettled       = "not_settled"
	insecurePassword = "insecure_password"
)

// likelyFactor is what a wrong secret was probably meant to be: with a code on
// its way, that is the likelier thing to have been mistyped or guessed.
func (a *Authenticator) likelyFactor(c *storage.Client, p *storage.Principal) string {
	if c.CodeLive(p, a.now()) {
		return amrOTP
	}
	return ""
}

// The authentication methods of RFC 8176 §2.
const (
	amrOTP      = "otp"
	amrPassword = "pwd"
)

// check verifies the secret and asks the gate, which is as open as when the login
// was seen; nil means refused. A right code at a closed gate goes on to the
// password hash like any wrong one, so that time does not tell that it was right;
// and where no password can win, to what takes as long.
func (a *Authenticator) check(
	ctx context.Context, c *storage.Client, p storage.Principal, at Attempt, seen time.Time,
) (*SignIn, error) {
	code := &p.Login.Code
	isCode := a.codes.Match(p, c.ID, at.Purposes, at.Secret, a.now()) && !c.CodeEnded(&p, code.ClientID, code.IssuedAt)
	if isCode && at.OTP && c.CodeRefusal(&p, seen) == "" {
		s, err := a.newSignIn(c, p, at, amrOTP)
		s.codeID = p.Login.Code.ID
		if p.Login.Code.Purpose != storage.PurposeSignIn {
			s.Purpose = p.Login.Code.Purpose
		}
		return s, err
	}
	if !at.Password {
		return nil, nil
	}
	if p.Locked(seen) {
		return nil, wrap("verify password", a.passwords.DecoyVerify(ctx, at.Secret))
	}
	ok, upgrade, err := a.passwords.Verify(ctx, p.Login.PasswordHash, at.Secret)
	if err != nil && !errors.Is(err, ErrHashRefused) { // a hash that is refused matches nothing
		return nil, fmt.Errorf("verify password: %w", err)
	}
	if !ok || c.Refusal(&p, seen) != "" {
		return nil, nil
	}
	s, err := a.newSignIn(c, p, at, amrPassword)
	if upgrade && err == nil {
		// A better hash that finds no turn now can wait for the next sign-in.
		if s.newHash, err = a.passwords.Hash(ctx, at.Secret); errors.Is(err, ErrBusy) {
			err = nil
		}
		err = wrap("upgrade password hash", err)
	}
	return s, err
}

// newSignIn returns a verified attempt. Tokens name the source that it came
// from, so a new one has its id before it is known.
func (a *Authenticator) newSignIn(c *storage.Client, p storage.Principal, at Attempt, amr string) (*SignIn, error) {
	s := &SignIn{
		Principal: p, AMR: amr, action: actionSignIn, refusal: ErrCredentials, clientID: c.ID,
		address: shown(at.Source.Unmap()), source: p.Source,
	}
	if p.Source.ID != "" || p.Key.Source == "" {
		return s, nil
	}
	id, err := storage.NewID(a.rand, "src_")
	s.source = storage.Source{ID: id, Address: p.Key.Source}
	return s, err
}

// refused counts a failure and returns ErrCredentials.
func (a *Authenticator) refused(ctx context.Context, c *storage.Client, p storage.Principal, at Attempt, seen time.Time) error {
	n := a.noteOf(c, &p, at, "wrong_credentials")
	reason := c.Refusal(&p, seen)
	if at.OTP && !at.Password {
		reason = c.CodeRefusal(&p, seen)
	}
	n.outcome = cmp.Or(reason, n.outcome) // why the gate is closed, if it is
	next := a.failed(&p, seen, func(p *storage.Principal) lockout.Guess {
		return lockout.Guess{Password: at.Password, Code: at.OTP, CodeLive: c.CodeLive(p, a.now())}
	})
	if err := a.write(ctx, p, n, next); err != nil {
		return err
	}
	return ErrCredentials
}

// noteOf is what an audit event says of an attempt that did not succeed.
func (a *Authenticator) noteOf(c *storage.Client, p *storage.Principal, at Attempt, outcome string) note {
	return note{
		action: actionSignIn, outcome: outcome, clientID: c.ID,
		factor: a.likelyFactor(c, p), source: shown(at.Source.Unmap()),
	}
}

// usable tells why a right permanent password is not good enough any more.
func (a *Authenticator) usable(ctx context.Context, s *SignIn, password string) error {
	if s.AMR != amrPassword {
		return nil
	}
	rules := s.Principal.Rules
	if rules.MaxAge > 0 && !a.now().Before(s.Principal.Login.PasswordSetAt.Add(rules.MaxAge)) {
		a.RecordOutcome(ctx, s, "password_expired")
		return ErrPasswordExpired
	}
	if err := CheckPassword(rules, password); err != nil {
		a.RecordOutcome(ctx, s, insecurePassword)
		return err
	}
	return nil
}

// Settle lets a verified sign-in take effect and begins the refresh family, if
// any; its source is known from then on. If the login was locked or disabled or
// the code used meanwhile, nothing takes effect and Settle returns
// ErrCredentials.
func (a *Authenticator) Settle(ctx context.Context, s *SignIn, family *storage.TokenFamily) error {
	outcome, err := "success", a.settle(ctx, a.settlement(s, family))
	if errors.Is(err, storage.ErrRefused) {
		outcome, err = "overtaken", s.refusal
	} else if err != nil {
		outcome, err = notSettled, fmt.Errorf("settle sign-in: %w", err)
	}
	a.RecordOutcome(ctx, s, outcome)
	return err
}

// Abandon records that a verified sign-in is not settled, because no token can
// be issued. Everything that fails between Verify and Settle is recorded, here or
// with a reason of its own: otherwise credentials could be tried unseen.
func (a *Authenticator) Abandon(ctx context.Context, s *SignIn) { a.RecordOutcome(ctx, s, notSettled) }

func (a *Authenticator) settlement(s *SignIn, family *storage.TokenFamily) storage.Settlement {
	p, now := &s.Principal, a.now()
	x := storage.Settlement{
		LoginID: p.Login.ID, SourceID: p.Source.ID, CodeID: s.codeID,
		NewHash: s.newHash, OldHash: p.Login.PasswordHash,
		PasswordSetAt: p.Login.PasswordSetAt, Resumed: s.resumed, BeginFamily: family, Now: now,
	}
	if s.source.Address != "" && !s.resumed && worthRemembering(p, now) {
		x.Remember = &storage.Source{ID: s.source.ID, Address: s.source.Address, SeenAt: now}
	}
	return x
}

// RecordOutcome records how a verified sign-in ended.
func (a *Authenticator) RecordOutcome(ctx context.Context, s *SignIn, outcome string) {
	a.record(ctx, &s.Principal, note{action: s.action, outcome: outcome, clientID: s.clientID, factor: s.AMR, source: s.address})
}

// RecordEvent records an event of a user that is no attempt of its own.
func (a *Authenticator) RecordEvent(ctx context.Context, p *storage.Principal, clientID, action, outcome string) {
	a.record(ctx, p, note{action: action, outcome: outcome, clientID: clientID})
}

// SourceID names where the sign-in came from, for tokens that are made of it to
// say; empty: nobody knows.
func (s *SignIn) SourceID() string { return s.source.ID }

// Refusal is the error of a verified sign-in that is refused after all.
func (s *SignIn) Refusal() error { return s.refusal }

// Resume returns a sign-in that took effect before and is to begin a refresh family
// now. Settle refuses it with the error refusal if the login was locked or disabled
// meanwhile, or its password changed; it forgives no failures, for nothing was
// proven again. sourceID is of the source that the user signed in from; it may be
// empty.
func Resume(c *storage.Client, p storage.Principal, amr []string, sourceID string, refusal error) *SignIn {
	return &SignIn{
		Principal: p, AMR: strings.Join(amr, " "), clientID: c.ID,
		action: "account.chosen", refusal: refusal, resumed: true,
		source: storage.Source{ID: sourceID},
	}
}
