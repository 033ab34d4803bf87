package gormstore

import (
	"maps"

	"latchkey/storage"
)

// The fields of lists are named as in the records they show. t is the table, or
// its name in a join, with the dot.

func (f fields) and(more fields) fields {
	maps.Copy(f, more)
	return f
}

// under puts a prefix before the names of fields of a joined table.
func (f fields) under(prefix string) fields {
	renamed := make(fields, len(f))
	for name, a := range f {
		a.joined, a.unique = true, false
		renamed[prefix+name] = a
	}
	return renamed
}

func stampFields(t string) fields {
	return fields{
		"Version":   {kind: numeric, sql: t + "version"},
		"CreatedAt": {kind: instantly, sql: t + "created_at"},
		"UpdatedAt": {kind: instantly, sql: t + "updated_at"},
	}
}

func realmFields() fields {
	return fields{
		"ID": {sql: "id", unique: true}, "Name": {sql: "name"},
		"SelfSignup":           {kind: logical, sql: "self_signup"},
		"AutoCreateAccount":    {kind: logical, sql: "auto_create_account"},
		"SelfManagement":       {sql: "self_management"},
		"AccountTokenTTL":      {kind: lasting, sql: "account_token_ttl"},
		"DuplicateEmailPolicy": {sql: "duplicate_email_policy"},
	}.and(stampFields(""))
}

func passwordProfileFields() fields {
	return fields{
		"ID": {sql: "id", unique: true}, "RealmID": {sql: "realm_id"}, "Name": {sql: "name"},
		"OneTimeCodes": {kind: logical, sql: "one_time_codes"}, "UsernameFormat": {sql: "username_format"},
		"CodeTTL": {kind: lasting, sql: "code_ttl"},
		"Used":    {kind: logical, sql: usedProfile},
	}.and(stampFields(""))
}

// usedProfile is false for the preset password profile as long as nobody has
// changed it and no login is in it.
const usedProfile = "(id <> '" + storage.DefaultProfileID + "' OR version > 1 OR EXISTS (SELECT 1 FROM logins l WHERE l.profile_id = password_profiles.id))"

func securityProfileFields() fields {
	return fields{
		"ID": {sql: "id", unique: true}, "RealmID": {sql: "realm_id"}, "Name": {sql: "name"},
	}.and(stampFields(""))
}

func clientFields() fields {
	return fields{
		"ID": {sql: "id", unique: true}, "Name": {sql: "name"}, "Active": {kind: logical, sql: "active"},
		"Public": {kind: logical, sql: "public"}, "ProfileID": {sql: "profile_id"},
		"Credentials.OTP":      {kind: logical, sql: "credential_otp"},
		"Credentials.Password": {kind: logical, sql: "credential_password"},
		"AllowAnyBuyer":        {kind: logical, sql: "allow_any_buyer"},
		"AllowAnySupplier":     {kind: logical, sql: "allow_any_supplier"},
		"AllowSeller":          {kind: logical, sql: "allow_seller"},
		"DefaultContextUser":   {sql: "default_context_user"},
		"RequiresContextUser":  {kind: logical, sql: "requires_context_user"},
		"AnonymousBuyer":       {kind: logical, sql: "anonymous_buyer"},
		"AccessTokenTTL":       {kind: lasting, sql: "access_token_ttl"},
		"RefreshTokenTTL":      {kind: lasting, sql: "refresh_token_ttl"},
		"RefreshIdleTTL":       {kind: lasting, sql: "refresh_idle_ttl"},
		"AnonymousTokenTTL":    {kind: lasting, sql: "anonymous_token_ttl"},
		"ReuseRefreshTokens":   {kind: logical, sql: "reuse_refresh_tokens"},
		"SigningAlg":           {sql: "signing_alg"}, "XP": {kind: free, sql: "xp"},
	}.and(stampFields(""))
}

func accountFields(t string) fields {
	return fields{
		"UID": {sql: t + "uid", unique: true}, "RealmID": {sql: t + "realm_id"}, "Kind": {sql: t + "kind"},
		"ID": {sql: t + "id"}, "Name": {sql: t + "name"}, "Active": {kind: logical, sql: t + "active"},
		"LegalName": {sql: t + "legal_name"}, "RegistrationID": {sql: t + "registration_id"},
		"ExternalRef": {sql: t + "external_ref"}, "ParentUID": {sql: t + "parent_uid"},
		"XP": {kind: free, sql: t + "xp"},
	}.and(stampFields(t))
}

func userFields(t string) fields {
	// A user without a name in full is looked for by its first and last name.
	name := "(CASE WHEN " + t + "name <> '' THEN " + t + "name ELSE TRIM(" + t + "first_name || ' ' || " + t + "last_name) END)"
	return fields{
		"UID": {sql: t + "uid", unique: true}, "RealmID": {sql: t + "realm_id"}, "Kind": {sql: t + "kind"},
		"AccountUID": {sql: t + "account_uid"}, "ID": {sql: t + "id"}, "Name": {sql: name},
		"FirstName": {sql: t + "first_name"}, "MiddleName": {sql: t + "middle_name"}, "LastName": {sql: t + "last_name"},
		"Email": {kind: foldable, sql: t + "email"}, "Phone": {sql: t + "phone"},
		"Active": {kind: logical, sql: t + "active"}, "Locale": {sql: t + "locale"},
		"TermsAccepted":   {kind: someday, sql: t + "terms_accepted"},
		"TokensValidFrom": {kind: someday, sql: t + "tokens_valid_from"}, "XP": {kind: free, sql: t + "xp"},
	}.and(stampFields(t))
}

// usernameField is the name of the login that stands for a user in a list of
// users.
func usernameField() attribute {
	return attribute{
		kind: foldable, sql: "l.username",
		within: `users.uid IN (SELECT l.user_uid FROM logins l WHERE ` + ifRunning + ` AND %s AND NOT EXISTS (SELECT 1 FROM logins e
			WHERE e.user_uid = l.user_uid AND (e.profile_id, e.username_key) < (l.profile_id, l.username_key)))`,
		sort: `COALESCE((SELECT l.username FROM logins l WHERE l.user_uid = users.uid
			ORDER BY l.profile_id, l.username_key LIMIT 1), '')`,
	}
}

func loginFields() fields {
	return fields{
		"ID": {sql: "id", unique: true}, "ProfileID": {sql: "profile_id"},
		"Username": {kind: foldable, sql: "username"}, "UsernameKey": {sql: "username_key"},
		"UserUID": {sql: "user_uid"}, "Active": {kind: logical, sql: "active"},
		"PasswordSetAt":         {kind: someday, sql: "password_set_at"},
		"SessionsValidFrom":     {kind: someday, sql: "sessions_valid_from"},
		"Lockout.Failures":      {kind: numeric, sql: "failures"},
		"Lockout.LastFailureAt": {kind: someday, sql: "last_failure_at"},
		"Lockout.LockedUntil":   {kind: someday, sql: "locked_until"},
	}.and(stampFields(""))
}

func membershipFields(t string) fields {
	return fields{
		"ID": {sql: t + "id", unique: true}, "AccountUID": {sql: t + "account_uid"}, "UserUID": {sql: t + "user_uid"},
	}.and(stampFields(t))
}

func senderFields() fields {
	return fields{
		"ID": {sql: "id", unique: true}, "RealmID": {sql: "realm_id"}, "Name": {sql: "name"},
		"Description": {sql: "description"}, "Active": {kind: logical, sql: "active"}, "Dialect": {sql: "dialect"},
		"Kind": {sql: "kind"}, "URL": {sql: "url"}, "DeliveryConfig": {sql: "delivery_config"},
		"Signature": {sql: "signature"}, "AllowAllBuyers": {kind: logical, sql: "allow_all_buyers"},
		"AllowSeller": {kind: logical, sql: "allow_seller"}, "XP": {kind: free, sql: "xp"},
	}.and(stampFields(""))
}

func deliveryConfigFields() fields {
	return fields{
		"ID": {sql: "id", unique: true}, "RealmID": {sql: "realm_id"}, "Name": {sql: "name"},
		"Enabled": {kind: logical, sql: "enabled"}, "Target": {sql: "target"}, "URL": {sql: "url"},
		"CustomAuthHeaderName": {sql: "custom_auth_header_name"},
	}.and(stampFields(""))
}

func requestFields() fields {
	return fields{
		"ID": {sql: "id", unique: true}, "Type": {sql: "type"}, "ClientID": {sql: "client_id"},
		"ProfileID": {sql: "profile_id"}, "Username": {sql: "username"}, "Email": {sql: "email"},
		"UserUID": {sql: "user_uid"}, "Purpose": {sql: "purpose"}, "TraceID": {sql: "trace_id"}, "Source": {sql: "source"},
		"CreatedAt": {kind: instantly, sql: "created_at"}, "ExpiresAt": {kind: instantly, sql: "expires_at"},
		"ResolvedAt": {kind: someday, sql: "ended_at"},
	}
}

func attemptFields(t string) fields {
	return fields{
		"MessageID": {sql: t + "message_id"}, "Number": {kind: numeric, sql: t + "number"},
		"State": {sql: t + "state"}, "Error": {sql: t + "error"},
		"BeganAt": {kind: instantly, sql: t + "began_at"}, "EndedAt": {kind: instantly, sql: t + "ended_at"},
	}
}

func messageFields(t string) fields {
	return fields{
		"ID": {sql: t + "id"}, "RequestID": {sql: t + "request_id"}, "CodeID": {sql: t + "code_id"},
		"SenderID": {sql: t + "sender_id"}, "Type": {sql: t + "type"}, "UserUID": {sql: t + "user_uid"},
		"TraceID": {sql: t + "trace_id"}, "State": {sql: t + "state"},
		"Attempts": {kind: numeric, sql: t + "attempts"}, "LastError": {sql: t + "last_error"},
		"RunAt": {kind: instantly, sql: t + "run_at"}, "ExpiresAt": {kind: instantly, sql: t + "expires_at"},
		"CreatedAt": {kind: instantly, sql: t + "created_at"}, "EndedAt": {kind: someday, sql: t + "ended_at"},
	}
}
