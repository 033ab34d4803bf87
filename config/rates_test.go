package config

import (
	"testing"
	"time"
)

// TestAddressLimit tells a limit that is not given from none.
func TestAddressLimit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*Rate{"": nil, "0": {}, "30/1m": {30, time.Minute}} {
		cfg, err := Load(Sources{Environ: []string{"LATCHKEY_OTP_LIMIT_ADDRESS=" + text}})
		if got := cfg.OTPLimitAddress; err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := Load(Sources{Environ: []string{"LATCHKEY_OTP_LIMIT_ADDRESS=often"}}); err == nil {
		t.Error("a bad limit is taken")
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
			t.Errorf("%q: %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{"", ",", "5/10m,", ",5/10m", "5/10m,0", "0,5/10m", "0,0", "5/10m,30/24h,1/1s", "5/10m;30/24h", "x"} {
		var got Rates
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}
