package gormstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm/clause"

	"latchkey/storage"
)

type securityProfileRow struct {
	ID       string `gorm:"column:id;primaryKey;<-:create" list:"ID"`
	RealmID  string `gorm:"column:realm_id" list:"RealmID"`
	Name     string `gorm:"column:name" list:"Name"`
	Roles    string `gorm:"column:roles"`
	Password string `gorm:"column:password"` // JSON
	Meta     stamps `gorm:"embedded"`
}

func (*securityProfileRow) TableName() string { return "security_profiles" }
func (r *securityProfileRow) stamp() *stamps  { return &r.Meta }

func (r *securityProfileRow) record() (storage.SecurityProfile, error) {
	p := storage.SecurityProfile{
		ID: r.ID, RealmID: r.RealmID, Name: r.Name, Roles: list(r.Roles),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
	if err := json.Unmarshal([]byte(r.Password), &p.Password); err != nil {
		return p, fmt.Errorf("password policy of security profile %q: %w", r.ID, err)
	}
	return p, nil
}

// SecurityProfile reads a security profile or returns storage.ErrNotFound.
func (s *Store) SecurityProfile(ctx context.Context, id string) (storage.SecurityProfile, error) {
	row, err := first[securityProfileRow](ctx, s, "security profile", "id = ?", id)
	if err != nil {
		return storage.SecurityProfile{}, err
	}
	return row.record()
}

// PutSecurityProfile inserts or updates a security profile and returns it as
// stored. An outdated Version is storage.ErrStale, an unknown realm
// storage.ErrNotFound.
func (s *Store) PutSecurityProfile(ctx context.Context, p storage.SecurityProfile) (storage.SecurityProfile, error) {
	policy, err := json.Marshal(p.Password)
	if err != nil {
		return storage.SecurityProfile{}, fmt.Errorf("put security profile: %w", err)
	}
	row := securityProfileRow{
		ID: p.ID, RealmID: p.RealmID, Name: p.Name, Roles: words(p.Roles), Password: string(policy),
		Meta: stamps{Version: p.Version, Created: micros(p.CreatedAt)},
	}
	if err := s.changed(ctx, put(ctx, s, "put security profile", &row), configChange{securityProfileChanged, ""}); err != nil {
		return storage.SecurityProfile{}, err
	}
	return row.record()
}

type profileAssignmentRow struct {
	ProfileID string `gorm:"column:security_profile_id;primaryKey" list:"ProfileID"`
	Party     string `gorm:"column:party;primaryKey" list:"Party"`
}

func (*profileAssignmentRow) TableName() string { return "security_profile_assignments" }

func (r *profileAssignmentRow) record() storage.ProfileAssignment {
	return storage.ProfileAssignment{ProfileID: r.ProfileID, Party: storage.Party(r.Party)}
}

// SecurityProfileParties lists the parties to which a security profile is assigned.
func (s *Store) SecurityProfileParties(ctx context.Context, id string) ([]storage.Party, error) {
	names, err := pluck[profileAssignmentRow](s.reading(ctx), "party", "security_profile_id = ?", id)
	var parties []storage.Party
	for _, name := range names {
		parties = append(parties, storage.Party(name))
	}
	return parties, s.wrap(ctx, "parties of security profile", err)
}

// AssignSecurityProfile gives a security profile to a party; doing so again
// changes nothing. An unknown profile is storage.ErrNotFound.
func (s *Store) AssignSecurityProfile(ctx context.Context, id string, to storage.Party) error {
	row := profileAssignmentRow{ProfileID: id, Party: string(to)}
	err := s.writing(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
	return s.wrap(ctx, "assign security profile", err)
}

// UnassignSecurityProfile takes a security profile from a party, or returns
// storage.ErrNotFound if the party does not have it.
func (s *Store) UnassignSecurityProfile(ctx context.Context, id string, from storage.Party) error {
	done := s.writing(ctx).Delete(&profileAssignmentRow{ProfileID: id, Party: string(from)})
	return s.wrap(ctx, "unassign security profile", affected(done.RowsAffected, done.Error, storage.ErrNotFound))
}

// securityProfiles returns all of them by id, from memory where possible.
func (s *Store) securityProfiles(ctx context.Context) (map[string]storage.SecurityProfile, error) {
	return cached(ctx, s, &s.cache.security, "", func() (map[string]storage.SecurityProfile, error) {
		return s.loadSecurityProfiles(ctx)
	})
}

func (s *Store) loadSecurityProfiles(ctx context.Context) (map[string]storage.SecurityProfile, error) {
	rows, err := find[securityProfileRow](ctx, s, "security profiles", "", "")
	if err != nil {
		return nil, err
	}
	all := make(map[string]storage.SecurityProfile, len(rows))
	for i := range rows {
		if all[rows[i].ID], err = rows[i].record(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// separator stands between aggregated ids. No id contains it.
const separator = "\n"

func splitIDs(aggregated string) []string {
	if aggregated == "" {
		return nil
	}
	return strings.Split(aggregated, separator)
}

func sortedIDs(aggregated string) []string {
	ids := splitIDs(aggregated)
	slices.Sort(ids)
	return ids
}

// roleSource is Principal.RoleSource.
func roleSource(assigned, membership string) string {
	return membership + separator + strings.Join(sortedIDs(assigned), separator)
}

// addRoles adds to a principal the roles of the assigned security profiles and of
// its membership, and tightens its lockout policy and its password rules by
// theirs.
func (s *Store) addRoles(ctx context.Context, p *storage.Principal, assigned, membership string) error {
	p.Roles = list(membership)
	ids := sortedIDs(assigned)
	p.RoleSource = membership + separator + strings.Join(ids, separator)
	if len(ids) > 0 {
		profiles, err := s.profilesWith(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			profile := profiles[id]
			p.Roles = append(p.Roles, profile.Roles...)
			p.Policy, p.Rules = p.Policy.Tightened(profile.Password), p.Rules.Tightened(profile.Password)
		}
	}
	slices.Sort(p.Roles)
	p.Roles = slices.Compact(p.Roles)
	return nil
}

// Rules returns the rules for a new permanent password in a password profile,
// tightened by the security profiles of the user's kind, of its account and, if
// it has a UID, of itself. The user need not be stored. An unknown password
// profile is storage.ErrNotFound.
func (s *Store) Rules(ctx context.Context, profileID string, u storage.User) (storage.PasswordRules, error) {
	profile, err := s.PasswordProfile(ctx, profileID)
	if err != nil {
		return storage.PasswordRules{}, err
	}
	ids, err := s.SecurityProfilesOf(ctx, u)
	if err != nil {
		return storage.PasswordRules{}, err
	}
	p := storage.Principal{Rules: profile.Rules}
	err = s.addRoles(ctx, &p, strings.Join(ids, separator), "")
	return p.Rules, err
}

// SecurityProfilesOf returns the IDs of the security profiles that are assigned to
// the user, to its account and to its kind. The user need not be stored.
func (s *Store) SecurityProfilesOf(ctx context.Context, u storage.User) ([]string, error) {
	var ids []string
	err := s.reading(ctx).Model(&profileAssignmentRow{}).Distinct("security_profile_id").
		Where("party IN ?", storage.PartiesOf(u)).Find(&ids).Error
	return ids, s.wrap(ctx, "security profiles of user", err)
}

// profilesWith returns security profiles by id, at least those of ids. It reads the
// database if memory lacks one: another replica may have just added it.
func (s *Store) profilesWith(ctx context.Context, ids []string) (map[string]storage.SecurityProfile, error) {
	profiles, err := s.securityProfiles(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, ok := profiles[id]; !ok {
			return s.loadSecurityProfiles(ctx)
		}
	}
	return profiles, nil
}
