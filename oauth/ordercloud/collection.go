package ordercloud

import (
	"errors"
	"net/http"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// resource is implemented by each kind of resource that can be listed, created and
// deleted. W is the shape on the wire, R the record.
type resource[W, R any] interface {
	editable[W, R]
	list(c *call, q storage.Query) (storage.Page[R], error)
	blank(c *call) (R, error)  // a record that is not stored yet; its version is storage.MustBeNew
	remove(c *call, r R) error // deletes the record; storage.ErrStale unless it has the version of r
}

// collection serves the records of a resource in the way of OrderCloud: list,
// create, get, put, patch and delete.
type collection[W, R any] struct {
	editor[W, R]
	resource[W, R]
}

func newCollection[W, R any](k kind, r resource[W, R]) collection[W, R] {
	var shape W
	k.fields = k.fields.withMembersOf(shape)
	return collection[W, R]{editor[W, R]{k, r}, r}
}

// routes returns the operations of the collection.
func (k collection[W, R]) routes() []route {
	one := k.path + "/{" + k.param + "}"
	var zero W
	shown := map[int]any{http.StatusOK: zero}
	match := []openapi.Parameter{{Name: "If-Match", About: "Entity tag that the object must still have"}}
	create := k.operation(http.MethodPost, k.path, "Create", "Create a "+k.object, k.admin)
	create.Body, create.Answers, create.Refuses = zero, map[int]any{http.StatusCreated: zero}, []int{400, 404, 409}
	get := k.operation(http.MethodGet, one, "Get", "Get a "+k.object, k.readers())
	get.Answers, get.Refuses = shown, []int{404}
	put := k.operation(http.MethodPut, one, "Save", "Replace a "+k.object+", or create it", k.admin)
	put.Body, put.Answers, put.Refuses, put.Headers = zero, shown, []int{400, 404, 409, 412}, match
	patch := k.operation(http.MethodPatch, one, "Patch", "Change members of a "+k.object, k.admin)
	patch.Body, patch.Answers, patch.Refuses, patch.Headers, patch.Partial = zero, shown, put.Refuses, match, true
	remove := k.operation(http.MethodDelete, one, "Delete", "Delete a "+k.object, k.admin)
	remove.Answers, remove.Refuses, remove.Headers = map[int]any{http.StatusNoContent: nil}, put.Refuses, match
	return []route{
		k.listRoute(),
		{Operation: create, who: k.who, serve: k.serveCreate},
		{Operation: get, who: k.who, serve: k.serveGet},
		{Operation: put, who: k.who, serve: k.servePut},
		{Operation: patch, who: k.who, serve: k.servePatch},
		{Operation: remove, who: k.who, serve: k.serveDelete},
	}
}

func (k collection[W, R]) listRoute() route {
	o := k.operation(http.MethodGet, k.path, "List", "List the "+k.object+" objects", k.readers())
	o.Query, o.Answers, o.Refuses = listParameters(), map[int]any{http.StatusOK: wire.List[W]{}}, []int{400}
	if strings.Contains(k.path, "{") {
		o.Refuses = append(o.Refuses, http.StatusNotFound)
	}
	return route{Operation: o, who: k.who, serve: k.serveList}
}

func (k collection[W, R]) serveList(c *call) (surface.Answer, error) {
	q, err := c.query(k.fields, k.search)
	if err != nil {
		return surface.Answer{}, err
	}
	if len(q.Sort) == 0 {
		q.Sort = []storage.Order{{Field: "ID"}}
	}
	found, err := k.list(c, q)
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, k.show)
}

func (k collection[W, R]) serveCreate(c *call) (surface.Answer, error) {
	var w W
	if err := c.read(&w); err != nil {
		return surface.Answer{}, err
	}
	if id := k.id(&w); *id == "" {
		// A UUID, because the IDs of companies are shown below /v2 as well.
		var err error
		if *id, err = storage.NewUUID(c.api.cfg.Rand); err != nil {
			return surface.Answer{}, err
		}
	}
	return k.create(c, w, http.StatusCreated)
}

func (k collection[W, R]) create(c *call, w W, status int) (done surface.Answer, err error) {
	err = k.within(c, func(c *call) error {
		base, err := k.blank(c)
		if err != nil {
			return err
		}
		stored, err := k.write(c, w, base)
		if err == nil {
			done, err = k.changed(c, status, base, stored)
		}
		return err
	})
	if err != nil {
		return surface.Answer{}, err
	}
	k.record(c, "created", *k.id(&w), done)
	return done, nil
}

// servePut replaces a record. If there is none with the ID of the path, it creates
// one.
func (k collection[W, R]) servePut(c *call) (surface.Answer, error) {
	var w W
	if err := c.read(&w); err != nil {
		return surface.Answer{}, err
	}
	id := c.PathValue(k.param)
	for again := false; ; again = true {
		done, err := k.replace(c, id, w)
		if !isRefusal(err, http.StatusNotFound, k.object, id) {
			return done, err
		}
		if c.Header.Get("If-Match") != "" {
			return surface.Answer{}, storage.ErrStale
		}
		created := w
		*k.id(&created) = id
		done, err = k.create(c, created, http.StatusOK)
		if again || !isRefusal(err, http.StatusConflict, k.object, id) {
			return done, err
		} // another request created it just now
	}
}

// isRefusal reports whether err is a refusal with the status that names the object in its
// Data.
func isRefusal(err error, status int, object, id string) bool {
	var refused *refusal
	if !errors.As(err, &refused) || refused.status != status {
		return false
	}
	data, ok := refused.entries[0].Data.(map[string]string)
	return ok && data["ObjectType"] == object && data["ObjectID"] == id
}

// serveDelete deletes the version of a record that was read when the authority of the caller
// was checked, and no later one.
func (k collection[W, R]) serveDelete(c *call) (surface.Answer, error) {
	id := c.PathValue(k.param)
	err := k.withRecord(c, id, func(c *call, r R) error {
		switch err := k.remove(c, r); {
		case errors.Is(err, storage.ErrNotFound):
			return notFound(k.object, id)
		case errors.Is(err, storage.ErrConflict):
			return inUse(k.object, id)
		default:
			return err
		}
	})
	if err != nil {
		return surface.Answer{}, err
	}
	k.record(c, "deleted", id, surface.Answer{})
	return surface.Answer{Status: http.StatusNoContent}, nil
}
