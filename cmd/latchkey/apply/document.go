package apply

import (
	elasticpathwire "latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/ordercloud/wire"
)

// Document is the content of a file.
type Document struct {
	Realms           []Realm `json:"authentication_realms"`
	SecurityProfiles []SecurityProfile
	Buyers           []Buyer
	Suppliers        []Supplier
	AdminUsers       []User
	ApiClients       []ApiClient
	MessageSenders   []MessageSender
	Memberships      []Membership `json:"account_memberships"`
}

// SecurityProfile is a security profile with its assignments.
type SecurityProfile struct {
	wire.SecurityProfile
	Assignments []wire.SecurityProfileAssignment
}

// Buyer is a buyer with its users.
type Buyer struct {
	wire.Buyer
	Users []User
}

// Supplier is a supplier with its users.
type Supplier struct {
	wire.Supplier
	Users []User
}

// User is a user with its password and the language of its mail. The password is
// plain text, or a hash that signin.CheckEncoded accepts.
type User struct {
	wire.User
	PasswordFile     *string // a file that holds the Password
	PasswordHash     *string // instead of Password: argon2id, bcrypt or PBKDF2; stored for a user without a password
	PasswordHashFile *string // a file that holds the PasswordHash
	Locale           string  // such as de-AT; default: that of the server
}

// ApiClient is an API client with its assignments.
type ApiClient struct {
	wire.ApiClient
	ClientSecretFile *string                    // a file that holds the ClientSecret
	Public           *bool                      // false: a client without a secret is confidential, and gets one by "client secret add"; default: a new client without a secret is public
	Roles            []string                   // of a client that acts for itself; absent: the stored ones
	Assignments      []wire.ApiClientAssignment // the buyers and suppliers whose users sign in; absent: the stored ones
}

// MessageSender is a message sender with its assignments.
type MessageSender struct {
	wire.MessageSender
	SMTP               *SMTP   // of kind smtp
	SharedKeyFile      *string // a file that holds the SharedKey
	SigningSecretsFile *string // a file with one of the SigningSecrets on each line
	Assignments        []wire.MessageSenderAssignment
}

// SMTP is the mail server of a message sender.
type SMTP struct {
	wire.SMTP
	PasswordFile *string // a file that holds the Password
}

// Realm is an authentication realm in the words of /v2.
type Realm struct {
	ID               string            `json:"id"` // default: made from the name
	Type             *string           `json:"type"`
	Name             *string           `json:"name"`
	PasswordProfiles []PasswordProfile `json:"password_profiles"`
}

// PasswordProfile is a password profile in the words of /v2. Missing members keep the
// stored value.
type PasswordProfile struct {
	ID string `json:"id"`
	elasticpathwire.ProfileBody
}

// Membership is an account membership in the words of /v2. The member is a
// user of that account, a user whose ID occurs once in the document, or
// "account/user".
type Membership struct {
	Type      *string  `json:"type"`
	AccountID string   `json:"account_id"`        // ID of a buyer or supplier
	MemberID  string   `json:"account_member_id"` // ID of a user, or "account/user"
	Roles     []string `json:"roles"`             // that the user has in this account
}
