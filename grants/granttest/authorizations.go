package granttest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/grants/statestore"
	"latchkey/storage"
)

// These are parameters of the client's authorization request.
const (
	redirectURI = "https://app.example/callback"
	verifier    = "a-verifier-of-at-least-forty-three-characters"
)

// authorize signs Jane in at a page and returns the authorization code.
func (r *replica) authorize(ctx context.Context, secret string) (string, error) {
	signIn, err := r.page.Authenticator.Verify(ctx, r.client, signin.Attempt{
		Username: username, Secret: secret, OTP: true, Password: true, Purposes: []storage.Purpose{storage.PurposeSignIn},
	})
	if err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(verifier))
	request := fosite.NewAuthorizeRequest()
	request.Client, request.ResponseTypes, request.Session = grants.Client{Client: r.client}, fosite.Arguments{"code"}, grants.SignedIn(signIn, r.clock.Now())
	request.Form = url.Values{
		"redirect_uri": {redirectURI}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	response := fosite.NewAuthorizeResponse()
	if err := r.page.HandleAuthorizeEndpointRequest(ctx, request, response); err != nil {
		return "", err
	}
	return response.GetCode(), nil
}

// redeem sends an authorization code grant and returns the refresh token.
func (r *replica) redeem(ctx context.Context, code, verifier, redirectURI string) (string, error) {
	return r.post(ctx, r.exchange, url.Values{
		"grant_type": {grants.GrantAuthorizationCode}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {redirectURI},
	})
}

// mustRefuse returns an error unless the authorization code grant is refused.
func mustRefuse(what string, err error) error {
	if errors.Is(err, fosite.ErrInvalidGrant) {
		return nil
	}
	return fmt.Errorf("%s: %s, want invalid_grant", what, errorText(err))
}

// checkAuthorizationOnce redeems codes on two replicas at the same time. The second use ends
// the tokens of the first.
func checkAuthorizationOnce(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(&slowStore{States: s})
	if err != nil {
		return err
	}
	for round := range 3 {
		code, err := both[0].authorize(ctx, password)
		if err != nil {
			return err
		}
		tokens := make([]string, 8)
		errs := concurrently(len(tokens), func(i int) (err error) {
			tokens[i], err = both[i%2].redeem(ctx, code, verifier, redirectURI)
			return err
		})
		if redeemed, _, other := tally(errs, fosite.ErrInvalidGrant); redeemed != 1 || other != nil {
			return fmt.Errorf("round %d: an authorization code was redeemed %d times, want once; other errors: %s", round, redeemed, errorText(other))
		}
		for i, token := range tokens {
			if errs[i] != nil {
				continue
			}
			_, err := both[i%2].use(ctx, token)
			if err := mustRefuse("the refresh token of a code that was used eight times", err); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkWrongVerifier(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(s)
	if err != nil {
		return err
	}
	code, err := both[0].authorize(ctx, password)
	if err != nil {
		return err
	}
	for what, sent := range map[string][2]string{
		"a wrong verifier": {verifier + "x", redirectURI}, "no verifier": {"", redirectURI}, "another redirect URI": {verifier, redirectURI + "/x"},
	} {
		for _, r := range both {
			_, err := r.redeem(ctx, code, sent[0], sent[1])
			if err := mustRefuse("an authorization code with "+what, err); err != nil {
				return err
			}
		}
	}
	token, err := both[1].redeem(ctx, code, verifier, redirectURI)
	if err != nil {
		return fmt.Errorf("an authorization code after wrong uses: %w", err)
	}
	if _, err = both[0].use(ctx, token); err != nil {
		return fmt.Errorf("the refresh token of an authorization code: %w", err)
	}
	return nil
}

// checkSecondUse uses a code again. Only a second use in which everything is right ends the
// tokens.
func checkSecondUse(ctx context.Context, s statestore.States) error {
	both, err := newReplicas(s)
	if err != nil {
		return err
	}
	code, err := both[0].authorize(ctx, password)
	if err != nil {
		return err
	}
	token, err := both[0].redeem(ctx, code, verifier, redirectURI)
	if err != nil {
		return err
	}
	_, err = both[1].redeem(ctx, code, verifier+"x", redirectURI)
	if err := mustRefuse("a used authorization code with a wrong verifier", err); err != nil {
		return err
	}
	if token, err = both[0].use(ctx, token); err != nil {
		return fmt.Errorf("the refresh token after a second use with a wrong verifier: %w", err)
	}
	_, err = both[1].redeem(ctx, code, verifier, redirectURI)
	if err := mustRefuse("a used authorization code", err); err != nil {
		return err
	}
	_, err = both[0].use(ctx, token)
	return mustRefuse("the refresh token after the second use of its authorization code", err)
}

// checkAuthorizationTogether signs in with a one-time password while the store fails. The
// failure must use neither the one-time password nor the authorization code.
func checkAuthorizationTogether(ctx context.Context, s statestore.States) error {
	far := &slowStore{States: s}
	both, err := newReplicas(far)
	if err != nil {
		return err
	}
	if err := both[0].issueCode(ctx); err != nil {
		return err
	}
	far.failSwaps.Store(true)
	if _, err := both[0].authorize(ctx, codeText); !errors.Is(err, storage.ErrUnavailable) {
		return fmt.Errorf("a sign-in at a page while the store cannot write: %s, want storage.ErrUnavailable", errorText(err))
	}
	far.failSwaps.Store(false)
	code, err := both[1].authorize(ctx, codeText)
	if err != nil {
		return fmt.Errorf("the one-time password after a failed write: %w", err)
	}
	if _, err := both[0].authorize(ctx, codeText); !errors.Is(err, signin.ErrCredentials) {
		return fmt.Errorf("a one-time password that was used at a page: %s, want signin.ErrCredentials", errorText(err))
	}
	far.failSwaps.Store(true)
	if _, err := both[0].redeem(ctx, code, verifier, redirectURI); !errors.Is(err, storage.ErrUnavailable) {
		return fmt.Errorf("an authorization code while the store cannot write: %s, want storage.ErrUnavailable", errorText(err))
	}
	far.failSwaps.Store(false)
	token, err := both[0].redeem(ctx, code, verifier, redirectURI)
	if err != nil {
		return fmt.Errorf("the authorization code after a failed write: %w", err)
	}
	if _, err := both[1].use(ctx, token); err != nil {
		return fmt.Errorf("the refresh token of an authorization code: %w", err)
	}
	return nil
}
