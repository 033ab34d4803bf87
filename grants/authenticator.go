package grants

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

// SignInStore is what an Authenticator asks of a store.
type SignInStore interface {
	// Principal reads a login by what was typed. A name that nobody has is not
	// an error: it has a lockout state like any other.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	// RecordFailure writes the next lockout state unless the one in p is
	// outdated (storage.ErrStale).
	RecordFailure(ctx context.Context, p storage.Principal, next storage.Lockout) error
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
}

// AuthenticatorConfig configures an Authenticator. Store, Codes and Passwords
// are required.
type AuthenticatorConfig struct {
	Store     SignInStore
	Codes     CodeMatcher
	Passwords PasswordVerifier
	Recorder  storage.Recorder // default: discards
	Now       func() time.Time // default: time.Now
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
		return nil, errors.New("grants: an Authenticator needs Store, Codes and Passwords")
	}
	return &Authenticator{
		attempts: newAttempts(cfg.Store, cfg.Recorder, cfg.Now),
		settle:   cfg.Store.SettleLogin, codes: cfg.Codes, passwords: cfg.Passwords,
	}, nil
}

// Attempt is what somebody presents to sign in.
type Attempt struct {
	ProfileID string // the password profile of the login
	Username  string // as typed
	Secret    string
	OTP       bool              // the secret may be a one-time password
	Password  bool              // the secret may be the permanent password
	Purposes  []storage.Purpose // what the one-time password may have been asked for; none: no code will do
}

// SignIn is a verified attempt that has not taken effect yet; see Settle.
type SignIn struct {
	Principal storage.Principal
	AMR       string // RFC 8176: "otp" or "pwd"
	action    string // of the audit event
	clientID  string
	refusal   error  // if it is overtaken
	codeID    string // empty: no code was presented
	newHash   string
	resumed   bool // no credential was presented
}

// Verify checks the secret, a one-time password first and then the permanent
// password, as far as both the attempt and the client allow each. A wrong
// attempt is counted before Verify returns ErrCredentials; a right one changes
// nothing until Settle. Every refusal costs the same: the same reads, one hash
// if passwords are allowed, one write.
//
// The right permanent password may be too old, or have become too weak for the
// rules: then nothing is counted and nothing can be settled, and the error is
// ErrPasswordExpired or a *RuleError. Nobody else sees those.
//
// Other errors, among them ErrBusy and storage.ErrUnavailable, mean that nothing
// was decided. They count as a failure only for a login that has a live code:
// see undecided.
func (a *Authenticator) Verify(ctx context.Context, c *storage.Client, at Attempt) (*SignIn, error) {
	at.OTP = at.OTP && c.Credentials.OTP
	at.Password = at.Password && c.Credentials.Password
	key := storage.LoginKey{ProfileID: at.ProfileID, UsernameKey: otp.NormalizeUsername(at.Username)}
	turn, p, err := a.takeTurn(ctx, key)
	if err != nil {
		return nil, err
	}
	defer turn.leave()
	s, err := a.check(ctx, c, p, at)
	if err != nil {
		return nil, a.undecided(ctx, c, p, at, err)
	}
	if s == nil {
		return nil, a.refused(ctx, c, p)
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
func (a *Authenticator) undecided(ctx context.Context, c *storage.Client, p storage.Principal, at Attempt, cause error) error {
	if !at.OTP {
		return cause
	}
	next := func(p storage.Principal) storage.Lockout { return p.Lockout }
	if p.Login.Code.Live(a.now()) {
		next = a.failure
	}
	n := note{action: actionSignIn, outcome: "undecided", clientID: c.ID, factor: a.likelyFactor(&p)}
	if err := a.write(ctx, p, n, next); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// What audit events say of sign-ins.
const (
	actionSignIn      = "sign_in"
	insufficientRoles = "insufficient_roles"
	notAMember        = "not_a_member"
)

// likelyFactor is what a wrong secret was probably meant to be: with a code on
// its way, that is the likelier thing to have been mistyped or guessed.
func (a *Authenticator) likelyFactor(p *storage.Principal) string {
	if p.Login.Code.Live(a.now()) {
		return amrOTP
	}
	return ""
}

// The authentication methods of RFC 8176 §2.
const (
	amrOTP      = "otp"
	amrPassword = "pwd"
)

// check verifies the secret and asks the gate; nil means refused. A right code
// at a closed gate goes on to the password hash like any wrong one, so that
// time does not tell that it was right.
func (a *Authenticator) check(ctx context.Context, c *storage.Client, p storage.Principal, at Attempt) (*SignIn, error) {
	open := c.Refusal(&p, a.now()) == ""
	isCode := a.codes.Match(p, c.ID, at.Purposes, at.Secret, a.now())
	if isCode && open && at.OTP {
		s := newSignIn(c, p, amrOTP)
		s.codeID = p.Login.Code.ID
		return s, nil
	}
	if !at.Password {
		return nil, nil
	}
	ok, upgrade, err := a.passwords.Verify(ctx, p.Login.PasswordHash, at.Secret)
	if err != nil && !errors.Is(err, ErrHashRefused) { // a hash that is refused matches nothing
		return nil, fmt.Errorf("verify password: %w", err)
	}
	if !ok || !open {
		return nil, nil
	}
	s := newSignIn(c, p, amrPassword)
	if upgrade {
		// A better hash that finds no turn now can wait for the next sign-in.
		if s.newHash, err = a.passwords.Hash(ctx, at.Secret); err != nil && !errors.Is(err, ErrBusy) {
			return nil, fmt.Errorf("upgrade password hash: %w", err)
		}
	}
	return s, nil
}

func newSignIn(c *storage.Client, p storage.Principal, amr string) *SignIn {
	return &SignIn{Principal: p, AMR: amr, action: actionSignIn, refusal: ErrCredentials, clientID: c.ID}
}

// refused counts a failure and returns ErrCredentials.
func (a *Authenticator) refused(ctx context.Context, c *storage.Client, p storage.Principal) error {
	n := note{action: actionSignIn, outcome: "wrong_credentials", clientID: c.ID, factor: a.likelyFactor(&p)}
	if err := a.refuse(ctx, c, p, n); err != nil {
		return err
	}
	return ErrCredentials
}

// usable tells why a right permanent password is not good enough any more.
func (a *Authenticator) usable(ctx context.Context, s *SignIn, password string) error {
	if s.AMR != amrPassword {
		return nil
	}
	rules := s.Principal.Rules
	if rules.MaxAge > 0 && !a.now().Before(s.Principal.Login.PasswordSetAt.Add(rules.MaxAge)) {
		a.recordOutcome(ctx, s, "password_expired")
		return ErrPasswordExpired
	}
	if err := CheckPassword(rules, password); err != nil {
		a.recordOutcome(ctx, s, "insecure_password")
		return err
	}
	return nil
}

// Settle lets a verified sign-in take effect and begins the refresh family, if
// any. If the login was locked or disabled or the code used meanwhile, nothing
// takes effect and Settle returns ErrCredentials.
func (a *Authenticator) Settle(ctx context.Context, s *SignIn, family *storage.TokenFamily) error {
	outcome, err := "success", a.settle(ctx, storage.Settlement{
		LoginID: s.Principal.Login.ID, CodeID: s.codeID,
		NewHash: s.newHash, OldHash: s.Principal.Login.PasswordHash,
		PasswordSetAt: s.Principal.Login.PasswordSetAt, Resumed: s.resumed, BeginFamily: family, Now: a.now(),
	})
	if errors.Is(err, storage.ErrRefused) {
		outcome, err = "overtaken", s.refusal
	} else if err != nil {
		return fmt.Errorf("settle sign-in: %w", err)
	}
	a.recordOutcome(ctx, s, outcome)
	return err
}

// recordOutcome records how a verified sign-in ended.
func (a *Authenticator) recordOutcome(ctx context.Context, s *SignIn, outcome string) {
	a.record(ctx, &s.Principal, note{action: s.action, outcome: outcome, clientID: s.clientID, factor: s.AMR})
}

// resume is a sign-in that took effect before and is to begin a refresh family
// now. Settle refuses it if the login was locked or disabled meanwhile, or its
// password changed; it forgives no failures, for nothing was proven again.
func resume(c *storage.Client, h *Held) *SignIn {
	s := newSignIn(c, h.Principal, strings.Join(h.AMR, " "))
	s.action, s.refusal, s.resumed = "account.chosen", ErrHeldToken, true
	return s
}
