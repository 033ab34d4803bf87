package console

import (
	"net/http"
	"strconv"
	"time"

	"latchkey/oauth/ordercloud/wire"
)

// overlaps are how long the former secrets of a client stay good when it gets another one,
// in hours. Empty: as before.
func overlaps() []option { return values("", "1", "24", "168", "720") }

// createSecret makes a secret of a client. The former ones can get an end, so that the
// application has time to change over.
func (x *call) createSecret() error {
	id := x.PathValue("id")
	former, err := x.goodSecrets(id)
	if err != nil {
		return err
	}
	f := &form{Name: "secret", Fields: []field{
		{Name: "Name", Kind: textField, Required: true, Value: x.console.cfg.Now().In(x.zone).Format("2006-01-02")},
		{Name: "Expiration", Kind: timeField},
	}}
	if len(former) > 0 && x.caller.Permits("apiclients.secrets.Patch") {
		f.Fields = append(f.Fields, field{Name: "Overlap", Kind: choiceField, Options: overlaps()})
	}
	var until *time.Time
	return x.change(change{
		Title: "secrets.new", About: id, Button: "secrets.create", Method: http.MethodPost, Path: pathOf("apiclients", id, "secrets"), Back: "/clients/" + id, Form: f,
		Effects: func(_, sent resource) ([]string, error) {
			effects := []string{x.t("secrets.willCreate")}
			if until := x.overlapEnd(sent); until != nil {
				for _, s := range former {
					effects = append(effects, x.t("secrets.formerEnds", "name", s.Name, "time", view{call: x}.Time(*until).Text))
				}
			} else if len(former) > 0 {
				effects = append(effects, x.t("secrets.formerStay"))
			}
			return effects, nil
		},
		Body: func(sent resource) {
			until = x.overlapEnd(sent)
			delete(sent, "Overlap")
		},
		After: func(resource) error { return x.endSecrets(id, former, until) },
		Done: func(got resource) (string, notice) {
			value, _ := got["ClientSecret"].(string)
			return "/clients/" + id, notice{Text: "secrets.created", Label: "secrets.value", Secret: value}
		},
	})
}

// goodSecrets returns the secrets of a client that have not expired.
func (x *call) goodSecrets(id string) ([]wire.ApiClientSecret, error) {
	if !x.caller.Permits("apiclients.secrets.List") {
		return nil, nil
	}
	all, err := x.secretsOf(id)
	var good []wire.ApiClientSecret
	for _, s := range all {
		if s.Expiration == nil || s.Expiration.After(x.console.cfg.Now()) {
			good = append(good, s)
		}
	}
	return good, err
}

// overlapEnd returns when the former secrets end; nil: they stay.
func (x *call) overlapEnd(sent resource) *time.Time {
	text, _ := sent["Overlap"].(string)
	hours, err := strconv.Atoi(text)
	if err != nil || hours <= 0 || hours > 10_000 {
		return nil
	}
	until := x.console.cfg.Now().Add(time.Duration(hours) * time.Hour).UTC().Truncate(time.Second)
	return &until
}

// endSecrets lets secrets end at a time, unless they end earlier.
func (x *call) endSecrets(id string, secrets []wire.ApiClientSecret, until *time.Time) error {
	if until == nil {
		return nil
	}
	for _, s := range secrets {
		if s.Expiration != nil && s.Expiration.Before(*until) {
			continue
		}
		request, err := x.request(http.MethodPatch, pathOf("apiclients", id, "secrets", s.ID), resource{"Expiration": until})
		if err != nil {
			return err
		}
		if _, err := x.send(request, nil); err != nil {
			return err
		}
	}
	return nil
}

// editSecret changes the name or the end of a secret.
func (x *call) editSecret() error {
	id := x.PathValue("id")
	path := pathOf("apiclients", id, "secrets", x.PathValue("secret"))
	return x.change(change{
		Title: "secrets.editTitle", About: id, Button: "clients.save", Method: http.MethodPatch, Path: path, Read: path, Back: "/clients/" + id,
		Object: "ApiClient/" + id + "/" + x.PathValue("secret"),
		Form:   &form{Name: "secret", Fields: []field{{Name: "Name", Kind: textField, Required: true}, {Name: "Expiration", Kind: timeField}}},
		Effects: func(_, sent resource) ([]string, error) {
			if sent["Expiration"] != nil {
				return []string{x.t("secrets.willEnd")}, nil
			}
			return nil, nil
		},
	})
}

// deleteSecret deletes a secret.
func (x *call) deleteSecret() error {
	id := x.PathValue("id")
	path := pathOf("apiclients", id, "secrets", x.PathValue("secret"))
	return x.change(change{
		Title: "secrets.deleteTitle", About: id, Button: "secrets.delete", Method: http.MethodDelete, Path: path, Read: path, Back: "/clients/" + id, Danger: true,
		Object: "ApiClient/" + id + "/" + x.PathValue("secret"),
		Effects: func(stored, _ resource) ([]string, error) {
			name, _ := stored["Name"].(string)
			effects := []string{x.t("secrets.willDelete", "name", name), x.t("secrets.breaks")}
			good, err := x.goodSecrets(id)
			if err == nil && len(good) == 1 && good[0].ID == x.PathValue("secret") {
				effects = append(effects, x.t("secrets.last"))
			}
			return effects, err
		},
	})
}
