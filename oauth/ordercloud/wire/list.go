package wire

// List is a page of a collection.
type List[W any] struct {
	Meta  Meta
	Items []W
}

// Meta says which part of a list a page is. ItemRange counts from 1.
type Meta struct {
	Page        int
	PageSize    int
	TotalCount  int
	TotalPages  int
	ItemRange   [2]int
	NextPageKey *string // pageKey of the next page; null on the last one
}
