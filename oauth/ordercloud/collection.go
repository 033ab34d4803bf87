package ordercloud

import (
	"errors"
	"net/http"
	"strings"

	"latchkey/oauth/admin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// maxRewrites is how often a change is tried anew on what somebody else has
// changed meanwhile. Whenever one is too late another one succeeded, so this is
// how many may change one record at the same moment.
const maxRewrites = 100

// collection serves the records R of one kind the way OrderCloud serves all of
// them: list, create, get, put, patch and delete, in the shape W. What a kind
// does not offer is nil.
type collection[W, R any] struct {
	object string // as errors and audit events call one: "ApiClient"
	path   string // "/v1/apiclients"
	param  string // of the path of one: "apiClientID"
	who    audience
	admin  []string // roles that may do everything
	reader []string // roles that may look, besides
	fields fields
	search []string // fields of ?search=

	list   func(*call, storage.Query) (storage.Page[R], error)
	get    func(c *call, id string) (R, error)            // storage.ErrNotFound
	fresh  func(*call) (R, error)                         // a record that is not stored yet
	check  func(*call, W, R) error                        // Faults of the shape, for what becomes of the record
	merge  func(*call, W, R) (R, error)                   // the record with what the shape says
	save   func(c *call, w W, r R) (R, error)             // storage.ErrConflict, ErrStale; new if R's version is storage.MustBeNew
	remove func(c *call, r R, version int64) error        // storage.ErrStale unless the version is 0 or the stored one
	show   func(*call, R) W                               // what the wire shows
	id     func(*W) *string                               // where the shape has its ID
	newID  func(*call) (string, error)                    // for a shape without one
	stamp  func(*R) *int64                                // where the record has its version
	named  func(c *call, id string) string                // what audit events call one; nil: its ID
	secret func(before, after R) []string                 // write-only members that differ; nil: it has none
	notice func(c *call, before, after R) (string, error) // what an administrator is warned of; nil: nothing
	fixed  bool                                           // the ID cannot be changed
	same   func(a, b string) bool                         // of two IDs; nil: equal
	sort   []storage.Order                                // of a list that names none; nil: by ID
	atomic bool                                           // a change is one transaction: what get reads may be remembered, or save writes twice
}

// routes returns the operations of the collection.
func (k collection[W, R]) routes() []route {
	one := k.path + "/{" + k.param + "}"
	var zero W
	k.fields = k.fields.withMembersOf(zero)
	page := map[int]any{http.StatusOK: wire.List[W]{}}
	shown := map[int]any{http.StatusOK: zero}
	read := append(append([]string{}, k.admin...), k.reader...)
	tagged := strings.TrimPrefix(k.path, "/v1/")
	operation := func(method, path, verb, summary string, roles []string) openapi.Operation {
		return openapi.Operation{Method: method, Path: path, ID: operationID(tagged, verb), Tag: k.object, Summary: summary, Roles: roles}
	}
	var all []route
	add := func(o openapi.Operation, serve func(*call) (surface.Answer, error)) {
		all = append(all, route{Operation: o, who: k.who, serve: serve})
	}
	match := []openapi.Parameter{{Name: "If-Match", About: "Entity tag that the object must still have"}}
	if k.list != nil {
		o := operation(http.MethodGet, k.path, "List", "List the "+k.object+" objects", read)
		o.Query, o.Answers, o.Refuses = listParameters(), page, []int{400}
		if strings.Contains(k.path, "{") {
			o.Refuses = append(o.Refuses, http.StatusNotFound)
		}
		add(o, k.serveList)
	}
	if k.fresh != nil {
		o := operation(http.MethodPost, k.path, "Create", "Create a "+k.object, k.admin)
		o.Body, o.Answers, o.Refuses = zero, map[int]any{http.StatusCreated: zero}, []int{400, 404, 409}
		add(o, k.serveCreate)
	}
	o := operation(http.MethodGet, one, "Get", "Get a "+k.object, read)
	o.Answers, o.Refuses = shown, []int{404}
	add(o, k.serveGet)
	if k.save != nil {
		o := operation(http.MethodPut, one, "Save", "Replace a "+k.object+", or create it", k.admin)
		o.Body, o.Answers, o.Refuses, o.Headers = zero, shown, []int{400, 404, 409, 412}, match
		add(o, k.servePut)
		o.Method, o.ID, o.Summary, o.Partial = http.MethodPatch, operationID(tagged, "Patch"), "Change members of a "+k.object, true
		add(o, k.servePatch)
	}
	if k.remove != nil {
		o := operation(http.MethodDelete, one, "Delete", "Delete a "+k.object, k.admin)
		o.Answers, o.Refuses, o.Headers = map[int]any{http.StatusNoContent: nil}, []int{400, 404, 409, 412}, match
		add(o, k.serveDelete)
	}
	return all
}

// operationID names an operation after its path: "buyers.users.Create".
func operationID(path, verb string) string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part[0] != '{' {
			parts = append(parts, part)
		}
	}
	return strings.Join(append(parts, verb), ".")
}

func (k collection[W, R]) serveList(c *call) (surface.Answer, error) {
	q, page, err := c.query(k.fields, k.search)
	if err != nil {
		return surface.Answer{}, err
	}
	switch {
	case len(q.Sort) > 0:
	case k.sort != nil:
		q.Sort = k.sort
	default:
		q.Sort = []storage.Order{{Field: "ID"}}
	}
	found, err := k.list(c, q)
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(page, q, found, func(r R) W { return k.show(c, r) }), nil
}

func (k collection[W, R]) serveGet(c *call) (surface.Answer, error) {
	r, err := k.find(c, c.PathValue(k.param))
	if err != nil {
		return surface.Answer{}, err
	}
	return k.answer(c, http.StatusOK, r), nil
}

// find gets a record or refuses with what does not exist.
func (k collection[W, R]) find(c *call, id string) (R, error) {
	r, err := k.get(c, id)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound(k.object, id)
	}
	return r, err
}

func (k collection[W, R]) answer(c *call, status int, r R) surface.Answer {
	return surface.Answer{Status: status, Body: k.show(c, r), Version: *k.stamp(&r)}
}

func (k collection[W, R]) serveCreate(c *call) (surface.Answer, error) {
	var w W
	if err := c.read(&w); err != nil {
		return surface.Answer{}, err
	}
	if id := k.id(&w); *id == "" {
		var err error
		if *id, err = k.newID(c); err != nil {
			return surface.Answer{}, err
		}
	}
	return k.create(c, w, http.StatusCreated)
}

func (k collection[W, R]) create(c *call, w W, status int) (done surface.Answer, err error) {
	err = k.within(c, func(c *call) error {
		base, err := k.fresh(c)
		if err != nil {
			return err
		}
		*k.stamp(&base) = storage.MustBeNew
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

// within makes a change, in one transaction where the collection wants that.
func (k collection[W, R]) within(c *call, change func(*call) error) error {
	if !k.atomic {
		return change(c)
	}
	return c.inTx(change)
}

// write checks the shape and stores what it makes of the record.
func (k collection[W, R]) write(c *call, w W, base R) (R, error) {
	if err := k.check(c, w, base); err != nil {
		return base, err
	}
	merged, err := k.merge(c, w, base)
	if err != nil {
		return base, err
	}
	stored, err := k.save(c, w, merged)
	if errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrUsernameTaken) {
		err = exists(k.object, *k.id(&w))
	}
	return stored, err
}

// changed answers with a record that was just stored: which members have another
// value than before, secrets included, and what an administrator is warned of.
func (k collection[W, R]) changed(c *call, status int, before, after R) (surface.Answer, error) {
	done := k.answer(c, status, after)
	done.Changed = admin.ChangedMembers(k.show(c, before), done.Body)
	if k.secret != nil {
		done.Changed = surface.SortedSet(done.Changed, k.secret(before, after))
	}
	if k.notice == nil || status == http.StatusCreated {
		return done, nil
	}
	var err error
	done.Notice, err = k.notice(c, before, after)
	return done, err
}

// record records what became of a record; one that raises a client's roles is an
// event of its own.
func (k collection[W, R]) record(c *call, verb, id string, done surface.Answer) {
	if k.named != nil {
		id = k.named(c, id)
	}
	action := strings.ToLower(k.object) + "."
	c.api.record(c, action+verb, k.object+"/"+id, done.Changed...)
	if done.Notice != "" {
		c.api.record(c, action+"raised", k.object+"/"+id)
	}
}

// servePut replaces a record; one that does not exist is created under the ID
// of the path.
func (k collection[W, R]) servePut(c *call) (surface.Answer, error) {
	var w W
	if err := c.read(&w); err != nil {
		return surface.Answer{}, err
	}
	id := c.PathValue(k.param)
	for again := false; ; again = true {
		done, err := k.rewrite(c, id, func(R) (W, error) { return w, nil })
		if k.fresh == nil || !isRefusal(err, http.StatusNotFound, k.object, id) {
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
		} // somebody else created it just now
	}
}

// isRefusal reports whether an error refuses with the status because of that
// object.
func isRefusal(err error, status int, object, id string) bool {
	var refused *refusal
	if !errors.As(err, &refused) || refused.status != status {
		return false
	}
	data, ok := refused.entries[0].Data.(map[string]string)
	return ok && data["ObjectType"] == object && data["ObjectID"] == id
}

// servePatch changes the members that the body names (RFC 7396).
func (k collection[W, R]) servePatch(c *call) (surface.Answer, error) {
	raw, err := c.rawBody()
	if err != nil {
		return surface.Answer{}, err
	}
	var named W
	if err := c.decode(raw, &named); err != nil { // also finds members that occur twice
		return surface.Answer{}, err
	}
	return k.rewrite(c, c.PathValue(k.param), func(r R) (W, error) { return wire.Patched(k.show(c, r), raw) })
}

// rewrite stores what change makes of the record as it is. With If-Match it is
// refused if the record is another version by then; else it is tried anew on
// what others have changed, so that no change is lost.
func (k collection[W, R]) rewrite(c *call, id string, change func(R) (W, error)) (done surface.Answer, err error) {
	wanted, err := surface.IfMatch(c.Header)
	if err != nil {
		return surface.Answer{}, err
	}
	err = surface.Rewrite(maxRewrites, wanted, func() error {
		return k.within(c, func(c *call) error {
			before, stored, err := k.rewritten(c, id, wanted, change)
			if err == nil {
				done, err = k.changed(c, http.StatusOK, before, stored)
			}
			return err
		})
	})
	if err != nil {
		return surface.Answer{}, err
	}
	k.record(c, "updated", id, done)
	return done, nil
}

func (k collection[W, R]) rewritten(c *call, id string, wanted int64, change func(R) (W, error)) (r, stored R, err error) {
	if r, err = k.find(c, id); err != nil {
		return r, r, err
	}
	if wanted != 0 && *k.stamp(&r) != wanted {
		return r, r, storage.ErrStale
	}
	w, err := change(r)
	if err != nil {
		return r, r, err
	}
	shown := k.show(c, r)
	switch has, given := k.id(&shown), k.id(&w); {
	case *given == "":
		*given = *has
	case k.fixed && !k.sameID(*given, *has):
		return r, r, wire.Faults{{Path: "ID", Problem: "cannot be changed"}}
	}
	stored, err = k.write(c, w, r)
	return r, stored, err
}

func (k collection[W, R]) sameID(a, b string) bool {
	if k.same == nil {
		return a == b
	}
	return k.same(a, b)
}

func (k collection[W, R]) serveDelete(c *call) (surface.Answer, error) {
	wanted, err := surface.IfMatch(c.Header)
	if err != nil {
		return surface.Answer{}, err
	}
	id := c.PathValue(k.param)
	err = k.within(c, func(c *call) error {
		r, err := k.find(c, id)
		if err != nil {
			return err
		}
		switch err := k.remove(c, r, wanted); {
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
