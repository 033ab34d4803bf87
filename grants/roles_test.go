package grants

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"

	"latchkey/storage"
)

func TestGrantRoles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		client         storage.Client
		has, requested []string
		want           []string
		wantErr        error
	}{
		"all when none is requested":    {has: []string{"A", "B"}, want: []string{"A", "B"}},
		"intersection, no error":        {has: []string{"A", "B"}, requested: []string{"B", "X"}, want: []string{"B"}},
		"nothing left":                  {has: []string{"A"}, requested: []string{"X"}, wantErr: fosite.ErrInvalidScope},
		"no roles at all":               {},
		"ceiling":                       {client: storage.Client{MaximumRoles: []string{"A"}}, has: []string{"A", "B"}, want: []string{"A"}},
		"ceiling cuts the request":      {client: storage.Client{MaximumRoles: []string{"A"}}, has: []string{"A", "B"}, requested: []string{"B"}, wantErr: fosite.ErrInvalidScope},
		"floor reached":                 {client: storage.Client{MinimumRoles: []string{"A"}}, has: []string{"A", "B"}, want: []string{"A", "B"}},
		"floor missed":                  {client: storage.Client{MinimumRoles: []string{"A", "C"}}, has: []string{"A", "B"}, wantErr: fosite.ErrInvalidGrant},
		"floor counts before ceiling":   {client: storage.Client{MinimumRoles: []string{"B"}, MaximumRoles: []string{"A"}}, has: []string{"A", "B"}, want: []string{"A"}},
		"floor not satisfied by asking": {client: storage.Client{MinimumRoles: []string{"C"}}, has: []string{"A"}, requested: []string{"C"}, wantErr: fosite.ErrInvalidGrant},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := GrantRoles(&tt.client, tt.has, tt.requested)
			if !errors.Is(err, tt.wantErr) || (err != nil) != (tt.wantErr != nil) {
				t.Fatalf("error %v, want %v", err, tt.wantErr)
			}
			if err != nil && !errors.Is(err, ErrInsufficientRoles) {
				t.Errorf("error %v does not say why", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
