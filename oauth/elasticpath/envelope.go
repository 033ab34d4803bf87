package elasticpath

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/oauth/admin"
	"latchkey/storage"
)

// Links is where a resource is.
type Links struct {
	Self string `json:"self"`
}

// Document is one resource on the wire.
type Document[T any] struct {
	Data     T         `json:"data"`
	Included *Included `json:"included,omitempty"`
	Links    *Links    `json:"links,omitempty"`
}

// Included are the resources that a caller asked for by the parameter include.
type Included struct {
	Accounts []Account       `json:"accounts,omitempty"`
	Members  []AccountMember `json:"account_members,omitempty"`
}

// List is a page of resources on the wire.
type List[T any] struct {
	Data     []T       `json:"data"`
	Included *Included `json:"included,omitempty"`
	Meta     ListMeta  `json:"meta"`
	Links    PageLinks `json:"links"`
}

// ListMeta says which part of all a page is.
type ListMeta struct {
	AccountMemberID string  `json:"account_member_id,omitempty"` // of the list of tokens
	Page            Page    `json:"page"`
	Results         Results `json:"results"`
}

// Page is the place of a page among all; Current counts from 1.
type Page struct {
	Limit   int `json:"limit"`
	Offset  int `json:"offset"`
	Current int `json:"current"`
	Total   int `json:"total"`
}

// Results is how many items there are on all pages.
type Results struct {
	Total int `json:"total"`
}

// PageLinks lead to other pages; null where there is none.
type PageLinks struct {
	Current string  `json:"current"`
	First   string  `json:"first"`
	Last    string  `json:"last"`
	Next    *string `json:"next"`
	Prev    *string `json:"prev"`
}

// Timestamps are the meta of accounts, members, memberships and integrations.
type Timestamps struct {
	Timestamps Times `json:"timestamps"`
}

// Times are the meta of everything else.
type Times struct {
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

// Relation points to another resource; null: there is none.
type Relation struct {
	Data *Reference `json:"data"`
}

// Relations point to other resources.
type Relations struct {
	Data []Reference `json:"data"`
}

// Reference names another resource.
type Reference struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Links *Links `json:"links,omitempty"`
}

// wireTime is a time as /v2 writes it: RFC 3339 with milliseconds, in UTC.
func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func times(created, updated time.Time) Times {
	return Times{CreatedAt: wireTime(created), UpdatedAt: wireTime(updated)}
}

func timestamps(created, updated time.Time) Timestamps { return Timestamps{times(created, updated)} }

// reply is what an operation answers when it does what was asked.
type reply struct {
	status  int
	body    any      // nil: none
	version int64    // of the record shown; 0: no ETag
	changed []string // members that have another value now, secrets included
}

// changedFrom adds the names of the members of the resource that differ from
// before, which is the resource as it was shown then; nil for a new one. Secrets
// are members that are never shown.
func (r reply) changedFrom(before any, secrets ...string) reply {
	document, ok := r.body.(Document[any])
	if !ok {
		return r
	}
	r.changed = slices.DeleteFunc(admin.ChangedMembers(before, document.Data), func(name string) bool {
		top, _, _ := strings.Cut(name, ".")
		return slices.Contains([]string{"id", "type", "meta", "links", "relationships"}, top)
	})
	r.changed = append(r.changed, secrets...)
	return r
}

// document answers one resource, which is at path.
func (a *API) document(status int, data any, path string, version int64) reply {
	return reply{status: status, version: version, body: Document[any]{Data: data, Links: &Links{Self: a.base + path}}}
}

// listOf answers a page of what is found.
func listOf[R, T any](c *call, q storage.Query, found storage.Page[R], show func(R) T) reply {
	list := List[T]{Data: make([]T, 0, len(found.Items)), Meta: listMeta(q, found.Total), Links: c.pageLinks(q, found.Total)}
	for _, r := range found.Items {
		list.Data = append(list.Data, show(r))
	}
	return reply{status: http.StatusOK, body: list}
}

func listMeta(q storage.Query, total int) ListMeta {
	return ListMeta{
		Page:    Page{Limit: q.Limit, Offset: q.Offset, Current: q.Offset/q.Limit + 1, Total: pages(q.Limit, total)},
		Results: Results{Total: total},
	}
}

func pages(limit, total int) int { return (total + limit - 1) / limit }

// pageLinks returns the links of a page. None leads beyond the offsets that are
// taken.
func (c *call) pageLinks(q storage.Query, total int) PageLinks {
	at := func(offset int) string {
		return c.api.base + c.URL.EscapedPath() + "?" + pageParameters(c.values, offset, q.Limit)
	}
	last := max(pages(q.Limit, total)-1, 0) * q.Limit
	links := PageLinks{Current: at(q.Offset), First: at(0), Last: at(min(last, maxPageOffset))}
	if next := q.Offset + q.Limit; next < total && next <= maxPageOffset {
		links.Next = new(at(next))
	}
	if q.Offset > 0 {
		links.Prev = new(at(max(q.Offset-q.Limit, 0)))
	}
	return links
}

// pageParameters writes the parameters of a page with what else selected its
// list. The brackets stay as they are, like Elastic Path's.
func pageParameters(values url.Values, offset, limit int) string {
	parts := []string{"page[offset]=" + strconv.Itoa(offset), "page[limit]=" + strconv.Itoa(limit)}
	for _, name := range []string{"filter", "sort", "include"} {
		if value := values.Get(name); value != "" {
			parts = append(parts, name+"="+url.QueryEscape(value))
		}
	}
	return strings.Join(parts, "&")
}

// orNil returns nil for an empty text, which the wire shows as null.
func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
