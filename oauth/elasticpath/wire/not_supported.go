package wire

// OIDCProfile is an OpenID Connect provider that members of a realm sign in with.
// This server has none.
type OIDCProfile struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Name string `json:"name"`
}

// OIDCLogin is a subject of an OpenID Connect provider. This server has none.
type OIDCLogin struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// AccountTag is a label for accounts. This server has none.
type AccountTag struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Name string `json:"name"`
}
