package ordercloud

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// securityProfileAssignments give security profiles to users, to all users of a
// company and to all admin users.
type securityProfileAssignments struct{ *API }

func (a securityProfileAssignments) routes() []route {
	const path = "/v1/securityprofiles/assignments"
	admin := []string{"SecurityProfileAdmin"}
	operation := func(method, path, verb, summary string, roles []string) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path, ID: "securityprofiles.assignments." + verb, Tag: "SecurityProfileAssignment",
			Summary: summary, Roles: roles, Refuses: []int{400, 404}, Answers: map[int]any{http.StatusNoContent: nil},
		}
	}
	list := operation(http.MethodGet, path, "List", "List who holds which security profile", []string{"SecurityProfileAdmin", "SecurityProfileReader"})
	list.Answers = map[int]any{http.StatusOK: wire.List[wire.SecurityProfileAssignment]{}}
	list.Query = append(append(listParameters(), partyParameters()...), groupParameter(),
		openapi.Parameter{Name: "userID", About: "User of that buyer or supplier, otherwise an admin user"},
		openapi.Parameter{Name: "commerceRole", About: "Buyer, Supplier or Seller: the side that holds the profile"},
		openapi.Parameter{Name: "level", About: "User for assignments to single users, Company for those to all users of a company or all admin users, Group for those to user groups, of which there are none"})
	create := operation(http.MethodPost, path, "Save", "Give a security profile to a user, the users of a company or all admin users", admin)
	create.Body = wire.SecurityProfileAssignment{}
	remove := operation(http.MethodDelete, "/v1/securityprofiles/{securityProfileID}/assignments", "Delete", "Take a security profile away", admin)
	remove.Query = append(partyParameters(), openapi.Parameter{Name: "userID", About: "User of that buyer or supplier, otherwise an admin user"})
	return []route{
		{Operation: list, serve: a.list},
		{Operation: create, serve: a.save},
		{Operation: remove, serve: a.delete},
	}
}

// holder finds the party of an assignment.
func (a securityProfileAssignments) holder(c *call, w wire.SecurityProfileAssignment) (storage.Party, error) {
	company, err := a.party(c, w.BuyerID, w.SupplierID)
	switch {
	case err != nil:
		return "", err
	case w.UserID == nil && company.UID == "":
		return storage.KindParty(storage.Admin), nil
	case w.UserID == nil:
		return storage.AccountParty(company.UID), nil
	}
	kind := storage.Admin
	if company.UID != "" {
		kind = company.Kind
	}
	user, err := a.cfg.Stores.Users.User(c.Context(), storage.DefaultRealmID, kind, company.UID, *w.UserID)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound("User", *w.UserID)
	}
	return storage.UserParty(user.UID), err
}

// save gives a profile to a party. The profile is read in the same transaction, so it
// cannot get roles that the caller may not give between the check and the assignment.
func (a securityProfileAssignments) save(c *call) (surface.Answer, error) {
	var w wire.SecurityProfileAssignment
	if err := c.readExactly(&w); err != nil {
		return surface.Answer{}, err
	}
	faults := w.Validate("")
	if w.SecurityProfileID == "" {
		faults.Add("SecurityProfileID", "is required")
	}
	if err := faults.Err(); err != nil {
		return surface.Answer{}, err
	}
	err := c.inTx(func(c *call) error {
		profile, party, err := a.assignable(c, w)
		if errors.Is(err, storage.ErrNotFound) {
			return notFound("SecurityProfile", w.SecurityProfileID)
		}
		if err != nil {
			return err
		}
		return a.cfg.Stores.Assignments.AssignSecurityProfile(c.Context(), profile.ID, party)
	})
	if err != nil {
		return surface.Answer{}, err
	}
	a.record(c, "securityprofileassignment.created", profileAssignmentObject(w))
	return surface.Answer{Status: http.StatusNoContent}, nil
}

// assignable returns the profile and the party of an assignment that the caller
// may make and end.
func (a securityProfileAssignments) assignable(c *call, w wire.SecurityProfileAssignment) (storage.SecurityProfile, storage.Party, error) {
	profile, err := a.cfg.Stores.Profiles.SecurityProfile(c.Context(), w.SecurityProfileID)
	if err != nil {
		return profile, "", err
	}
	party, err := a.holder(c, w)
	if err == nil {
		err = a.cfg.Rules.AssignSecurityProfile(c.Context(), c.caller.Authority(), profile, party)
	}
	return profile, party, err
}

func (a securityProfileAssignments) delete(c *call) (surface.Answer, error) {
	w := wire.SecurityProfileAssignment{SecurityProfileID: c.PathValue("securityProfileID")}
	w.BuyerID, w.SupplierID, w.UserID = c.queryID("buyerID"), c.queryID("supplierID"), c.queryID("userID")
	if err := w.Validate("").Err(); err != nil {
		return surface.Answer{}, err
	}
	err := c.inTx(func(c *call) error {
		_, party, err := a.assignable(c, w)
		if err != nil {
			return err
		}
		return a.cfg.Stores.Assignments.UnassignSecurityProfile(c.Context(), w.SecurityProfileID, party)
	})
	if errors.Is(err, storage.ErrNotFound) {
		return surface.Answer{}, notFound("SecurityProfileAssignment", w.SecurityProfileID)
	}
	if err != nil {
		return surface.Answer{}, err
	}
	a.record(c, "securityprofileassignment.deleted", profileAssignmentObject(w))
	return surface.Answer{Status: http.StatusNoContent}, nil
}

// profileAssignmentObject returns the name of an assignment in audit events.
func profileAssignmentObject(a wire.SecurityProfileAssignment) string {
	name := "SecurityProfile/" + a.SecurityProfileID
	for _, part := range []struct {
		object string
		id     *string
	}{{"Buyer", a.BuyerID}, {"Supplier", a.SupplierID}, {"User", a.UserID}} {
		if part.id != nil {
			name += "/" + part.object + "/" + *part.id
		}
	}
	return name
}

// list answers with a page of assignments. Parameters name their parties by ID, so the
// parties are looked up first. buyerID without userID selects the assignments to the buyer
// itself, not those to its users.
func (a securityProfileAssignments) list(c *call) (surface.Answer, error) {
	q, err := c.query(fields{"SecurityProfileID": {record: "ProfileID"}}, []string{"SecurityProfileID"})
	if err != nil {
		return surface.Answer{}, err
	}
	condition, err := a.partyCondition(c)
	if err != nil {
		return surface.Answer{}, err
	}
	q.Where = append(q.Where, condition...)
	if len(q.Sort) == 0 {
		q.Sort = []storage.Order{{Field: "ProfileID"}, {Field: "Party"}}
	}
	found, err := a.cfg.Stores.Assignments.ListProfileAssignments(c.Context(), q)
	if err != nil {
		return surface.Answer{}, err
	}
	shown, err := a.shownAssignments(c, found.Items)
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, storage.WithItems(found, shown),
		func(w wire.SecurityProfileAssignment) wire.SecurityProfileAssignment { return w })
}

// partyCondition reads the parameters that select assignments by their party.
func (a securityProfileAssignments) partyCondition(c *call) ([]storage.Condition, error) {
	w := wire.SecurityProfileAssignment{BuyerID: c.queryID("buyerID"), SupplierID: c.queryID("supplierID"), UserID: c.queryID("userID")}
	if err := w.Validate("").Err(); err != nil {
		return nil, err
	}
	all, err := levelAndRole(c.values)
	if err != nil {
		return nil, err
	}
	if c.queryID("userGroupID") != nil {
		all = append(all, matchesNothing("Party"))
	}
	if w.BuyerID == nil && w.SupplierID == nil && w.UserID == nil {
		return all, nil
	}
	party, err := a.holder(c, w)
	if isMissing(err) {
		return append(all, matchesNothing("Party")), nil
	}
	return append(all, equals("Party", string(party))), err
}

// levelAndRole reads the parameters level and commerceRole of a list of
// assignments.
func levelAndRole(values url.Values) ([]storage.Condition, error) {
	var all []storage.Condition
	switch level := strings.ToLower(values.Get("level")); level {
	case "":
	case "user", "company":
		toUser := storage.Test{Op: storage.OpLike, Value: string(storage.UserParty("*")), Not: level == "company"}
		all = append(all, storage.Condition{Fields: []string{"Party"}, Tests: []storage.Test{toUser}})
	case "group":
		all = append(all, matchesNothing("Party"))
	default:
		return nil, wire.Faults{{Path: "level", Problem: "must be User, Group or Company"}}
	}
	switch role := strings.ToLower(values.Get("commerceRole")); role {
	case "":
	case "buyer", "supplier":
		all = append(all, equals("Kind", role))
	case "seller":
		all = append(all, equals("Kind", string(storage.Admin)))
	default:
		return nil, wire.Faults{{Path: "commerceRole", Problem: "must be Buyer, Supplier or Seller"}}
	}
	return all, nil
}

func isMissing(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.status == http.StatusNotFound
}

// shownAssignments returns the assignments with the IDs of their parties. It leaves out
// parties that do not exist any more.
func (a securityProfileAssignments) shownAssignments(c *call, assigned []storage.ProfileAssignment) ([]wire.SecurityProfileAssignment, error) {
	var userUIDs, accountUIDs []string
	for _, one := range assigned {
		switch kind, uid, _ := strings.Cut(string(one.Party), ":"); kind {
		case "user":
			userUIDs = append(userUIDs, uid)
		case "account":
			accountUIDs = append(accountUIDs, uid)
		}
	}
	users := map[string]storage.User{}
	for some := range slices.Chunk(surface.SortedSet(userUIDs), maxLookup) {
		found, err := a.cfg.Stores.Users.ListUsers(c.Context(), storage.UserScope{RealmID: storage.DefaultRealmID}, withUIDs(some))
		if err != nil {
			return nil, err
		}
		for _, u := range found.Items {
			users[u.User.UID] = u.User
			if u.User.AccountUID != "" {
				accountUIDs = append(accountUIDs, u.User.AccountUID)
			}
		}
	}
	accounts, err := a.accountsByUID(c, accountUIDs)
	if err != nil {
		return nil, err
	}
	return shownParties(assigned, users, accounts), nil
}

func shownParties(assigned []storage.ProfileAssignment, users map[string]storage.User, accounts map[string]storage.Account) []wire.SecurityProfileAssignment {
	all := []wire.SecurityProfileAssignment{}
	for _, one := range assigned {
		w := wire.SecurityProfileAssignment{SecurityProfileID: one.ProfileID}
		kind, uid, _ := strings.Cut(string(one.Party), ":")
		account, known := accounts[uid]
		if kind == "user" {
			user, ok := users[uid]
			w.UserID = &user.ID
			account = accounts[user.AccountUID]
			known = ok && (user.AccountUID == "" || account.UID != "")
		}
		w.BuyerID, w.SupplierID = partyIDs(account)
		if known || one.Party == storage.KindParty(storage.Admin) {
			all = append(all, w)
		}
	}
	return all
}
