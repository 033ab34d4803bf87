package elasticpath

import (
	"net/http"
	"slices"
	"strings"

	"latchkey/oauth/admin"
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// maxRewrites is how often a change is repeated because somebody else changed the
// record in between.
const maxRewrites = 10

// resource is one kind of resource, whose records are of type R. The functions of
// this file answer requests for any kind.
type resource[R any] interface {
	// kind returns the type of the resource on the wire. Audit events use it too.
	kind() string
	// find returns the record that the path of the request names.
	find(c *call) (R, error)
	// show returns the resource as the caller sees it, and its path.
	show(c *call, r R) (data any, path string, err error)
	// key returns the id of a record for audit events, and its version.
	key(r R) (id string, version int64)
	// put stores a changed record.
	put(c *call, r R) (R, error)
}

// document returns the answer with one resource, which is at path. version is that of
// its record; 0: the answer has no ETag.
func document(c *call, status int, data any, path string, version int64) surface.Answer {
	return surface.Answer{
		Status: status, Version: version,
		Body: wire.Document[any]{Data: data, Links: &wire.Links{Self: c.base + path}},
	}
}

// answer returns the answer with a record.
func answer[R any](c *call, kind resource[R], status int, r R) (surface.Answer, error) {
	data, path, err := kind.show(c, r)
	_, version := kind.key(r)
	return document(c, status, data, path, version), err
}

// get answers the resource that the path names.
func get[R any](c *call, kind resource[R]) (surface.Answer, error) {
	r, err := kind.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	return answer(c, kind, http.StatusOK, r)
}

// created records that a resource was created, and answers it. secrets are the names
// of members that are never shown.
func created[R any](c *call, kind resource[R], r R, secrets ...string) (surface.Answer, error) {
	return changed(c, kind, http.StatusCreated, "created", nil, r, secrets)
}

// updated is created for a changed resource. before is the resource as it was shown
// before the change.
func updated[R any](c *call, kind resource[R], before any, r R, secrets ...string) (surface.Answer, error) {
	return changed(c, kind, http.StatusOK, "updated", before, r, secrets)
}

func changed[R any](c *call, kind resource[R], status int, verb string, before any, r R, secrets []string) (surface.Answer, error) {
	data, path, err := kind.show(c, r)
	id, version := kind.key(r)
	done := document(c, status, data, path, version)
	done.Changed = append(changedMembers(before, data), secrets...)
	c.record(kind.kind(), verb, id, done.Changed...)
	return done, err
}

// changedMembers returns the names of the members that a caller can change and that
// differ in two states of a resource. before is nil for a new resource.
func changedMembers(before, after any) []string {
	return slices.DeleteFunc(admin.ChangedMembers(before, after), func(name string) bool {
		top, _, _ := strings.Cut(name, ".")
		return slices.Contains([]string{"id", "type", "meta", "links", "relationships"}, top)
	})
}

// withRecord calls change with the record that the path names. If the request has If-Match,
// the error is storage.ErrStale for any other version. Otherwise change is called again
// if another request changed the record in between, so no change is lost.
func withRecord[R any](c *call, kind resource[R], change func(R) error) error {
	wanted, err := surface.IfMatch(c.Header)
	if err != nil {
		return err
	}
	return surface.Rewrite(maxRewrites, wanted, func() error {
		r, err := kind.find(c)
		if err != nil {
			return err
		}
		if _, version := kind.key(r); wanted != 0 && version != wanted {
			return storage.ErrStale
		}
		return change(r)
	})
}

// rewrite stores the record that change returns for the one that the path names; see
// withRecord. It returns the resource as it was shown before, and the stored record.
func rewrite[R any](c *call, kind resource[R], change func(R) (R, error)) (before any, stored R, err error) {
	err = withRecord(c, kind, func(r R) (err error) {
		if before, _, err = kind.show(c, r); err != nil {
			return err
		}
		if r, err = change(r); err != nil {
			return err
		}
		stored, err = kind.put(c, r)
		return err
	})
	return before, stored, err
}

// remove deletes the resource that the path names, if check returns no error; see
// withRecord. deleteRecord gets the version that was checked, and deletes no other one. what
// is the name of the resource in refusals.
func remove[R any](
	c *call, kind resource[R], what string, check func(R) error, deleteRecord func(r R, version int64) error,
) (surface.Answer, error) {
	var id string
	err := withRecord(c, kind, func(r R) error {
		if err := check(r); err != nil {
			return err
		}
		var version int64
		id, version = kind.key(r)
		return orNotFound(deleteRecord(r, version), what)
	})
	if err != nil {
		return surface.Answer{}, err
	}
	c.record(kind.kind(), "deleted", id)
	return surface.Answer{Status: http.StatusNoContent}, nil
}

// equals returns the condition that a field of a record has the value.
func equals(field, value string) storage.Condition {
	return storage.Condition{Fields: []string{field}, Tests: []storage.Test{{Op: storage.OpEqual, Value: value}}}
}
