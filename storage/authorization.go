package storage

import "time"

// Authorization is one authorization code (RFC 6749 §4.1) with what was requested and
// who signed in. The code itself is not stored.
type Authorization struct {
	ID          string // the part of the code that is looked up
	Secret      Digest // of the other part
	ClientID    string
	SessionID   string
	UserUID     string
	LoginID     string
	SourceID    string   // the known source that the sign-in came from; empty: unknown
	AccountUID  string   // that the user chose; empty: there was no choice
	RedirectURI string   // as requested; empty: the request named none
	Scope       []string // as requested and allowed
	Resources   []string // as requested (RFC 8707)
	Nonce       string
	Challenge   string // PKCE, of the method S256 (RFC 7636 §4.2)
	JKT         string // thumbprint of the key that the code is bound to (RFC 9449 §10); empty: none
	AMR         []string
	Purpose     Purpose
	AuthTime    time.Time

	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero: not used
	FamilyID  string    // of the tokens that it was used for
}

// AuthorizationState is an authorization with the current state of its user.
type AuthorizationState struct {
	Authorization Authorization
	SessionEnded  bool // the session was ended, or is not known
	Principal     Principal
	Member        *Member // membership in AccountUID; nil: no account, or not a member any more
}

// AuthorizationUse redeems an authorization code, in one transaction: the code is used
// and the token family begins. The store refuses it with ErrRefused if the code was used
// or has expired, or its session was ended, at that moment.
type AuthorizationUse struct {
	ID     string
	Family *TokenFamily
	Now    time.Time
}

// Consent is what a user allowed a third-party client.
type Consent struct {
	UserUID   string
	ClientID  string
	Scope     []string
	GrantedAt time.Time
}
