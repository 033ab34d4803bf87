package config

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want Rate
		back string // result of String; empty if it is text
	}{
		{"0", Rate{}, ""},
		{"5/10m", Rate{5, 10 * time.Minute}, ""},
		{"1/24h", Rate{1, 24 * time.Hour}, ""},
		{"1000000/1s", Rate{1_000_000, time.Second}, ""},
		{" 30 / 90s", Rate{30, 90 * time.Second}, "30/1m30s"},
		{"2/1h20m", Rate{2, 80 * time.Minute}, "2/1h20m"},
	}
	for _, tt := range tests {
		var got Rate
		if err := got.UnmarshalText([]byte(tt.text)); err != nil || got != tt.want {
			t.Errorf("%q: got %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
		if tt.back == "" {
			tt.back = tt.text
		}
		if got.String() != tt.back {
			t.Errorf("%q: got the text %q, want %q", tt.text, got, tt.back)
		}
	}
	for _, text := range []string{"", "5", "5/", "/10m", "0/10m", "-1/10m", "5/0s", "5/25h", "1000001/1m", "5/10", "5/10m/1"} {
		var got Rate
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

// TestAddressLimit tests that a limit of 0 differs from an unset limit.
func TestAddressLimit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*Rate{"": nil, "0": {}, "30/1m": {30, time.Minute}} {
		cfg, err := Load(Sources{Environ: []string{"LATCHKEY_OTP_LIMIT_ADDRESS=" + text}})
		if got := cfg.OTPLimitAddress; err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := Load(Sources{Environ: []string{"LATCHKEY_OTP_LIMIT_ADDRESS=often"}}); err == nil {
		t.Error("a bad limit was accepted, want an error")
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	short, long := Rate{5, 10 * time.Minute}, Rate{30, 24 * time.Hour}
	for _, tt := range []struct {
		text string
		want Rates
		back string
	}{
		{"0", Rates{}, "0"},
		{"5/10m", Rates{Short: short}, "5/10m"},
		{"5/10m,30/24h", Rates{short, long}, "5/10m,30/24h"},
		{" 5/10m , 30/24h ", Rates{short, long}, "5/10m,30/24h"},
		{"30/24h,5/10m", Rates{long, short}, "30/24h,5/10m"},
	} {
		var got Rates
		if err := got.UnmarshalText([]byte(tt.text)); err != nil || got != tt.want || got.String() != tt.back {
			t.Errorf("%q: got %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{"", ",", "5/10m,", ",5/10m", "5/10m,0", "0,5/10m", "0,0", "5/10m,30/24h,1/1s", "5/10m;30/24h", "x"} {
		var got Rates
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}
