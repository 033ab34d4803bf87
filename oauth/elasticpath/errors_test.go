package elasticpath

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"latchkey/grants/signin"
	"latchkey/oauth/token"
	"latchkey/storage"
)

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRefusalOf(t *testing.T) {
	t.Parallel()
	until := testTime.Add(90 * time.Second)
	tests := []struct {
		err    error
		status int
		detail string
		known  bool
	}{
		{errFilter, 400, "Could not parse the supplied filter", true},
		{fmt.Errorf("wrapped: %w", notFound("account")), 404, "account not found", true},
		{fmt.Errorf("x: %w", token.ErrTokenRevoked), 401, "Unauthorized", true},
		{signin.ErrCredentials, 400, "authentication failed", true},
		{&storage.LimitError{Budget: "recipient", Until: until}, 429, "Too many requests. Try again later.", true},
		{fmt.Errorf("x: %w", storage.ErrUnavailable), 503, "The server cannot answer now. Try again.", true},
		{storage.ErrUsernameTaken, 422, "Constraint violation", true},
		{storage.ErrConflict, 409, "The resource exists already or is in use", true},
		{&signin.RuleError{Rules: storage.PasswordRules{MinLength: 8, Digit: true}}, 422, "The password must have at least 8 characters, a digit", true},
		{errors.New("secret detail"), 500, "there was a problem processing your request", false},
	}
	for _, tt := range tests {
		answer, known := refusalOf(tt.err, testTime)
		if answer.status != tt.status || answer.Error() != tt.detail || known != tt.known {
			t.Errorf("%v: got %d %q %v", tt.err, answer.status, answer.Error(), known)
		}
	}
}

func TestWriteRefusal(t *testing.T) {
	t.Parallel()
	r := &refusal{status: 429, details: []string{"a", "b"}, retryAfter: 1500 * time.Millisecond}
	texts, numbers := httptest.NewRecorder(), httptest.NewRecorder()
	r.write(texts, false)
	refuse(401).write(numbers, true)
	if got := texts.Header().Get("Retry-After") + texts.Header().Get("Cache-Control"); got != "2no-store" {
		t.Error(got)
	}
	const want = `{"errors":[{"title":"Too Many Requests","status":"429","detail":"a"},{"title":"Too Many Requests","status":"429","detail":"b"}]}`
	if got := texts.Body.String(); got != want {
		t.Error(got)
	}
	if got := numbers.Body.String(); got != `{"errors":[{"title":"Unauthorized","status":401}]}` {
		t.Error(got)
	}
}
