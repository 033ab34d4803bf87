package kit

import (
	"context"
	"database/sql"
	"net/http"
	"strings"
	"testing"
)

// Outage is a OneServer that is prepared for an outage of its database. Its logins have nine
// failures, one less than the limit. One login has a code, one a session. Each login is for
// requests of one kind, because requests of one login wait for each other.
type Outage struct {
	*OneServer
	Code              string
	Session           TokenPair
	ClientCredentials func() Response // requests a token by client credentials
}

// RevokeThrough revokes a token as a client.
func (n *Server) RevokeThrough(clientID, token string) Response {
	return n.Form("/oauth/revoke", append(ClientFields(clientID), "token", token)...)
}

// MustBeUnavailable fails the test unless the response is 503 with Retry-After and an
// error that does not blame the request.
func MustBeUnavailable(t *testing.T, what string, got Response) {
	t.Helper()
	oauth := strings.HasPrefix(got.Body, `{"error":"temporarily_unavailable",`)
	vendor := strings.HasPrefix(got.Body, `{"Errors":[{"ErrorCode":`)
	if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || !oauth && !vendor {
		t.Errorf("%s: got %d, Retry-After %q: %s; want 503", what, got.Status, got.Header.Get("Retry-After"), got.Body)
	}
	for _, hint := range []string{"invalid_grant", "postgres", "sql", "SQL", "dial", "connect", ".db", "database"} {
		if strings.Contains(got.Body, hint) {
			t.Errorf("%s: got %q in %s, want it hidden", what, hint, got.Body)
		}
	}
}

// TurnReadOnly makes a PostgreSQL database read-only (state "on") or not ("off"), and ends
// its connections.
func (b *Outage) TurnReadOnly(t *testing.T, name, state string) {
	t.Helper()
	conn, err := b.DB.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over or goes on without it
	for _, statement := range []string{
		"SET default_transaction_read_only = off",
		"ALTER DATABASE " + name + " SET default_transaction_read_only = " + state,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "' AND pid <> pg_backend_pid()",
	} {
		if _, err := conn.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	b.DB.SetMaxIdleConns(0) // drop the connections that the statement has ended
	b.DB.SetMaxIdleConns(2)
	if err := conn.Raw(func(any) error { return sql.ErrConnDone }); err == nil {
		t.Fatal("the connection was not closed")
	}
}
