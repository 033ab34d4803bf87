package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/oauth/ordercloud/wire"
)

// userKind is where users of a kind are: in the console, in /v1 and in audit events.
type userKind struct {
	segment    string // of paths: "buyers"
	userType   string // in wire.FoundUser
	operations string // beginning of the IDs of its operations: "buyers.users"
	object     string // in audit events: "User"
}

// userKinds returns all kinds. The first one has memberships.
func userKinds() []userKind {
	return []userKind{
		{"buyers", "Buyer", "buyers.users", "User"},
		{"suppliers", "Supplier", "suppliers.users", "SupplierUser"},
		{"admins", "Admin", "adminusers", "AdminUser"},
	}
}

func (k userKind) ofCompany() bool { return k.segment != "admins" }

// Type returns the type in wire.FoundUser.
func (k userKind) Type() string { return k.userType }

// HasMemberships reports whether its users have memberships.
func (k userKind) HasMemberships() bool { return k.segment == "buyers" }

// newUser is the last segment of the path of a user who does not exist yet. No ID is like
// that.
const newUser = "+new"

// pattern returns the path of the users of a company, or of the admin users, with more
// segments.
func (k userKind) pattern(more string) string {
	if k.ofCompany() {
		return "/users/" + k.segment + "/{company}" + more
	}
	return "/users/admins" + more
}

// page returns the path of a screen, below Path.
func (k userKind) page(company string, more ...string) string {
	segments := []string{"", "users", k.segment}
	if k.ofCompany() {
		segments = append(segments, url.PathEscape(company))
	}
	for _, s := range more {
		segments = append(segments, url.PathEscape(s))
	}
	return strings.Join(segments, "/")
}

// api returns the path of the users of a company in /v1, with more segments.
func (k userKind) api(company string, more ...string) string {
	if k.ofCompany() {
		return pathOf(append([]string{k.segment, company, "users"}, more...)...)
	}
	return pathOf(append([]string{"adminusers"}, more...)...)
}

// name returns the name of a user in audit events.
func (k userKind) name(company, id string) string {
	if k.ofCompany() {
		return k.object + "/" + company + "/" + id
	}
	return k.object + "/" + id
}

// userScreens returns the screens of the users of all kinds.
func (c *Console) userScreens() []screen {
	all := []screen{
		{path: "/users", operation: "users.Search", nav: "people.title", serve: (*call).searchUsers},
		{path: "/users/" + newUser, operation: "users.Search", serve: (*call).chooseCompany},
		{path: "/own-users", operation: "buyers.users.List", nav: "people.own", own: true, serve: ownUsers(userKinds()[0])},
		{path: "/own-supplier-users", operation: "suppliers.users.List", nav: "people.own", own: true, serve: ownUsers(userKinds()[1])},
	}
	for _, k := range userKinds() {
		one := func(more, verb string, posts bool, serve func(*call, userKind) error) screen {
			return screen{path: k.pattern(more), operation: k.operations + "." + verb, posts: posts, serve: func(x *call) error { return serve(x, k) }}
		}
		all = append(all,
			one("", "List", false, (*call).listUsers),
			one("/"+newUser, "Create", true, (*call).createUser),
			one("/{id}", "Get", false, (*call).showUser),
			one("/{id}/edit", "Patch", true, (*call).editUser),
			one("/{id}/delete", "Delete", true, (*call).deleteUser),
			one("/{id}/unlock", "Unlock", true, (*call).unlockUser),
			one("/{id}/code", "SendOneTimePassword", true, (*call).sendCode),
			one("/{id}/invitation", "SendInvitation", true, (*call).sendInvitation),
			one("/{id}/tokens", "RevokeTokens", true, (*call).revokeTokens),
		)
		all = append(all, k.sessionScreens()...)
		if k.HasMemberships() {
			all = append(all,
				screen{path: k.pattern("/{id}/memberships/" + newUser), operation: "buyers.users.memberships.Create", posts: true, serve: (*call).addMembership},
				screen{path: k.pattern("/{id}/memberships/{membership}/edit"), operation: "buyers.users.memberships.Patch", posts: true, serve: (*call).editMembership},
				screen{path: k.pattern("/{id}/memberships/{membership}/end"), operation: "buyers.users.memberships.Delete", posts: true, serve: (*call).endMembership},
			)
		}
	}
	return all
}

// ownUsers returns the screen that leads users of a company to their colleagues.
func ownUsers(k userKind) func(*call) error {
	return func(x *call) error {
		company := cmp.Or(x.caller.BuyerID, x.caller.SupplierID)
		if company == "" {
			return errNotFound
		}
		redirect(x.w, x.console.url(k.page(company)))
		return nil
	}
}

// foundUser is a row of the list of users.
type foundUser struct {
	wire.FoundUser
	URL     string
	Company string
}

// foundUsers is the data of the template "users".
type foundUsers struct {
	list[foundUser]
	Field string // that is searched; empty: all of them
	More  []moreUsers
	To    string // the screen of a user that rows lead to: "" or "sessions"
}

// moreUsers leads to the rest of a search by one field.
type moreUsers struct{ Text, URL string }

// searchFields are the fields by which /v1/users searches.
func searchFields() []string { return []string{"Username", "Email", "LastName"} }

// searchUsers finds users of all companies.
func (x *call) searchUsers() error {
	found, err := x.findUsers("")
	if err != nil {
		return err
	}
	return x.show("users", "people.title", found)
}

// findUsers reads what the search box asks for: users by all fields, or a page of a search by
// one of them.
func (x *call) findUsers(to string) (foundUsers, error) {
	field := x.URL.Query().Get("searchOn")
	if !slices.Contains(searchFields(), field) {
		field = ""
	}
	search := strings.TrimSpace(x.URL.Query().Get("search"))
	if field != "" || search == "" {
		page, err := readList[wire.FoundUser](x, pathOf("users"), "searchOn")
		found := foundUsers{Field: field, To: to, list: list[foundUser]{Search: page.Search, Values: page.Values, Next: page.Next, First: page.First, Action: page.Action}}
		found.add(x, page.Items, to)
		return found, err
	}
	found := foundUsers{To: to, list: list[foundUser]{Search: search, Action: x.console.base + x.URL.Path}}
	for _, field := range searchFields() {
		var page wire.List[wire.FoundUser]
		if _, err := x.get(pathOf("users"), url.Values{"search": {search}, "searchOn": {field}, "pageSize": {"20"}}, &page); err != nil {
			return found, err
		}
		found.add(x, page.Items, to)
		if page.Meta.NextPageKey != nil {
			query := url.Values{"search": {search}, "searchOn": {field}}
			found.More = append(found.More, moreUsers{"searchfield." + field + ".more", found.Action + "?" + query.Encode()})
		}
	}
	return found, nil
}

// add adds users who are not in the list yet.
func (f *foundUsers) add(x *call, users []wire.FoundUser, to string) {
	for _, u := range users {
		row := foundUser{FoundUser: u}
		if u.CompanyID != nil {
			row.Company = *u.CompanyID
		}
		for _, k := range userKinds() {
			if k.userType == u.UserType {
				segments := []string{u.ID}
				if to != "" {
					segments = append(segments, to)
				}
				row.URL = x.console.url(k.page(row.Company, segments...))
			}
		}
		known := func(other foundUser) bool { return other.URL == row.URL && other.Username == row.Username }
		if !slices.ContainsFunc(f.Items, known) {
			f.Items = append(f.Items, row)
		}
	}
}

// userList is the data of the template "company_users".
type userList struct {
	list[wire.User]
	Company   string
	URL       string // of the list; a user's is below it
	MayCreate bool
}

// listUsers lists the users of a company, or the admin users.
func (x *call) listUsers(k userKind) error {
	company := x.PathValue("company")
	found, err := readList[wire.User](x, k.api(company))
	if err != nil {
		return err
	}
	return x.show("company_users", "usertype."+k.userType+".of", userList{
		list: found, Company: company, URL: x.console.url(k.page(company)), MayCreate: x.caller.Permits(k.operations + ".Create"),
	})
}

// companies is the data of the template "new_user".
type companies struct {
	list[companyLink]
	Buyers    []companyLink
	Suppliers []companyLink
	Admins    string // URL of the form for an admin user; empty: the caller may not make any
}

type companyLink struct{ Name, ID, URL string }

// chooseCompany shows where a new user can belong.
func (x *call) chooseCompany() error {
	v := companies{list: list[companyLink]{Search: strings.TrimSpace(x.URL.Query().Get("search")), Action: x.console.url("/users/" + newUser)}}
	query := url.Values{"pageSize": {"20"}}
	if v.Search != "" {
		query.Set("search", v.Search)
	}
	for _, k := range userKinds() {
		if !x.caller.Permits(k.operations + ".Create") {
			continue
		}
		if !k.ofCompany() {
			v.Admins = x.console.url(k.page("", newUser))
			continue
		}
		if !x.caller.Permits(k.segment + ".List") {
			continue
		}
		var page wire.List[wire.Buyer] // suppliers have the same members
		if _, err := x.get(pathOf(k.segment), query, &page); err != nil {
			return err
		}
		links := &v.Buyers
		if !k.HasMemberships() {
			links = &v.Suppliers
		}
		for _, company := range page.Items {
			*links = append(*links, companyLink{company.Name, company.ID, x.console.url(k.page(company.ID, newUser))})
		}
	}
	return x.show("new_user", "people.new", v)
}

// shownUser is the data of the template "user".
type shownUser struct {
	wire.User
	Kind        userKind
	Company     string
	Name        string
	URL         string // of the page; others of the user are below it
	ListURL     string // of the users of the company
	Active      bool
	Lockout     *wire.UserLockout // nil: the caller may not see it
	Memberships []wire.Membership
	Operations  map[string]bool // that the caller may use, by the last part of their IDs
}

// showUser shows a user with its locks and memberships.
func (x *call) showUser(k userKind) error {
	company, id := x.PathValue("company"), x.PathValue("id")
	v := shownUser{
		Kind: k, Company: company, URL: x.console.url(k.page(company, id)), ListURL: x.console.url(k.page(company)), Operations: map[string]bool{},
	}
	if _, err := x.get(k.api(company, id), nil, &v.User); err != nil {
		return err
	}
	v.Active = v.User.Active == nil || *v.User.Active
	v.Name = cmp.Or(strings.TrimSpace(v.FirstName+" "+v.LastName), v.Username, v.ID)
	for _, verb := range []string{"List", "Patch", "Delete", "Unlock", "SendOneTimePassword", "SendInvitation", "RevokeTokens", "ListSessions", "ListConsents"} {
		v.Operations[verb] = x.caller.Permits(k.operations + "." + verb)
	}
	if x.caller.Permits(k.operations + ".GetLockout") {
		v.Lockout = &wire.UserLockout{}
		if _, err := x.get(k.api(company, id, "lockout"), nil, v.Lockout); err != nil {
			return err
		}
	}
	if k.HasMemberships() && x.caller.Permits("buyers.users.memberships.List") {
		var page wire.List[wire.Membership]
		if _, err := x.get(k.api(company, id, "memberships"), url.Values{"pageSize": {"100"}, "sortBy": {"CompanyName"}}, &page); err != nil {
			return err
		}
		v.Memberships = page.Items
	}
	return x.show("user", "people.one", v)
}

// userForm returns the form for a user.
func (x *call) userForm() *form {
	fields := []field{
		{Name: "Username", Kind: textField, Required: true},
		{Name: "FirstName", Kind: textField},
		{Name: "LastName", Kind: textField},
		{Name: "Email", Kind: textField},
		{Name: "Phone", Kind: textField},
		{Name: "Active", Kind: checkField},
		{Name: "Password", Kind: passwordField, Group: "people.further"},
		{Name: "xp", Kind: jsonField},
	}
	if x.caller.BuyerID == "" && x.caller.SupplierID == "" {
		fields = slices.Insert(fields, 4, field{Name: "EmailVerified", Kind: checkField})
	}
	return &form{Name: "user", Fields: fields}
}

// createUser makes a user.
func (x *call) createUser(k userKind) error {
	company := x.PathValue("company")
	f := x.userForm()
	f.Fields = slices.Insert(f.Fields, 1, field{Name: "ID", Kind: textField})
	f.Fields[slices.IndexFunc(f.Fields, func(f field) bool { return f.Name == "Active" })].Value = "true"
	back := k.page(company)
	if !x.caller.Permits(k.operations + ".List") {
		back = "/"
	}
	return x.change(change{
		Title: "people.new", Button: "people.create", Method: http.MethodPost, Path: k.api(company), Form: f, Back: back,
		Body: func(sent resource) { sent["Active"] = sent["Active"] == true },
		Done: func(got resource) (string, notice) {
			id, _ := got["ID"].(string)
			return k.page(company, id), notice{Text: "people.created"}
		},
	})
}

// userChange returns a change of the user in the path.
func (x *call) userChange(k userKind, method string, more ...string) change {
	company, id := x.PathValue("company"), x.PathValue("id")
	return change{
		Method: method, Path: k.api(company, append([]string{id}, more...)...), Object: k.name(company, id), Back: k.page(company, id),
	}
}

// editUser changes a user.
func (x *call) editUser(k userKind) error {
	c := x.userChange(k, http.MethodPatch)
	c.Title, c.Button, c.Read, c.Form = "people.edit", "people.save", c.Path, x.userForm()
	c.Effects = func(stored, sent resource) ([]string, error) {
		var effects []string
		if active, changed := sent["Active"]; changed && active == false {
			effects = append(effects, x.t("people.effectInactive"))
		}
		if _, changed := sent["Password"]; changed {
			effects = append(effects, x.t("people.effectPassword"))
		}
		if _, changed := sent["Email"]; changed && stored["Email"] != "" {
			effects = append(effects, x.t("people.effectEmail"))
		}
		if _, changed := sent["Username"]; changed {
			effects = append(effects, x.t("people.effectUsername"))
		}
		return effects, nil
	}
	return x.change(c)
}

// deleteUser deletes a user.
func (x *call) deleteUser(k userKind) error {
	c := x.userChange(k, http.MethodDelete)
	c.Title, c.Button, c.Read, c.Danger = "people.delete", "people.delete", c.Path, true
	c.Effects = func(stored, _ resource) ([]string, error) {
		name, _ := stored["Username"].(string)
		return []string{x.t("people.effectDelete", "name", name), x.t("people.effectDeleteTokens"), x.t("people.effectDeleteKept")}, nil
	}
	c.Done = func(resource) (string, notice) {
		company := x.PathValue("company")
		if x.caller.Permits(k.operations + ".List") {
			return k.page(company), notice{Text: "people.deleted"}
		}
		return "/", notice{Text: "people.deleted"}
	}
	return x.change(c)
}

// unlockUser ends the locks of a user.
func (x *call) unlockUser(k userKind) error {
	c := x.userChange(k, http.MethodPost, "unlock")
	c.Title, c.Button = "people.unlock", "people.unlock"
	c.Effects = func(resource, resource) ([]string, error) {
		effects := []string{x.t("people.effectUnlock"), x.t("people.effectGuesses")}
		if !x.caller.Permits(k.operations + ".GetLockout") {
			return effects, nil
		}
		var lockout wire.UserLockout
		if _, err := x.get(k.api(x.PathValue("company"), x.PathValue("id"), "lockout"), nil, &lockout); err != nil {
			return nil, err
		}
		return append(x.locks(&lockout), effects...), nil
	}
	c.Done = func(resource) (string, notice) { return c.Back, notice{Text: "people.unlocked"} }
	return x.change(c)
}

// locks returns a sentence for each lock of a user.
func (x *call) locks(lockout *wire.UserLockout) (sentences []string) {
	until := func(end *time.Time) string {
		if end.Year() >= endOfTime {
			return x.t("people.untilUnlock")
		}
		return view{call: x}.Time(end).Text
	}
	for i := range lockout.Logins {
		l := &lockout.Logins[i]
		if end := l.Passwords.LockedUntil; end != nil {
			sentences = append(sentences, x.t("people.lockPasswords", "name", l.Username, "failures", strconv.Itoa(l.Passwords.FailedAttempts), "until", until(end)))
		}
		if end := l.Codes.LockedUntil; end != nil {
			sentences = append(sentences, x.t("people.lockCodes", "name", l.Username, "failures", strconv.Itoa(l.Codes.FailedAttempts), "until", until(end)))
		}
		for _, s := range l.Sources {
			if s.LockedUntil != nil {
				sentences = append(sentences, x.t("people.lockSource", "name", l.Username, "address", s.Address, "failures", strconv.Itoa(s.FailedAttempts), "until", until(s.LockedUntil)))
			}
		}
	}
	return sentences
}

// endOfTime is the year of the end of a lock that only an administrator ends.
const endOfTime = 9999

// Locks returns a sentence for each lock of a user.
func (v view) Locks(lockout *wire.UserLockout) []string { return v.locks(lockout) }

// maxChoices is how many clients are offered. If there are more, their ID is typed.
const maxChoices = 100

// sendCode sends a user a one-time password.
func (x *call) sendCode(k userKind) error {
	client := field{Name: "ClientID", Kind: textField, Required: true}
	if x.caller.Permits("apiclients.List") {
		var page wire.List[wire.ApiClient]
		if _, err := x.get(pathOf("apiclients"), url.Values{"Active": {"true"}, "sortBy": {"AppName"}, "pageSize": {strconv.Itoa(maxChoices)}}, &page); err != nil {
			return err
		}
		if page.Meta.NextPageKey == nil && len(page.Items) > 0 {
			client.Kind = choiceField
			for i := range page.Items {
				client.Options = append(client.Options, option{page.Items[i].ID, page.Items[i].AppName + " (" + page.Items[i].ID + ")"})
			}
		}
	}
	c := x.userChange(k, http.MethodPost, "onetimepassword")
	c.Title, c.Button, c.Form = "people.sendCode", "people.sendCode", &form{Name: "usercode", Fields: []field{client}}
	c.Effects = func(resource, resource) ([]string, error) { return []string{x.t("people.effectCode")}, nil }
	c.Done = func(resource) (string, notice) {
		return c.Back, notice{Text: "people.codeSent", Pairs: []string{"id", x.console.cfg.TraceID(x.Context())}}
	}
	return x.change(c)
}

// sendInvitation invites a user again.
func (x *call) sendInvitation(k userKind) error {
	c := x.userChange(k, http.MethodPost, "invitation")
	c.Title, c.Button = "people.sendInvitation", "people.sendInvitation"
	c.Effects = func(resource, resource) ([]string, error) { return []string{x.t("people.effectInvitation")}, nil }
	c.Done = func(resource) (string, notice) {
		return c.Back, notice{Text: "people.invitationSent", Pairs: []string{"id", x.console.cfg.TraceID(x.Context())}}
	}
	return x.change(c)
}

// revokeTokens ends all tokens of a user.
func (x *call) revokeTokens(k userKind) error {
	c := x.userChange(k, http.MethodDelete, "tokens")
	c.Title, c.Button, c.Danger = "people.revokeTokens", "people.revokeTokens", true
	c.Effects = func(resource, resource) ([]string, error) {
		return []string{x.t("people.effectTokens"), x.t("people.effectOffline")}, nil
	}
	c.Done = func(resource) (string, notice) { return c.Back, notice{Text: "people.tokensRevoked"} }
	return x.change(c)
}

// membershipChange returns a change of a membership of the user in the path.
func (x *call) membershipChange(method string, more ...string) change {
	k := userKinds()[0]
	c := x.userChange(k, method, append([]string{"memberships"}, more...)...)
	c.Object = ""
	if len(more) > 0 {
		c.Read, c.Object = c.Path, "Membership/"+x.PathValue("company")+"/"+x.PathValue("id")+"/"+more[0]
	}
	return c
}

// addMembership makes a user a member of a company.
func (x *call) addMembership() error {
	c := x.membershipChange(http.MethodPost)
	c.Title, c.Button = "people.addMembership", "people.addMembership"
	c.Form = &form{Name: "membership", Fields: []field{
		{Name: "CompanyID", Kind: textField, Required: true}, {Name: "Roles", Kind: linesField},
	}}
	return x.change(c)
}

// editMembership changes the roles of a membership.
func (x *call) editMembership() error {
	c := x.membershipChange(http.MethodPatch, x.PathValue("membership"))
	c.Title, c.Button = "people.editMembership", "people.save"
	c.Form = &form{Name: "membership", Fields: []field{{Name: "Roles", Kind: linesField}}}
	return x.change(c)
}

// endMembership ends a membership.
func (x *call) endMembership() error {
	c := x.membershipChange(http.MethodDelete, x.PathValue("membership"))
	c.Title, c.Button, c.Danger = "people.endMembership", "people.endMembership", true
	c.Effects = func(stored, _ resource) ([]string, error) {
		name, _ := stored["CompanyName"].(string)
		id, _ := stored["CompanyID"].(string)
		effects := []string{x.t("people.effectMembership", "company", cmp.Or(name, id))}
		if stored["Own"] == true {
			effects = append(effects, x.t("people.effectOwnMembership"))
		}
		return effects, nil
	}
	return x.change(c)
}
