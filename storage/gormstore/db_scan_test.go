package gormstore

import (
	"database/sql"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type scanned struct {
	Text   string `gorm:"column:id;primaryKey"`
	Number int    `gorm:"column:n"`
	Inner  struct {
		Big  int64 `gorm:"column:big"`
		Flag bool  `gorm:"column:flag"`
		Raw  blob  `gorm:"column:raw"`
	} `gorm:"embedded;embeddedPrefix:x_"`
}

// TestRowType tests that columns are named as GORM names them, with the prefixes of embedded
// structs.
func TestRowType(t *testing.T) {
	t.Parallel()
	want := map[string][]int{"id": {0}, "n": {1}, "x_big": {2, 0}, "x_flag": {2, 1}, "x_raw": {2, 2}}
	for range 2 {
		got := rowTypeOf(reflect.TypeFor[scanned]())
		if diff := cmp.Diff(want, got.byName); diff != "" {
			t.Error(diff)
		}
		if got := columnsOf[scanned](); got != "id n x_big x_flag x_raw" {
			t.Errorf("got the columns %q, want those of GORM", got)
		}
	}
	_, err := placesIn(reflect.ValueOf(&scanned{}).Elem(), []string{"id", "other"})
	if err == nil || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("got %v, want an error about the column other", err)
	}
}

func TestFieldScan(t *testing.T) {
	t.Parallel()
	type values struct {
		S string
		N int
		I int64
		B bool
		R blob
	}
	var v values
	s, n, i, b, r := &v.S, &v.N, &v.I, &v.B, &v.R
	tests := []struct {
		at, value any
		want      values // the zero value if the scan fails or the column is NULL
		refused   bool
	}{
		{at: s, value: "a", want: values{S: "a"}},
		{at: s, value: []byte("a"), want: values{S: "a"}},
		{at: n, value: int64(7), want: values{N: 7}},
		{at: i, value: int64(7), want: values{I: 7}},
		{at: b, value: true, want: values{B: true}},
		{at: b, value: int64(1), want: values{B: true}},
		{at: r, value: []byte("a"), want: values{R: blob("a")}},
		{at: r, value: "a", want: values{R: blob("a")}},
		{at: s, value: nil},
		{at: r, value: nil},
		{at: s, value: int64(7), refused: true},
		{at: r, value: int64(7), refused: true},
		{at: s, value: true, refused: true},
		{at: n, value: "7", refused: true},
		{at: b, value: []byte("t"), refused: true},
		{at: n, value: 7.5, refused: true},
	}
	for _, tt := range tests {
		v = values{}
		scanner, ok := tt.at.(sql.Scanner)
		if !ok {
			scanner = &field{tt.at}
		}
		if err := scanner.Scan(tt.value); (err != nil) != tt.refused {
			t.Errorf("%T into %T: error %v", tt.value, tt.at, err)
		}
		if diff := cmp.Diff(tt.want, v); diff != "" {
			t.Errorf("%T into %T (-want +got):\n%s", tt.value, tt.at, diff)
		}
	}
}

// TestBlobCopies scans from a buffer that the driver reuses.
func TestBlobCopies(t *testing.T) {
	t.Parallel()
	var got blob
	buffer := []byte("abc")
	if err := got.Scan(buffer); err != nil {
		t.Fatal(err)
	}
	buffer[0] = 'X'
	if string(got) != "abc" {
		t.Errorf("got %q, want a copy", got)
	}
}

func TestPostgresBind(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT 1":                       "SELECT 1",
		"a = ? AND b = ?":                "a = $1 AND b = $2",
		strings.Repeat("?", 10) + " end": "$1$2$3$4$5$6$7$8$9$10 end",
	} {
		if got := (&postgres{}).bind(sql); got != want {
			t.Errorf("%q: got %q, want %q", sql, got, want)
		}
	}
}
