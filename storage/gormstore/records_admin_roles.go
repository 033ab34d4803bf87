package gormstore

import (
	"context"
	"slices"

	"latchkey/storage"
)

// adminProfiles selects the security profiles of admin users. A condition on u, the
// admin user, must follow.
const adminProfiles = `SELECT DISTINCT a.security_profile_id FROM users u
	JOIN security_profile_assignments a ON a.party IN ('user:' || u.uid, 'kind:admin')
	WHERE u.kind = 'admin' AND `

// RolesOfParty returns the roles that the security profiles of the party give,
// sorted.
func (s *Store) RolesOfParty(ctx context.Context, party storage.Party) ([]string, error) {
	return s.rolesOf(ctx, "roles of party",
		"SELECT security_profile_id FROM security_profile_assignments WHERE party = ?", string(party))
}

// AdminRoles returns the roles of the admin user of that UID, sorted. The user
// need not have a login. A user of a buyer or supplier has none of these roles.
func (s *Store) AdminRoles(ctx context.Context, userUID string) ([]string, error) {
	return s.rolesOf(ctx, "roles of admin user", adminProfiles+"u.uid = ?", userUID)
}

// AdminRolesOfPasswordProfile returns the roles of all admin users who have a
// login in the password profile, sorted.
func (s *Store) AdminRolesOfPasswordProfile(ctx context.Context, profileID string) ([]string, error) {
	return s.rolesOf(ctx, "roles of admin users of password profile", adminProfiles+
		`u.realm_id = (SELECT realm_id FROM password_profiles WHERE id = ?)
			AND EXISTS (SELECT 1 FROM logins l WHERE l.user_uid = u.uid AND l.profile_id = ?)`, profileID, profileID)
}

// AdminRolesOfSecurityProfile returns the roles of all admin users to whom the
// security profile is assigned directly, sorted. all is true if the security
// profile is assigned to all admin users.
func (s *Store) AdminRolesOfSecurityProfile(ctx context.Context, id string) (roles []string, all bool, err error) {
	const what = "roles of admin users of security profile"
	found, err := query[string](ctx, s, what,
		"SELECT party FROM security_profile_assignments WHERE security_profile_id = ? AND party = ?", id, string(storage.KindParty(storage.Admin)))
	if err != nil {
		return nil, false, err
	}
	roles, err = s.rolesOf(ctx, what, adminProfiles+
		"'user:' || u.uid IN (SELECT h.party FROM security_profile_assignments h WHERE h.security_profile_id = ?)", id)
	return roles, len(found) > 0, err
}

// rolesOf returns the roles of the security profiles that the statement selects.
func (s *Store) rolesOf(ctx context.Context, what, sql string, args ...any) ([]string, error) {
	ids, err := query[string](ctx, s, what, sql, args...)
	if err != nil {
		return nil, err
	}
	profiles, err := s.profilesWith(ctx, ids)
	if err != nil {
		return nil, err
	}
	var roles []string
	for _, id := range ids {
		roles = append(roles, profiles[id].Roles...)
	}
	slices.Sort(roles)
	return slices.Compact(roles), nil
}
