package wire

// Error is one entry of the body of a refusal.
type Error struct {
	Title  string `json:"title"`
	Status string `json:"status"` // the HTTP status in decimal
	Detail string `json:"detail,omitempty"`
}

// IntegrationError is Error in the refusals of integrations: its status is a number.
type IntegrationError struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// ErrorBody is the body of a refusal.
type ErrorBody[E Error | IntegrationError] struct {
	Errors []E `json:"errors"`
}
