package apply

import (
	"strings"

	"latchkey/grants/signin"
	"latchkey/oauth/ordercloud/wire"
)

// validate returns the faults of all items that can be found without the database.
func (d *Document) validate() wire.Faults {
	v := validator{seen: map[string]string{}}
	for i, r := range d.Realms {
		path := wire.Index("authentication_realms", i)
		v.add(r.validate(path))
		v.once("realm ", r.ID, path)
		for j, p := range r.PasswordProfiles {
			v.once("password profile ", p.ID, wire.Index(path+".password_profiles", j))
		}
	}
	for i, p := range d.SecurityProfiles {
		path := wire.Index("SecurityProfiles", i)
		v.add(p.Validate(path))
		v.once("security profile ", p.ID, path)
		for j, a := range p.Assignments {
			v.assignment(wire.Index(path+".Assignments", j), "SecurityProfileID", a.SecurityProfileID, p.ID, a.Validate)
		}
	}
	for i, b := range d.Buyers {
		path := wire.Index("Buyers", i)
		v.add(b.Validate(path))
		v.once("buyer ", b.ID, path)
		v.users(path+".Users", "user "+b.ID+"/", b.Users)
	}
	for i, s := range d.Suppliers {
		path := wire.Index("Suppliers", i)
		v.add(s.Validate(path))
		v.once("supplier ", s.ID, path)
		v.users(path+".Users", "supplier user "+s.ID+"/", s.Users)
	}
	v.users("AdminUsers", "admin user ", d.AdminUsers)
	d.validateClientsAndSenders(&v)
	for i, m := range d.Memberships {
		path := wire.Index("account_memberships", i)
		v.add(m.validate(path))
		v.once("membership "+m.AccountID+" ", m.MemberID, path)
	}
	return v.faults
}

func (d *Document) validateClientsAndSenders(v *validator) {
	for i, c := range d.ApiClients {
		path := wire.Index("ApiClients", i)
		v.add(c.Validate(path))
		v.once("client ", strings.ToLower(c.ID), path)
		for j, a := range c.Assignments {
			v.assignment(wire.Index(path+".Assignments", j), "ApiClientID", a.ApiClientID, c.ID, a.Validate)
		}
	}
	for i, s := range d.MessageSenders {
		path := wire.Index("MessageSenders", i)
		// Whether a secret is missing depends on the stored ones.
		v.add(s.Validate(path, wire.Kept{SharedKey: true, SigningSecrets: true, SMTPPassword: true}))
		v.once("sender ", s.ID, path)
		for j, a := range s.Assignments {
			v.assignment(wire.Index(path+".Assignments", j), "MessageSenderID", a.MessageSenderID, s.ID, a.Validate)
		}
	}
}

type validator struct {
	faults wire.Faults
	seen   map[string]string // path of the item, by the record that it describes
}

func (v *validator) add(f wire.Faults) { v.faults = append(v.faults, f...) }

// once adds a fault if another item describes the same record. An item without an ID
// has a fault already.
func (v *validator) once(what, id, path string) {
	if id == "" {
		return
	}
	what += id
	if first, ok := v.seen[what]; ok {
		v.faults.Add(path, "has the ID of %s", first)
		return
	}
	v.seen[what] = path
}

// assignment checks an assignment inside its resource. It may repeat the ID of the
// resource.
func (v *validator) assignment(path, field, id, parent string, validate func(string) wire.Faults) {
	v.add(validate(path))
	if id != "" && !strings.EqualFold(id, parent) {
		v.faults.Add(wire.Join(path, field), "must be that of the item around it, or absent")
	}
}

func (v *validator) users(path, what string, users []User) {
	for i, u := range users {
		path := wire.Index(path, i)
		v.add(u.Validate(path))
		v.once(what, u.ID, path)
		if u.Locale != "" && !isLocale(u.Locale) {
			v.faults.Add(wire.Join(path, "Locale"), "must be a language such as de or de-AT")
		}
		if u.PasswordHash == nil {
			continue
		}
		if err := signin.CheckEncoded(*u.PasswordHash); err != nil {
			v.faults.Add(wire.Join(path, "PasswordHash"), "%v", err)
		}
		if u.Password != nil {
			v.faults.Add(wire.Join(path, "PasswordHash"), "cannot stand beside Password")
		}
	}
}

// isLocale reports whether the text looks like a language tag (RFC 5646) or like the
// name of a POSIX locale.
func isLocale(text string) bool {
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '-' || r == '_' }) {
		if len(part) > 8 {
			return false
		}
	}
	first, _, _ := strings.Cut(strings.ReplaceAll(text, "_", "-"), "-")
	strange := func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	return len(text) <= 35 && len(first) >= 2 && !strings.ContainsFunc(text, strange)
}
