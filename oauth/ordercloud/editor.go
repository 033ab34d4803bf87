package ordercloud

import (
	"errors"
	"net/http"
	"strings"

	"latchkey/oauth/admin"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// editable is implemented by each kind of resource whose records can be read and changed.
// W is the shape on the wire, R the record. Most kinds embed standard, which implements
// the last three methods.
type editable[W, R any] interface {
	get(c *call, id string) (R, error)                        // storage.ErrNotFound
	show(r R) W                                               // the shape that clients see
	id(w *W) *string                                          // the ID in a shape
	version(r R) int64                                        // for the ETag
	apply(c *call, w W, r R) (R, error)                       // r with the members of w; an error if they are wrong or the caller may not
	save(c *call, w W, r R) (R, error)                        // storage.ErrConflict, ErrStale
	changedSecrets(before, after R) []string                  // write-only members that differ
	auditID(c *call, id string) string                        // the ID of one in audit events
	notice(c *call, before, after R) (text string, err error) // a warning for the administrator who made the change
}

// standard is embedded by resources that have no secrets, are called by their IDs
// and give no warnings.
type standard[R any] struct{}

func (standard[R]) changedSecrets(R, R) []string       { return nil }
func (standard[R]) auditID(_ *call, id string) string  { return id }
func (standard[R]) notice(*call, R, R) (string, error) { return "", nil }

// editor serves GET, PUT and PATCH of records that exist.
type editor[W, R any] struct {
	kind
	editable[W, R]
}

func (k editor[W, R]) serveGet(c *call) (surface.Answer, error) {
	r, err := k.find(c, c.PathValue(k.param))
	if err != nil {
		return surface.Answer{}, err
	}
	return k.answer(http.StatusOK, r), nil
}

// servePut replaces a record.
func (k editor[W, R]) servePut(c *call) (surface.Answer, error) {
	var w W
	if err := c.read(&w); err != nil {
		return surface.Answer{}, err
	}
	return k.replace(c, c.PathValue(k.param), w)
}

func (k editor[W, R]) replace(c *call, id string, w W) (surface.Answer, error) {
	return k.rewrite(c, id, func(R) (W, error) { return w, nil })
}

// servePatch changes the members that the body names (RFC 7396).
func (k editor[W, R]) servePatch(c *call) (surface.Answer, error) {
	raw, err := c.rawBody()
	if err != nil {
		return surface.Answer{}, err
	}
	var named W
	if err := c.decode(raw, &named); err != nil { // also finds members that occur twice
		return surface.Answer{}, err
	}
	return k.rewrite(c, c.PathValue(k.param), func(r R) (W, error) { return wire.Patched(k.show(r), raw) })
}

// find returns a record. If there is none, the error says which object is missing.
func (k editor[W, R]) find(c *call, id string) (R, error) {
	r, err := k.get(c, id)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound(k.object, id)
	}
	return r, err
}

func (k editor[W, R]) answer(status int, r R) surface.Answer {
	return surface.Answer{Status: status, Body: k.show(r), Version: k.version(r)}
}

// within calls change, in a transaction if the kind is atomic.
func (k editor[W, R]) within(c *call, change func(*call) error) error {
	if !k.atomic {
		return change(c)
	}
	return c.inTx(change)
}

// withRecord calls change with the record of an ID, in a transaction if the kind is atomic.
// With If-Match it returns storage.ErrStale if the record has another version. Without it,
// it calls change again if another request changed the record in between, so that no change
// is lost.
func (k editor[W, R]) withRecord(c *call, id string, change func(c *call, r R) error) error {
	wanted, err := surface.IfMatch(c.Header)
	if err != nil {
		return err
	}
	return surface.Rewrite(maxRewrites, wanted, func() error {
		return k.within(c, func(c *call) error {
			r, err := k.find(c, id)
			if err != nil {
				return err
			}
			if wanted != 0 && k.version(r) != wanted {
				return storage.ErrStale
			}
			return change(c, r)
		})
	})
}

// rewrite stores the shape that change returns for a record, and answers with the result;
// see withRecord.
func (k editor[W, R]) rewrite(c *call, id string, change func(R) (W, error)) (done surface.Answer, err error) {
	err = k.withRecord(c, id, func(c *call, r R) error {
		stored, err := k.rewritten(c, r, change)
		if err == nil {
			done, err = k.changed(c, http.StatusOK, r, stored)
		}
		return err
	})
	if err != nil {
		return surface.Answer{}, err
	}
	k.record(c, "updated", id, done)
	return done, nil
}

func (k editor[W, R]) rewritten(c *call, r R, change func(R) (W, error)) (R, error) {
	w, err := change(r)
	if err != nil {
		return r, err
	}
	shown := k.show(r)
	switch has, given := k.id(&shown), k.id(&w); {
	case *given == "":
		*given = *has
	case k.sameID != nil && !k.sameID(*given, *has):
		return r, wire.Faults{{Path: "ID", Problem: "cannot be changed"}}
	}
	return k.write(c, w, r)
}

// write applies the shape to the record base and stores the result.
func (k editor[W, R]) write(c *call, w W, base R) (R, error) {
	merged, err := k.apply(c, w, base)
	if err != nil {
		return base, err
	}
	stored, err := k.save(c, w, merged)
	if errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrUsernameTaken) {
		err = exists(k.object, *k.id(&w))
	}
	return stored, err
}

// changed returns the answer for a record that was just stored, with the members
// that have another value than before and the warning for the administrator.
func (k editor[W, R]) changed(c *call, status int, before, after R) (surface.Answer, error) {
	done := k.answer(status, after)
	done.Changed = admin.ChangedMembers(k.show(before), done.Body)
	if secrets := k.changedSecrets(before, after); len(secrets) > 0 {
		done.Changed = surface.SortedSet(done.Changed, secrets)
	}
	if status == http.StatusCreated {
		return done, nil
	}
	var err error
	done.Notice, err = k.notice(c, before, after)
	return done, err
}

// record records a change. A change that adds roles to a client is an event of its
// own.
func (k editor[W, R]) record(c *call, verb, id string, done surface.Answer) {
	id = k.auditID(c, id)
	action := strings.ToLower(k.object) + "."
	c.api.record(c, action+verb, k.object+"/"+id, done.Changed...)
	if done.Notice != "" {
		c.api.record(c, action+"raised", k.object+"/"+id)
	}
}

// equalID compares IDs that cannot be changed.
func equalID(a, b string) bool { return a == b }
