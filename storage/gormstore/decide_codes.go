package gormstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"latchkey/storage"
)

type requestRow struct {
	ID        string `gorm:"column:id" list:"ID"`
	Type      string `gorm:"column:type" list:"Type"`
	ClientID  string `gorm:"column:client_id" list:"ClientID"`
	ProfileID string `gorm:"column:profile_id" list:"ProfileID"`
	Username  string `gorm:"column:username" list:"Username"`
	Email     string `gorm:"column:email" list:"Email"`
	Phone     string `gorm:"column:phone"`
	UserUID   string `gorm:"column:user_uid" list:"UserUID"`
	Purpose   string `gorm:"column:purpose" list:"Purpose"`
	Binding   string `gorm:"column:binding"`
	SessionID string `gorm:"column:session_id"`
	URL       string `gorm:"column:url"`
	TraceID   string `gorm:"column:trace_id" list:"TraceID"`
	Source    string `gorm:"column:source" list:"Source"`
	CreatedAt int64  `gorm:"column:created_at" list:"CreatedAt,time"`
	ExpiresAt int64  `gorm:"column:expires_at" list:"ExpiresAt,time"`
}

// waitingRow is a new request. Its server may have leased it already.
type waitingRow struct {
	Request    requestRow `gorm:"embedded"`
	LeaseUntil int64      `gorm:"column:lease_until"`
	LeaseOwner string     `gorm:"column:lease_owner"`
	EndedAt    int64      `gorm:"column:ended_at"`
}

func (*waitingRow) TableName() string { return "code_requests" }

func requestRowOf(r storage.CodeRequest) requestRow {
	return requestRow{
		ID: r.ID, Type: string(r.Type), ClientID: r.ClientID, ProfileID: r.ProfileID,
		Username: r.Username, Email: r.Email, Phone: r.Phone, UserUID: r.UserUID,
		Purpose: string(r.Purpose), Binding: r.Binding, SessionID: r.SessionID, URL: r.URL, TraceID: r.TraceID, Source: r.Source,
		CreatedAt: micros(r.CreatedAt), ExpiresAt: micros(r.ExpiresAt),
	}
}

func (r *requestRow) record() storage.CodeRequest {
	return storage.CodeRequest{
		ID: r.ID, Type: storage.MessageType(r.Type), ClientID: r.ClientID, ProfileID: r.ProfileID,
		Username: r.Username, Email: r.Email, Phone: r.Phone, UserUID: r.UserUID,
		Purpose: storage.Purpose(r.Purpose), Binding: r.Binding, SessionID: r.SessionID, URL: r.URL, TraceID: r.TraceID, Source: r.Source,
		CreatedAt: instant(r.CreatedAt), ExpiresAt: instant(r.ExpiresAt),
	}
}

// insertRequest returns the statement of a settlement that stores a request.
func (s *Store) insertRequest(r storage.CodeRequest) statement {
	row := waitingRow{Request: requestRowOf(r), LeaseUntil: micros(r.LeaseUntil)}
	if row.LeaseUntil != 0 {
		row.LeaseOwner = s.leaseOwner()
	}
	return insertion(&row)
}

// AddCodeRequest stores a request for ClaimCodeRequests, in one statement that looks up no
// user, if every budget that it is charged to has room at its CreatedAt. Otherwise the
// error is a *storage.LimitError. The keys of the charges must differ. The error is
// storage.ErrConflict if the ID is in use.
func (s *Store) AddCodeRequest(ctx context.Context, r storage.CodeRequest, charges ...storage.Charge) error {
	insert := s.insertRequest(r)
	if len(charges) == 0 {
		_, err := s.exec(ctx, "add code request", insert.alone(), insert.args...)
		return err
	}
	taken, err := s.dialect.settle(ctx, s, settlement{
		what: "add code request", first: charge(r.CreatedAt, charges), rows: len(charges), then: []statement{insert},
	})
	if err != nil || taken {
		return err
	}
	return s.exhausted(ctx, r.CreatedAt, charges)
}

// claimSpread is a factor: a claim of n requests considers claimSpread × n requests,
// because other workers may be claiming some of them.
const claimSpread = 4

// ClaimCodeRequests leases up to limit requests that are neither ended nor leased, until
// leaseUntil. It alternates between the pairs of source and client and takes the oldest
// request of each first, so that the requests of one pair do not delay those of another. It
// includes expired requests, so that a worker ends and reports them. No two callers get the
// same request before its lease ends, or before the server of the store is removed; see
// RegisterServer.
func (s *Store) ClaimCodeRequests(ctx context.Context, now, leaseUntil time.Time, limit int) ([]storage.CodeRequest, error) {
	rows, err := returning[requestRow](ctx, s, "claim code requests",
		`WITH waiting AS (SELECT id, created_at,
				row_number() OVER (PARTITION BY source, client_id ORDER BY created_at) AS turn
			FROM code_requests WHERE ended_at = 0 AND lease_until <= ?),
		chosen AS MATERIALIZED (SELECT id, created_at, turn FROM waiting ORDER BY turn, created_at LIMIT CAST(? AS BIGINT)),
		due AS MATERIALIZED (SELECT r.id FROM chosen c JOIN code_requests r ON r.id = c.id
			WHERE r.ended_at = 0 AND r.lease_until <= ?
			ORDER BY c.turn, c.created_at LIMIT CAST(? AS BIGINT)`+s.dialect.claims()+`)
		UPDATE code_requests SET lease_until = ?, lease_owner = ? WHERE id IN (SELECT id FROM due)
		RETURNING `+columnsOf[requestRow]().list(),
		micros(now), claimSpread*limit, micros(now), limit, micros(leaseUntil), s.leaseOwner())
	requests := make([]storage.CodeRequest, 0, len(rows))
	for i := range rows {
		requests = append(requests, rows[i].record())
	}
	inTurn(requests)
	return requests, err
}

// inTurn sorts requests in the order of ClaimCodeRequests.
func inTurn(requests []storage.CodeRequest) {
	type lane struct{ source, client string }
	slices.SortFunc(requests, func(a, b storage.CodeRequest) int { return a.CreatedAt.Compare(b.CreatedAt) })
	turns, taken := make(map[string]int, len(requests)), map[lane]int{}
	for _, r := range requests {
		turns[r.ID] = taken[lane{r.Source, r.ClientID}]
		taken[lane{r.Source, r.ClientID}]++
	}
	slices.SortStableFunc(requests, func(a, b storage.CodeRequest) int { return cmp.Compare(turns[a.ID], turns[b.ID]) })
}

// WaitingRequests counts the requests that are neither ended nor leased, by
// source and client, and those of them that began to wait after a time. A request
// whose lease ended without an answer waits since then.
func (s *Store) WaitingRequests(ctx context.Context, now, after time.Time) ([]storage.WaitingRequests, error) {
	type row struct {
		Source   string `gorm:"column:source"`
		ClientID string `gorm:"column:client_id"`
		Count    int    `gorm:"column:waiting"`
		New      int    `gorm:"column:arrived"`
		Since    int64  `gorm:"column:since"`
	}
	rows, err := query[row](ctx, s, "waiting code requests",
		`SELECT source, client_id, count(*) AS waiting, min(since) AS since,
			sum(CASE WHEN since > ? THEN 1 ELSE 0 END) AS arrived
		FROM (SELECT source, client_id, CASE WHEN lease_until > created_at THEN lease_until ELSE created_at END AS since
			FROM code_requests WHERE ended_at = 0 AND lease_until <= ?) w
		GROUP BY source, client_id`, micros(after), micros(now))
	waiting := make([]storage.WaitingRequests, len(rows))
	for i, r := range rows {
		waiting[i] = storage.WaitingRequests{Source: r.Source, ClientID: r.ClientID, Count: r.Count, New: r.New, Since: instant(r.Since)}
	}
	return waiting, err
}

// unknownBatch keeps one statement below SQLite's 32,766 parameters.
const unknownBatch = 1000

// EndUnknownRequests ends the requests whose names match no login of their password
// profile, and returns their IDs. Each statement handles up to a thousand. It deletes these
// requests, because there are many of them when somebody tries names.
func (s *Store) EndUnknownRequests(ctx context.Context, names []storage.RequestNames) ([]string, error) {
	var ended []string
	for batch := range slices.Chunk(names, unknownBatch) {
		rows, args := make([]string, len(batch)), make([]any, 0, 4*len(batch))
		for i, n := range batch {
			if n.UsernameKey != "" {
				n.EmailKey = ""
			}
			rows[i] = "(CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT))"
			args = append(args, n.ID, n.ProfileID, n.UsernameKey, n.EmailKey)
		}
		ids, err := returning[string](ctx, s, "end unknown code requests",
			`WITH asked (id, profile_id, username_key, email_key) AS (VALUES `+strings.Join(rows, ", ")+`)
			DELETE FROM code_requests WHERE ended_at = 0 AND id IN (SELECT a.id FROM asked a
				WHERE NOT EXISTS (SELECT 1 FROM logins l WHERE l.profile_id = a.profile_id AND l.username_key = a.username_key)
				AND NOT EXISTS (SELECT 1 FROM users u JOIN logins l ON l.user_uid = u.uid
					WHERE u.email_key = a.email_key AND u.email_key <> '' AND l.profile_id = a.profile_id))
			RETURNING id`, args...)
		ended = append(ended, ids...)
		if err != nil {
			return ended, err
		}
	}
	return ended, nil
}

// IssueCodes ends a request and, in the same transaction, gives each login its new one-time
// password or verification code in place of the older one and queues the messages. A login
// whose code comes from a newer request gets nothing. A login whose budgets are used up
// gets nothing either. The result names both. The error is storage.ErrStale for a request
// that has ended or does not exist, and storage.ErrNotFound for an unknown login. Then
// nothing takes effect.
func (s *Store) IssueCodes(ctx context.Context, x storage.Issuance) (storage.IssueResult, error) {
	var issued storage.IssueResult
	err := s.dialect.together(ctx, s, "issue codes", func(ctx context.Context) error {
		issued = storage.IssueResult{}
		return s.issueCodes(ctx, x, &issued)
	})
	if err != nil {
		return storage.IssueResult{}, err
	}
	return issued, nil
}

// issueCodes is IssueCodes within a transaction.
func (s *Store) issueCodes(ctx context.Context, x storage.Issuance, result *storage.IssueResult) error {
	ended, err := returning[int64](ctx, s, "end code request",
		"UPDATE code_requests SET ended_at = ? WHERE id = ? AND ended_at = 0 RETURNING seq", micros(x.Now), x.RequestID)
	if err := affected(int64(len(ended)), err, s.wrap(ctx, "end code request", storage.ErrStale)); err != nil {
		return err
	}
	issuing := issuing{now: x.Now, seq: ended[0], result: result}
	if issuing.logins, err = s.lockCodes(ctx, x); err != nil {
		return err
	}
	if err := s.supersede(ctx, x, issuing); err != nil {
		return err
	}
	if result.Limited, err = s.chargeLogins(ctx, x, result.Superseded); err != nil {
		return err
	}
	if err := s.postpone(ctx, x, result.Limited); err != nil {
		return err
	}
	return s.issueTo(ctx, x, issuing)
}

// issuing is the state while a request is resolved.
type issuing struct {
	now    time.Time
	seq    int64 // position of the request among all
	logins map[string]codesRow
	result *storage.IssueResult
}

// codesRow is the state of a login's last codes.
type codesRow struct {
	ID              string `gorm:"column:id"`
	CodeID          string `gorm:"column:code_id"`
	CodeRequestID   string `gorm:"column:code_request_id"`
	CodeUsedAt      int64  `gorm:"column:code_used_at"`
	CodeExpiresAt   int64  `gorm:"column:code_expires_at"`
	CodeSeq         int64  `gorm:"column:code_seq"`
	VerificationSeq int64  `gorm:"column:verification_seq"`
}

// lockCodes locks and reads the logins that get a code. It does so before any statement
// that depends on their codes: a statement that waits for a row reads other rows as they
// were before.
func (s *Store) lockCodes(ctx context.Context, x storage.Issuance) (map[string]codesRow, error) {
	var ids []any
	for _, issued := range x.Codes {
		ids = append(ids, issued.LoginID)
	}
	for _, issued := range x.Verifications {
		ids = append(ids, issued.Code.LoginID)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := returning[codesRow](ctx, s, "lock logins",
		"SELECT "+columnsOf[codesRow]().list()+" FROM logins WHERE id IN ("+marks(len(ids))+") ORDER BY id"+s.dialect.locks(), ids...)
	locked := make(map[string]codesRow, len(rows))
	for _, row := range rows {
		locked[row.ID] = row
	}
	for _, id := range ids {
		if _, found := locked[id.(string)]; !found && err == nil {
			err = fmt.Errorf("store code of login %s: %w", id, storage.ErrNotFound)
		}
	}
	return locked, err
}

// supersede finds the logins whose code comes from a newer request, and marks the request
// as superseded.
func (s *Store) supersede(ctx context.Context, x storage.Issuance, on issuing) error {
	superseded := map[string]bool{}
	for _, issued := range x.Codes {
		if on.logins[issued.LoginID].CodeSeq > on.seq {
			superseded[issued.LoginID] = true
		}
	}
	for _, issued := range x.Verifications {
		if on.logins[issued.Code.LoginID].VerificationSeq > on.seq {
			superseded[issued.Code.LoginID] = true
		}
	}
	if len(superseded) == 0 {
		return nil
	}
	on.result.Superseded = superseded
	_, err := s.exec(ctx, "supersede code request", "UPDATE code_requests SET superseded = TRUE WHERE id = ?", x.RequestID)
	return err
}

// chargeLogins charges the budgets of each login that is not in except. All callers charge
// in the same order, so they do not deadlock.
func (s *Store) chargeLogins(ctx context.Context, x storage.Issuance, except map[string]bool) (storage.Limited, error) {
	limited := storage.Limited{}
	for _, loginID := range slices.Sorted(maps.Keys(x.Charges)) {
		if except[loginID] {
			continue
		}
		err := s.Charge(ctx, x.ChargedAt, x.Charges[loginID]...)
		var limit *storage.LimitError
		switch {
		case errors.As(err, &limit):
			limited[loginID] = limit
		case err != nil:
			return nil, err
		}
	}
	return limited, nil
}

// postpone reopens the request until the used-up budgets have room again, if it may wait
// and does not expire before.
func (s *Store) postpone(ctx context.Context, x storage.Issuance, limited storage.Limited) error {
	if !x.Postpone || len(limited) == 0 {
		return nil
	}
	var until time.Time
	for _, limit := range limited {
		until = later(until, limit.Until)
	}
	_, err := s.exec(ctx, "postpone code request",
		"UPDATE code_requests SET ended_at = 0, lease_until = ?, lease_owner = '' WHERE id = ? AND expires_at > ?",
		micros(until), x.RequestID, micros(until))
	return err
}

// issueTo gives their codes and messages to the logins that are neither limited nor
// superseded.
func (s *Store) issueTo(ctx context.Context, x storage.Issuance, on issuing) error {
	withheld := func(loginID string) bool {
		return on.result.Limited[loginID] != nil || on.result.Superseded[loginID]
	}
	for _, issued := range x.Codes {
		if withheld(issued.LoginID) {
			continue
		}
		if err := s.issue(ctx, issued, on); err != nil {
			return err
		}
	}
	for _, issued := range x.Verifications {
		if withheld(issued.Code.LoginID) {
			continue
		}
		if err := s.issueVerification(ctx, issued, on); err != nil {
			return err
		}
	}
	var messages []storage.Message
	for _, notice := range x.Notices {
		if !withheld(notice.LoginID) {
			messages = append(messages, notice.Messages...)
		}
	}
	return s.addMessages(ctx, "", messages)
}

func (s *Store) issue(ctx context.Context, x storage.IssuedCode, on issuing) error {
	c, former := x.Code, on.logins[x.LoginID]
	live, err := s.retireCode(ctx, former, on.now)
	if err != nil {
		return err
	}
	if live {
		if on.result.Retired == nil {
			on.result.Retired = map[string]bool{}
		}
		on.result.Retired[x.LoginID] = true
	}
	_, err = s.exec(ctx, "store code",
		`UPDATE logins SET code_id = ?, code_request_id = ?, code_client_id = ?, code_purpose = ?,
		code_pepper_id = ?, code_digest = ?, code_name_digest = ?, code_mailed_to = ?, code_issued_at = ?, code_expires_at = ?, code_used_at = ?, code_seq = ? WHERE id = ?`,
		c.ID, c.RequestID, c.ClientID, string(c.Purpose), c.Digest.PepperID, blob(c.Digest.Sum), blob(c.NameDigest), c.MailedTo,
		micros(c.IssuedAt), micros(c.ExpiresAt), micros(c.UsedAt), on.seq, x.LoginID)
	if err != nil {
		return err
	}
	history := storage.CodeHistory{ID: c.ID, RequestID: c.RequestID, LoginID: x.LoginID, IssuedAt: on.now, ExpiresAt: c.ExpiresAt}
	return s.noteCode(ctx, history, x.Messages)
}

// retire stores the outcome of the login's current code before the code is replaced. It
// locks the login, so that no sign-in redeems the code in between.
func (s *Store) retire(ctx context.Context, loginID string, now time.Time) error {
	row, err := get[codesRow](ctx, s, "lock login", "SELECT "+columnsOf[codesRow]().list()+" FROM logins WHERE id = ?"+s.dialect.locks(), loginID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err == nil {
		_, err = s.retireCode(ctx, row, now)
	}
	return err
}

// retireCode stores the outcome of the code of a locked login, and reports whether the
// code is still live. The statement must begin after the login was locked. Otherwise it
// would not see a code that was issued while it waited.
func (s *Store) retireCode(ctx context.Context, former codesRow, now time.Time) (live bool, err error) {
	if former.CodeID == "" {
		return false, nil
	}
	live = former.CodeUsedAt == 0 && former.CodeExpiresAt > micros(now)
	update, then := "UPDATE issued_codes SET redeemed_at = ?, retired_at = ? WHERE id = ?", []statement(nil)
	var retiredAt int64
	if live {
		retiredAt, then = micros(now), []statement{withdrawMessages(former.CodeRequestID, former.CodeID, now)}
	}
	_, err = s.settle(ctx, "retire code", statement{sql: update, args: []any{former.CodeUsedAt, retiredAt, former.CodeID}}, then...)
	return live, err
}

// withdrawMessages lets the queued messages with a code expire now, because nobody can use
// the code any more. A running delivery attempt goes on, and no other begins.
func withdrawMessages(requestID, codeID string, now time.Time) statement {
	return statement{
		sql:  "UPDATE messages SET expires_at = ?, last_error = ? WHERE request_id = ? AND code_id = ? AND state = 'queued'",
		args: []any{micros(now), storage.MessageWithdrawn, requestID, codeID},
	}
}

// IssueCode gives a login a one-time password without a stored request, and queues no
// message. Otherwise it does the same as IssueCodes for a request with the ID of the code.
func (s *Store) IssueCode(ctx context.Context, loginID string, code storage.Code) error {
	code.RequestID = code.ID
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := s.AddCodeRequest(ctx, storage.CodeRequest{
			ID: code.RequestID, Type: storage.MessageOneTimePassword, ClientID: code.ClientID, Purpose: code.Purpose,
			CreatedAt: code.IssuedAt, ExpiresAt: code.ExpiresAt,
		}); err != nil {
			return err
		}
		_, err := s.IssueCodes(ctx, storage.Issuance{
			RequestID: code.RequestID, Now: code.IssuedAt, Codes: []storage.IssuedCode{{LoginID: loginID, Code: code}},
		})
		return err
	})
}
