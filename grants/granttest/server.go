package granttest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/grants/statestore"
	"latchkey/otp"
	"latchkey/storage"
)

// The credentials of the user.
const (
	username = "jane"
	address  = "jane@example.com" // Jane's second name
	password = "correct-Horse-7-battery"
	codeText = "8BM3SYBG"
)

// errDown is the error of a store or a signer that fails.
var errDown = errors.New("down")

// replica is one server over the store.
type replica struct {
	store    *statestore.Store
	codes    *otp.Codes
	password *grants.Password
	refresh  *grants.Refresh
	page     *grants.AuthorizeHandler
	exchange *grants.AuthorizationCode
	client   *storage.Client
	clock    *clock
	hashes   *atomic.Int64 // number of compared guesses, of all replicas
	mintErr  error
}

// clock is the time of all replicas: the present, plus the time that a test has advanced. A
// store may compare Change.Until with its own clock.
type clock struct {
	mu       sync.Mutex
	advanced time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().UTC().Add(c.advanced)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advanced += d
}

// newReplicas returns two servers over one store. Jane is their only user.
func newReplicas(states statestore.States) ([2]*replica, error) {
	shared := new(clock)
	var hashes atomic.Int64
	var both [2]*replica
	for i := range both {
		r := &replica{clock: shared, hashes: &hashes, codes: otp.NewCodes(digester{})}
		var err error
		if r.store, err = statestore.New(statestore.Config{States: states, User: findUser, Now: shared.Now}); err != nil {
			return both, err
		}
		r.client = &storage.Client{
			ID: "shop", Active: true, AllowAnyBuyer: true, GrantTypes: []string{grants.GrantPassword, grants.GrantRefreshToken, grants.GrantAuthorizationCode},
			Credentials: storage.Credentials{OTP: true, Password: true}, RefreshTokenTTL: 24 * time.Hour,
		}
		authenticator, err := signin.NewAuthenticator(signin.AuthenticatorConfig{
			Store: r.store, Codes: r.codes, Passwords: r, Now: shared.Now,
		})
		if err != nil {
			return both, err
		}
		tokens := &grants.RefreshTokens{Peppers: digester{}, Rand: rand.Reader}
		r.password = &grants.Password{Authenticator: authenticator, AccessTokens: r, RefreshTokens: tokens, Now: shared.Now}
		r.refresh = &grants.Refresh{
			Families: r.store, AccessTokens: r, RefreshTokens: tokens, Grace: 10 * time.Second,
			Recorder: storage.DiscardEvents{}, Now: shared.Now,
		}
		codes := &grants.AuthorizationCodes{Digests: digester{}, Rand: rand.Reader}
		r.page = &grants.AuthorizeHandler{
			Issuer: "https://id.example", Clients: r, Authenticator: authenticator, Codes: codes, Rand: rand.Reader, Now: shared.Now,
		}
		r.exchange = &grants.AuthorizationCode{
			Store: r.store, Codes: codes, AccessTokens: r, RefreshTokens: tokens, Recorder: storage.DiscardEvents{}, Now: shared.Now,
		}
		both[i] = r
	}
	return both, nil
}

func findUser(_ context.Context, name string) (statestore.User, error) {
	if name != username && name != address {
		return statestore.User{}, storage.ErrNotFound
	}
	return statestore.User{ID: "usr_1", Name: username, Email: address, PasswordHash: password, Roles: []string{"Shopper"}}, nil
}

// issueCode gives Jane a new code.
func (r *replica) issueCode(ctx context.Context) error {
	id, err := storage.NewID(rand.Reader, "otc_")
	if err != nil {
		return err
	}
	now := r.clock.Now()
	code := storage.Code{ID: id, ClientID: r.client.ID, Purpose: storage.PurposeSignIn, IssuedAt: now, ExpiresAt: now.Add(10 * time.Minute)}
	r.codes.SetDigests(&code, &storage.Login{ID: username, UsernameKey: username}, codeText)
	return r.store.IssueCode(ctx, username, code)
}

// signIn sends a password grant and returns the refresh token.
func (r *replica) signIn(ctx context.Context, name, secret string) (string, error) {
	return r.post(ctx, r.password, url.Values{"grant_type": {grants.GrantPassword}, "username": {name}, "password": {secret}})
}

// use sends a refresh token grant and returns the next refresh token.
func (r *replica) use(ctx context.Context, token string) (string, error) {
	return r.post(ctx, r.refresh, url.Values{"grant_type": {grants.GrantRefreshToken}, "refresh_token": {token}})
}

// post runs both phases of a grant, as fosite does.
func (r *replica) post(ctx context.Context, h fosite.TokenEndpointHandler, form url.Values) (string, error) {
	request := fosite.NewAccessRequest(&grants.Session{})
	request.Client, request.Form, request.GrantTypes = grants.Client{Client: r.client}, form, fosite.Arguments{form.Get("grant_type")}
	if err := h.HandleTokenEndpointRequest(ctx, request); err != nil {
		return "", err
	}
	response := fosite.NewAccessResponse()
	if err := h.PopulateTokenEndpointResponse(ctx, request, response); err != nil {
		return "", err
	}
	token, _ := response.GetExtra("refresh_token").(string)
	return token, nil
}

// Client implements grants.ClientStore.
func (r *replica) Client(context.Context, string) (storage.Client, error) { return *r.client, nil }

// Mint implements grants.AccessTokens.
func (r *replica) Mint(context.Context, grants.AccessToken) (string, error) {
	return "token", r.mintErr
}

// Verify implements signin.PasswordVerifier. The hash of a password is the password.
func (r *replica) Verify(_ context.Context, encoded, presented string) (ok, upgrade bool, err error) {
	r.hashes.Add(1)
	return encoded != "" && encoded == presented, false, nil
}

// Hash implements signin.PasswordVerifier.
func (r *replica) Hash(_ context.Context, text string) (string, error) { return text, nil }

// DecoyVerify implements signin.PasswordVerifier.
func (r *replica) DecoyVerify(context.Context, string) error { return nil }

// digester implements otp.Digester and grants.MACer under a fixed key.
type digester struct{}

func (digester) Digest(purpose string, parts ...string) storage.Digest {
	mac, _ := digester{}.MAC("p", purpose, []byte(fmt.Sprintf("%q", parts)))
	return storage.Digest{PepperID: "p", Sum: mac}
}

func (d digester) Matches(want storage.Digest, purpose string, parts ...string) bool {
	return hmac.Equal(want.Sum, d.Digest(purpose, parts...).Sum)
}

func (digester) MAC(_, purpose string, data []byte) ([]byte, bool) {
	mac := hmac.New(sha256.New, []byte("granttest"))
	mac.Write([]byte(purpose))
	mac.Write([]byte{0})
	mac.Write(data)
	return mac.Sum(nil), true
}

func (digester) CurrentID() string { return "p" }

// slowStore is a store with network latency: other requests run between a load and the swap
// that follows it.
type slowStore struct {
	statestore.States
	failSwaps atomic.Bool
}

// Load implements statestore.States.
func (d *slowStore) Load(ctx context.Context, key string) ([]byte, error) {
	value, err := d.States.Load(ctx, key)
	time.Sleep(2 * time.Millisecond)
	return value, err
}

// Swap implements statestore.States. While failSwaps is set, it fails and writes nothing.
func (d *slowStore) Swap(ctx context.Context, changes ...statestore.Change) error {
	if d.failSwaps.Load() {
		return errDown
	}
	return d.States.Swap(ctx, changes...)
}

// concurrently runs f n times at the same time and returns the errors, in order.
func concurrently(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	running.Wait()
	return errs
}

// tally counts the successes and the errors that wrap want. It joins the other errors.
func tally(errs []error, want error) (succeeded, refused int, other error) {
	for _, err := range errs {
		switch {
		case err == nil:
			succeeded++
		case errors.Is(err, want):
			refused++
		default:
			other = errors.Join(other, err)
		}
	}
	return succeeded, refused, other
}

// errorText returns the text of an error for a report. It also describes a nil error.
func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// text returns the value of a counter.
func text(n int) []byte {
	return []byte(fmt.Sprintf(`{"n":%d,"pad":"%s"}`, n, strings.Repeat("é", 3)))
}
