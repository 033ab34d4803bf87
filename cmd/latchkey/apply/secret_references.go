package apply

import (
	"errors"
	"os"
	"regexp"
	"strings"

	"latchkey/oauth/ordercloud/wire"
)

// Secrets is where the secrets are that a document refers to: by ${NAME}, or by a
// member that names a file. A nil function refuses such references.
type Secrets struct {
	Lookup   func(name string) (value string, ok bool) // a variable of the environment
	ReadFile func(path string) ([]byte, error)
}

// variable matches a whole secret that stands for a variable of the environment.
var variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// secretReader replaces references by secrets. Its faults never hold a secret.
type secretReader struct {
	from   Secrets
	faults wire.Faults
}

// readSecrets replaces every reference in the document by the secret.
func (d *Document) readSecrets(from Secrets) wire.Faults {
	r := secretReader{from: from}
	for i := range d.Buyers {
		r.users(wire.Index("Buyers", i)+".Users", d.Buyers[i].Users)
	}
	for i := range d.Suppliers {
		r.users(wire.Index("Suppliers", i)+".Users", d.Suppliers[i].Users)
	}
	r.users("AdminUsers", d.AdminUsers)
	for i := range d.ApiClients {
		c := &d.ApiClients[i]
		r.one(wire.Index("ApiClients", i), "ClientSecret", &c.ClientSecret, c.ClientSecretFile)
	}
	for i := range d.MessageSenders {
		r.sender(wire.Index("MessageSenders", i), &d.MessageSenders[i])
	}
	return r.faults
}

func (r *secretReader) users(path string, users []User) {
	for i := range users {
		u, path := &users[i], wire.Index(path, i)
		r.one(path, "Password", &u.Password, u.PasswordFile)
		r.one(path, "PasswordHash", &u.PasswordHash, u.PasswordHashFile)
	}
}

func (r *secretReader) sender(path string, s *MessageSender) {
	r.one(path, "SharedKey", &s.SharedKey, s.SharedKeyFile)
	if s.SigningSecretsFile != nil {
		if s.SigningSecrets != nil {
			r.faults.Add(wire.Join(path, "SigningSecretsFile"), "cannot stand beside SigningSecrets")
		}
		s.SigningSecrets = strings.Fields(r.file(wire.Join(path, "SigningSecretsFile"), *s.SigningSecretsFile))
	}
	for i := range s.SigningSecrets {
		s.SigningSecrets[i] = r.value(wire.Index(wire.Join(path, "SigningSecrets"), i), s.SigningSecrets[i])
	}
	if s.SMTP != nil {
		r.one(wire.Join(path, "SMTP"), "Password", &s.SMTP.Password, s.SMTP.PasswordFile)
		s.MessageSender.SMTP = &s.SMTP.SMTP
	}
}

// one reads a member of the item at path, from the file if that is not nil.
func (r *secretReader) one(path, member string, secret **string, file *string) {
	switch {
	case file != nil && *secret != nil:
		r.faults.Add(wire.Join(path, member+"File"), "cannot stand beside %s", member)
	case file != nil:
		value := r.file(wire.Join(path, member+"File"), *file)
		*secret = &value
	case *secret != nil:
		value := r.value(wire.Join(path, member), **secret)
		*secret = &value
	}
}

// value returns the secret, or the variable that it stands for.
func (r *secretReader) value(path, secret string) string {
	named := variable.FindStringSubmatch(secret)
	if named == nil {
		return secret
	}
	if r.from.Lookup != nil {
		if value, ok := r.from.Lookup(named[1]); ok && value != "" {
			return value
		}
	}
	r.faults.Add(path, "the variable %s is not set in the environment", named[1])
	return secret
}

// file returns the content of a file without the end of its last line.
func (r *secretReader) file(path, name string) string {
	if r.from.ReadFile == nil {
		r.faults.Add(path, "no file can be read here")
		return ""
	}
	data, err := r.from.ReadFile(name)
	if err != nil {
		problem := err
		if failed, ok := errors.AsType[*os.PathError](err); ok {
			problem = failed.Err
		}
		r.faults.Add(path, "%s: %v", name, problem)
		return ""
	}
	return strings.TrimRight(string(data), "\r\n")
}
