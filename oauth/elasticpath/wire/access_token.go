package wire

// AccessToken is the answer of /oauth/access_token. It has no envelope.
type AccessToken struct {
	Expires     int64  `json:"expires"`    // Unix time in seconds
	Identifier  string `json:"identifier"` // the grant type
	ExpiresIn   int64  `json:"expires_in"` // seconds
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
}
