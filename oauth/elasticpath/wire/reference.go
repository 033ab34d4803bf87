package wire

import (
	"slices"
	"time"
)

// Links says where a resource is.
type Links struct {
	Self string `json:"self"`
}

// Timestamps is the meta of accounts, members, memberships and integrations.
type Timestamps struct {
	Timestamps Times `json:"timestamps"`
}

// Times is the meta of all other resources.
type Times struct {
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

// Time formats a time as resources have it: RFC 3339 with milliseconds, in UTC.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func times(created, updated time.Time) Times {
	return Times{CreatedAt: Time(created), UpdatedAt: Time(updated)}
}

func timestamps(created, updated time.Time) Timestamps { return Timestamps{times(created, updated)} }

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

// orEmpty returns an empty list for nil, which JSON would show as null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return slices.Clone(list)
}

func seconds(d time.Duration) *int { return new(int(d / time.Second)) }
