package config

import "strings"

// Rates are one or two Rates that apply together, one for a short time and one
// for a long one. As text they are "5/10m,30/24h", "5/10m", or "0" for no limit.
type Rates struct{ Short, Long Rate }

const wantsRates = "must be one or two of: a number from 1 to 1000000 and a time from 1s to 24h, such as 5/10m,30/24h; or 0 for no limit"

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rates) UnmarshalText(text []byte) error {
	short, long, two := strings.Cut(string(text), ",")
	var rates Rates
	if err := rates.Short.UnmarshalText([]byte(short)); err != nil {
		return err
	}
	if two {
		if err := rates.Long.UnmarshalText([]byte(strings.TrimSpace(long))); err != nil {
			return err
		}
		if rates.Short.Burst == 0 || rates.Long.Burst == 0 {
			return errRate // no limit, together with one
		}
	}
	*r = rates
	return nil
}

// String renders the rates as UnmarshalText takes them.
func (r Rates) String() string {
	if r.Long.Burst == 0 {
		return r.Short.String()
	}
	return r.Short.String() + "," + r.Long.String()
}
