package kit

import (
	"context"
	"database/sql"
	"net/http"
	"strings"
	"testing"
)

// Outage is an arena before the outage of its database: logins with nine
// failures, one short of the lock. One of them has a code, one a session. Each
// is for requests of one kind, since those of one login wait for each other.
type Outage struct {
	*OneServer
	Code              string
	Session           TokenPair
	ClientCredentials func() Response // asks for a token of a client's own
}

func (n *Server) RevokeThrough(clientID, token string) Response {
	return n.Form("/oauth/revoke", append(ClientFields(clientID), "token", token)...)
}

// MustBeUnavailable fails the test unless the answer is 503, says when to come back
// and blames nobody.
func MustBeUnavailable(t *testing.T, what string, got Response) {
	t.Helper()
	oauth := strings.HasPrefix(got.Body, `{"error":"temporarily_unavailable",`)
	vendor := strings.HasPrefix(got.Body, `{"Errors":[{"ErrorCode":`)
	if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || !oauth && !vendor {
		t.Errorf("%s: %d, Retry-After %q: %s; want 503", what, got.Status, got.Header.Get("Retry-After"), got.Body)
	}
	for _, hint := range []string{"invalid_grant", "postgres", "sql", "SQL", "dial", "connect", ".db", "database"} {
		if strings.Contains(got.Body, hint) {
			t.Errorf("%s: the answer tells of %q: %s", what, hint, got.Body)
		}
	}
}

// TurnReadOnly lets every new connection write or not, and ends the old ones.
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
	if err := conn.Raw(func(any) error { return sql.ErrConnDone }); err == nil {
		t.Fatal("the connection was not given up")
	}
}
