package ordercloud

import (
	"errors"
	"net/http"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var (
	errNoSecret = refuse(http.StatusBadRequest, "MessageSender.NoSecret",
		"The sender has no secret of its own: it is not a webhook, or its delivery config has the secret.")
	errNoFormerSecret = refuse(http.StatusConflict, "MessageSender.NoFormerSecret", "The sender has no former secret.")
)

// messageSenderSecrets rotates the secrets of webhooks.
type messageSenderSecrets struct{ *API }

func (a messageSenderSecrets) routes() []route {
	operation := func(path, verb, summary string, status int, answer any, refuses ...int) openapi.Operation {
		return openapi.Operation{
			Method: http.MethodPost, Path: "/v1/messagesenders/{messageSenderID}/secret/" + path, ID: "messagesenders.secret." + verb,
			Tag: "MessageSender", Summary: summary, Roles: []string{"MessageSenderAdmin"}, Answers: map[int]any{status: answer}, Refuses: refuses,
			Headers: []openapi.Parameter{{Name: "If-Match", About: "Entity tag that the sender must still have"}},
		}
	}
	return []route{
		{
			Operation: operation("rotate", "Rotate", "Make a new secret of a webhook, which only this answer shows. With Standard Webhooks the former one signs as well until it is retired",
				http.StatusOK, wire.MessageSenderSecret{}, 400, 404, 412),
			serve: a.rotate,
		},
		{
			Operation: operation("retire", "Retire", "Let only the newest secret of a webhook sign", http.StatusNoContent, nil, 400, 404, 409, 412),
			serve:     a.retire,
		},
	}
}

// change calls change with the sender in the path and stores the result. It returns the
// stored sender and the names of the secrets that changed.
func (a messageSenderSecrets) change(c *call, change func(*storage.Sender) error) (stored storage.Sender, changed []string, err error) {
	wanted, err := surface.IfMatch(c.Header)
	if err != nil {
		return stored, nil, err
	}
	id := c.PathValue("messageSenderID")
	err = surface.Rewrite(maxRewrites, wanted, func() error {
		return c.inTx(func(c *call) error {
			before, err := a.sender(c, id)
			switch {
			case errors.Is(err, storage.ErrNotFound):
				return notFound("MessageSender", id)
			case err != nil:
				return err
			case wanted != 0 && before.Version != wanted:
				return storage.ErrStale
			}
			after := before
			if err := a.cfg.Rules.ChangeSender(c.caller.Authority(), &before, &after); err != nil {
				return err
			}
			if err := change(&after); err != nil {
				return err
			}
			if stored, err = a.cfg.Stores.Senders.PutSender(c.Context(), after); err == nil {
				changed = wire.ChangedSenderSecrets(before, stored)
			}
			return err
		})
	})
	return stored, changed, err
}

func (a messageSenderSecrets) rotate(c *call) (surface.Answer, error) {
	var w wire.MessageSenderSecret
	stored, changed, err := a.change(c, func(s *storage.Sender) (err error) {
		if w.Member = wire.SecretKind(*s); w.Member == "" {
			return errNoSecret
		}
		w.Secret, w.Overlap, err = wire.RotateSecret(a.cfg.Sealer, a.cfg.Rand, s)
		return err
	})
	if err != nil {
		return surface.Answer{}, err
	}
	a.record(c, "messagesender.secret_rotated", "MessageSender/"+stored.ID, changed...)
	return surface.Answer{Status: http.StatusOK, Body: w, Version: stored.Version, Changed: changed}, nil
}

func (a messageSenderSecrets) retire(c *call) (surface.Answer, error) {
	stored, changed, err := a.change(c, func(s *storage.Sender) error {
		if wire.SecretKind(*s) == "" {
			return errNoSecret
		}
		retired, err := wire.RetireSecret(a.cfg.Sealer, s)
		if err == nil && !retired {
			err = errNoFormerSecret
		}
		return err
	})
	if err != nil {
		return surface.Answer{}, err
	}
	a.record(c, "messagesender.secret_retired", "MessageSender/"+stored.ID, changed...)
	return surface.Answer{Status: http.StatusNoContent, Version: stored.Version, Changed: changed}, nil
}
