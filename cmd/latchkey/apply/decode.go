package apply

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
)

// Decode parses a document, YAML or JSON, reads the secrets that it refers to, and checks
// it as far as possible without the database. The error is wire.Faults with all faults.
func Decode(data []byte, secrets Secrets) (Document, error) {
	var doc Document
	asJSON, err := toJSON(data)
	if err != nil {
		return Document{}, wire.Faults{{Problem: err.Error()}}
	}
	faults := wire.Decode(asJSON, "", &doc)
	doc.nameItems()
	faults = append(faults, doc.readSecrets(secrets)...)
	invalid := slices.DeleteFunc(doc.validate(), func(f wire.Fault) bool {
		unread := func(known wire.Fault) bool { return known.Path == f.Path }
		return slices.ContainsFunc(faults, unread) // reported already
	})
	if err := append(faults, invalid...).Err(); err != nil {
		return Document{}, err
	}
	return doc, nil
}

// Check completes a document that was made without Decode, and checks it likewise. The
// error is wire.Faults with all faults.
func (d *Document) Check() error {
	d.nameItems()
	return d.validate().Err()
}

// toJSON converts a YAML document to JSON. It returns a JSON document unchanged, so
// that the decoder still finds repeated members.
func toJSON(data []byte) ([]byte, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("the document is not UTF-8")
	}
	if json.Valid(data) {
		return data, nil
	}
	var root yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(data))
	switch err := in.Decode(&root); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the document is empty")
	case err != nil:
		return nil, err
	}
	if !errors.Is(in.Decode(new(yaml.Node)), io.EOF) {
		return nil, errors.New("there is more than one document")
	}
	timesToText(&root)
	var tree any
	if err := root.Decode(&tree); err != nil { // refuses repeated keys and alias bombs
		return nil, err
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return nil, errors.New("the document has a key that is not a string, or a number that is not finite")
	}
	return asJSON, nil
}

// timesToText makes strings of the scalars that YAML reads as times. Otherwise a
// password such as 2001-01-01 would silently become another text.
func timesToText(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, child := range n.Content {
		timesToText(child)
	}
}

// nameItems sets the ID of every item without one.
func (d *Document) nameItems() {
	for i := range d.Realms {
		r := &d.Realms[i]
		name(&r.ID, surface.ValueOr(r.Name, ""))
		for j := range r.PasswordProfiles {
			name(&r.PasswordProfiles[j].ID, surface.ValueOr(r.PasswordProfiles[j].Name, ""))
		}
	}
	for i := range d.SecurityProfiles {
		name(&d.SecurityProfiles[i].ID, d.SecurityProfiles[i].Name)
	}
	for i := range d.Buyers {
		name(&d.Buyers[i].ID, d.Buyers[i].Name)
		nameUsers(d.Buyers[i].Users)
	}
	for i := range d.Suppliers {
		name(&d.Suppliers[i].ID, d.Suppliers[i].Name)
		nameUsers(d.Suppliers[i].Users)
	}
	nameUsers(d.AdminUsers)
	for i := range d.ApiClients {
		name(&d.ApiClients[i].ID, d.ApiClients[i].AppName)
	}
	for i := range d.MessageSenders {
		name(&d.MessageSenders[i].ID, d.MessageSenders[i].Name)
	}
}

func nameUsers(users []User) {
	for i := range users {
		name(&users[i].ID, users[i].Username)
	}
}

// name derives a missing ID from the name of the item.
func name(id *string, from string) {
	if *id != "" {
		return
	}
	*id = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, strings.TrimSpace(from))
	*id = (*id)[:min(len(*id), 100)]
}
