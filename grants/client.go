package grants

import (
	"fmt"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// The grant types that this package handles: those of RFC 6749, our own and
// that of RFC 8693.
const (
	GrantPassword          = "password"
	GrantClientCredentials = "client_credentials"
	GrantRefreshToken      = "refresh_token"
	GrantAccountMember     = "urn:latchkey:params:oauth:grant-type:account-member"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// GrantImplicit lets a client have tokens of its own by its id alone (Elastic
// Path's implicit tokens, which have nothing in common with RFC 6749 §4.2).
const GrantImplicit = "implicit"

// GrantTypes returns all grant types that a client may be given.
func GrantTypes() []string {
	return []string{
		GrantPassword, GrantClientCredentials, GrantRefreshToken, GrantAccountMember, GrantTokenExchange, GrantImplicit,
	}
}

// Client presents a storage.Client to fosite. The handlers of this package need
// one, or a client that embeds one, to have a secret of fosite's kind say: its
// policy decides who may sign in and what a token may carry.
type Client struct{ *storage.Client }

var _ fosite.Client = Client{}

// GetID implements fosite.Client.
func (c Client) GetID() string { return c.ID }

// GetHashedSecret implements fosite.Client. Secrets are matched by
// MatchClientSecret, never by fosite's hasher.
func (c Client) GetHashedSecret() []byte { return nil }

// GetRedirectURIs implements fosite.Client.
func (c Client) GetRedirectURIs() []string { return nil }

// GetGrantTypes implements fosite.Client.
func (c Client) GetGrantTypes() fosite.Arguments { return c.GrantTypes }

// GetResponseTypes implements fosite.Client.
func (c Client) GetResponseTypes() fosite.Arguments { return nil }

// GetScopes implements fosite.Client.
func (c Client) GetScopes() fosite.Arguments { return c.MaximumRoles }

// IsPublic implements fosite.Client. A client that has a secret is not public,
// and does not become so again by losing it.
func (c Client) IsPublic() bool { return c.Public }

// GetAudience implements fosite.Client.
func (c Client) GetAudience() fosite.Arguments { return nil }

// Policy returns who the client's users are and what its tokens may carry.
func (c Client) Policy() *storage.Client { return c.Client }

// clientOf returns the policy of the request's client, which has the method
// Policy as Client has: a server whose clients are more embeds one.
func clientOf(r fosite.Requester) (*storage.Client, error) {
	if c, ok := r.GetClient().(interface{ Policy() *storage.Client }); ok && c.Policy() != nil {
		return c.Policy(), nil
	}
	return nil, fosite.ErrServerError.WithWrap(fmt.Errorf("client of type %T carries no policy", r.GetClient()))
}
