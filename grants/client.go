package grants

import (
	"errors"
	"fmt"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// The grant types of this package's handlers: four of RFC 6749, our own, and that of
// RFC 8693.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantPassword          = "password"
	GrantClientCredentials = "client_credentials"
	GrantRefreshToken      = "refresh_token"
	GrantAccountMember     = "urn:latchkey:params:oauth:grant-type:account-member"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// GrantImplicit lets a client get tokens for itself by its id alone. It is Elastic Path's
// implicit grant, not that of RFC 6749 §4.2.
const GrantImplicit = "implicit"

// GrantTypes returns all grant types that a client can have.
func GrantTypes() []string {
	return []string{
		GrantAuthorizationCode, GrantPassword, GrantClientCredentials, GrantRefreshToken, GrantAccountMember, GrantTokenExchange, GrantImplicit,
	}
}

// Client is a storage.Client as fosite needs it. Its policy decides who may sign in and
// which roles a token may carry. The clients of a fosite server must be a Client, or a type
// that embeds one, only if NewTokenEndpoint gets no ClientStore.
type Client struct{ *storage.Client }

var _ fosite.Client = Client{}

// GetID implements fosite.Client.
func (c Client) GetID() string { return c.ID }

// GetHashedSecret implements fosite.Client. It returns nil, because MatchClientSecret
// compares secrets, not fosite's hasher.
func (c Client) GetHashedSecret() []byte { return nil }

// GetRedirectURIs implements fosite.Client.
func (c Client) GetRedirectURIs() []string { return c.RedirectURIs }

// GetGrantTypes implements fosite.Client.
func (c Client) GetGrantTypes() fosite.Arguments { return c.GrantTypes }

// GetResponseTypes implements fosite.Client.
func (c Client) GetResponseTypes() fosite.Arguments { return nil }

// GetScopes implements fosite.Client.
func (c Client) GetScopes() fosite.Arguments { return c.MaximumRoles }

// IsPublic implements fosite.Client. A client does not become public when it loses its
// last secret.
func (c Client) IsPublic() bool { return c.Public }

// GetAudience implements fosite.Client.
func (c Client) GetAudience() fosite.Arguments { return nil }

// Policy returns the record that says who may sign in and which roles a token may carry.
func (c Client) Policy() *storage.Client { return c.Client }

// clientOf returns the policy of the request's client: its own, or that of the store of
// the TokenEndpoint. If there is none, it returns a server error.
func clientOf(r fosite.Requester, s *Session) (*storage.Client, error) {
	if c, ok := r.GetClient().(interface{ Policy() *storage.Client }); ok && c.Policy() != nil {
		return c.Policy(), nil
	}
	if s.policy != nil {
		return s.policy, nil
	}
	if s.policyOf == nil {
		return nil, fosite.ErrServerError.WithWrap(fmt.Errorf("client %q of type %T carries no policy, and NewTokenEndpoint was given no ClientStore", r.GetClient().GetID(), r.GetClient()))
	}
	c, err := s.policyOf(r.GetClient().GetID())
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fosite.ErrUnauthorizedClient.WithWrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read client: %w", err)
	}
	s.policy = &c
	return s.policy, nil
}
