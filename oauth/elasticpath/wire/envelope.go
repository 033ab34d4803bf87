package wire

import "latchkey/storage"

// Body is what is sent to create or change a resource.
type Body[T any] struct {
	Data T `json:"data"`
}

// Document is one resource.
type Document[T any] struct {
	Data     T         `json:"data"`
	Included *Included `json:"included,omitempty"`
	Links    *Links    `json:"links,omitempty"`
}

// Included holds the resources that a caller asked for by the parameter include.
type Included struct {
	Accounts []Account       `json:"accounts,omitempty"`
	Members  []AccountMember `json:"account_members,omitempty"`
}

// List is a page of resources.
type List[T any] struct {
	Data     []T       `json:"data"`
	Included *Included `json:"included,omitempty"`
	Meta     ListMeta  `json:"meta"`
	Links    PageLinks `json:"links"`
}

// ListMeta says which part of a list a page is.
type ListMeta struct {
	AccountMemberID string  `json:"account_member_id,omitempty"` // of the list of tokens
	Page            Page    `json:"page"`
	Results         Results `json:"results"`
}

// Page is the position of a page. Current counts from 1; Total is the number of
// pages.
type Page struct {
	Limit   int `json:"limit"`
	Offset  int `json:"offset"`
	Current int `json:"current"`
	Total   int `json:"total"`
}

// Results is the number of items on all pages.
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

// NewListMeta returns the meta of the page that the query selects out of total
// items.
func NewListMeta(q storage.Query, total int) ListMeta {
	return ListMeta{
		Page:    Page{Limit: q.Limit, Offset: q.Offset, Current: q.Offset/q.Limit + 1, Total: Pages(q.Limit, total)},
		Results: Results{Total: total},
	}
}

// Pages returns how many pages of limit items there are.
func Pages(limit, total int) int { return (total + limit - 1) / limit }
