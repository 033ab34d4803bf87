package gormstore

import (
	"context"

	"latchkey/storage"
)

func byField(name string) []storage.Order { return []storage.Order{{Field: name}} }

// recorded converts a page of rows into a page of records.
func recorded[W, R any](rows storage.Page[W], record func(*W) R) storage.Page[R] {
	return storage.WithItems(rows, recordsOf(rows.Items, record))
}

// byID is a list of configuration records in the order of their ids.
func byID[R any](what, table string) listing {
	return listing{what: what, table: table, fields: fieldsOf[R](""), key: byField("ID"), tie: "id"}
}

// ListRealms lists realms, without a Sort by ID. Fields are ID, Name, the
// settings, Version, CreatedAt and UpdatedAt.
func (s *Store) ListRealms(ctx context.Context, q storage.Query) (storage.Page[storage.Realm], error) {
	found, err := page[realmRow](ctx, s, byID[realmRow]("realms", "realms"), q)
	return recorded(found, (*realmRow).record), err
}

// ListPasswordProfiles lists the password profiles of a realm, without a Sort by ID. Fields
// are those of storage.PasswordProfile except Code, Lockout and Rules, and the field Used,
// which is false for the default profile until somebody changes it or it has a login.
func (s *Store) ListPasswordProfiles(ctx context.Context, realmID string, q storage.Query) (storage.Page[storage.PasswordProfile], error) {
	l := byID[passwordProfileRow]("password profiles", "password_profiles")
	l.fields["Used"] = attribute{kind: logical, sql: usedProfile}
	l.scope = statement{sql: "realm_id = ?", args: []any{realmID}}
	found, err := page[passwordProfileRow](ctx, s, l, q)
	return recorded(found, (*passwordProfileRow).record), err
}

// ListSecurityProfiles lists security profiles, without a Sort by ID. Fields
// are ID, RealmID, Name, Version, CreatedAt and UpdatedAt.
func (s *Store) ListSecurityProfiles(ctx context.Context, q storage.Query) (storage.Page[storage.SecurityProfile], error) {
	l := byID[securityProfileRow]("security profiles", "security_profiles")
	rows, err := page[securityProfileRow](ctx, s, l, q)
	var profiles []storage.SecurityProfile
	for i := range rows.Items {
		profile, broken := rows.Items[i].record()
		if broken != nil {
			return storage.Page[storage.SecurityProfile]{}, broken
		}
		profiles = append(profiles, profile)
	}
	return storage.WithItems(rows, profiles), err
}

// assignedKind is the kind of the users who have an assignment (storage.UserKind).
const assignedKind = `(CASE
	WHEN party LIKE 'user:%' THEN COALESCE((SELECT u.kind FROM users u WHERE u.uid = SUBSTR(party, 6)), '')
	WHEN party LIKE 'account:%' THEN COALESCE((SELECT a.kind FROM accounts a WHERE a.uid = SUBSTR(party, 9)), '')
	ELSE SUBSTR(party, 6) END)`

// ListProfileAssignments lists the assignments of security profiles, without a Sort
// by ProfileID and Party. Fields are those two and Kind, the kind of the users
// who have the profile. Party begins with "user:", "account:" or "kind:"; see
// storage.Party.
func (s *Store) ListProfileAssignments(ctx context.Context, q storage.Query) (storage.Page[storage.ProfileAssignment], error) {
	l := listing{
		what: "profile assignments", table: "security_profile_assignments",
		fields: fieldsOf[profileAssignmentRow]("").with("Kind", attribute{sql: assignedKind}),
		tie:    "security_profile_id party",
	}
	found, err := page[profileAssignmentRow](ctx, s, l, q)
	return recorded(found, (*profileAssignmentRow).record), err
}

// ListClients lists clients with their secrets, without a Sort by ID. Fields
// are those of storage.Client but its lists and secrets; the credentials are
// "Credentials.OTP" and "Credentials.Password".
func (s *Store) ListClients(ctx context.Context, q storage.Query) (storage.Page[storage.Client], error) {
	rows, err := page[clientRow](ctx, s, byID[clientRow]("clients", "clients"), q)
	if err != nil || len(rows.Items) == 0 {
		return storage.WithItems[clientRow, storage.Client](rows, nil), err
	}
	keys := make([]string, len(rows.Items))
	for i := range rows.Items {
		keys[i] = rows.Items[i].Key
	}
	clients, err := s.withSecrets(ctx, rows.Items, "client_key IN ?", keys)
	return storage.WithItems(rows, clients), err
}

// ListSenders lists senders, without a Sort by ID. Fields are those of
// storage.Sender but its lists, its secrets and SMTP.
func (s *Store) ListSenders(ctx context.Context, q storage.Query) (storage.Page[storage.Sender], error) {
	found, err := page[senderRow](ctx, s, byID[senderRow]("senders", "senders"), q)
	return recorded(found, (*senderRow).record), err
}

// ListDeliveryConfigs lists delivery configs, without a Sort by ID. Fields are
// those of storage.DeliveryConfig but its secrets.
func (s *Store) ListDeliveryConfigs(ctx context.Context, q storage.Query) (storage.Page[storage.DeliveryConfig], error) {
	l := byID[deliveryConfigRow]("delivery configs", "delivery_configs")
	found, err := page[deliveryConfigRow](ctx, s, l, q)
	return recorded(found, (*deliveryConfigRow).record), err
}

// ListRequests lists the code requests that have not been swept yet, with their codes
// and messages and without attempts, without a Sort the oldest first. Fields are those of
// storage.CodeRequest but URL, and ResolvedAt.
func (s *Store) ListRequests(ctx context.Context, q storage.Query) (storage.Page[storage.Timeline], error) {
	l := byID[resolvedRow]("code requests", "code_requests")
	l.key = byField("CreatedAt")
	rows, err := page[resolvedRow](ctx, s, l, q)
	found := recorded(rows, (*resolvedRow).timeline)
	if err == nil {
		err = s.addOutcomes(ctx, found.Items)
	}
	return found, err
}

// FindRequests returns the IDs of the newest requests that match the words, at most limit.
// It scans the requests of the last day instead of using an index, because administrators
// search rarely, and an index would slow down every request for a code.
func (s *Store) FindRequests(ctx context.Context, words storage.RequestWords, limit int) ([]string, error) {
	either, args := "id = ? OR trace_id = ?", []any{words.ID, words.ID}
	one := func(column string, values []string) {
		if len(values) == 0 {
			return
		}
		either += " OR " + column + " IN (" + marks(len(values)) + ")"
		for _, v := range values {
			args = append(args, v)
		}
	}
	names := make([]string, len(words.Names))
	for i, name := range words.Names {
		names[i] = fold(name)
	}
	for _, column := range []string{"username", "email"} {
		one("lower("+s.dialect.bytewise(column)+")", names)
	}
	one("user_uid", words.UserUIDs)
	type row struct {
		ID string `gorm:"column:id"`
	}
	var ids []string
	err := s.asList(ctx, func(ctx context.Context) error {
		rows, err := query[row](ctx, s, "find requests", "SELECT id FROM code_requests WHERE "+either+" ORDER BY created_at DESC, id DESC LIMIT CAST(? AS BIGINT)",
			append(args, limit)...)
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		return err
	})
	return ids, err
}

type deliveryRow struct {
	Attempt attemptRow `gorm:"embedded;embeddedPrefix:t_"`
	Message messageRow `gorm:"embedded;embeddedPrefix:m_"`
}

func (r *deliveryRow) record() storage.DeliveryRecord {
	m := r.Message.record()
	m.Payload = storage.Sealed{}
	return storage.DeliveryRecord{Attempt: r.Attempt.record(), Message: m}
}

// ListDeliveries lists attempts to deliver, with their messages, that have not
// been swept yet, of one sender or, with an empty senderID, of all; without a
// Sort in the order of their end. Fields are those of storage.AttemptRecord,
// and with "Message." in front those of storage.Message but its payload.
func (s *Store) ListDeliveries(ctx context.Context, senderID string, q storage.Query) (storage.Page[storage.DeliveryRecord], error) {
	l := listing{
		what: "deliveries", table: "message_attempts t JOIN messages m ON m.id = t.message_id",
		fields: fieldsOf[attemptRow]("t.").and(fieldsOf[messageRow]("m.").under("Message.")),
		key:    byField("EndedAt"), tie: "t.message_id t.number",
	}
	if senderID != "" {
		l.scope = statement{sql: "m.sender_id = ?", args: []any{senderID}}
	}
	found, err := page[deliveryRow](ctx, s, l, q)
	return recorded(found, (*deliveryRow).record), err
}

// ListMessages lists messages, without their payloads, that have not been swept
// yet, of one sender or, with an empty senderID, of all; without a Sort the oldest
// first. Fields are those of storage.Message but its payload.
func (s *Store) ListMessages(ctx context.Context, senderID string, q storage.Query) (storage.Page[storage.Message], error) {
	l := byID[messageRow]("messages", "messages")
	l.key = byField("CreatedAt")
	if senderID != "" {
		l.scope = statement{sql: "sender_id = ?", args: []any{senderID}}
	}
	found, err := page[messageRow](ctx, s, l, q)
	return recorded(found, func(r *messageRow) storage.Message {
		m := r.record()
		m.Payload = storage.Sealed{}
		return m
	}), err
}
