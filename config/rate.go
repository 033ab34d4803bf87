package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Rate is a limit: Burst events at once, and on average Burst events in each Per.
// Its text is like "5/10m", or "0" for no limit. The zero value is no limit.
type Rate struct {
	Burst int
	Per   time.Duration
}

const (
	maxRateBurst = 1_000_000
	minRatePer   = time.Second
	maxRatePer   = 24 * time.Hour
)

var errRate = errors.New("must be a number from 1 to 1000000 and a time from 1s to 24h, such as 5/10m, or 0 for no limit")

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*r = Rate{}
		return nil
	}
	number, span, _ := strings.Cut(string(text), "/")
	burst, err := strconv.Atoi(strings.TrimSpace(number))
	per, perErr := time.ParseDuration(strings.TrimSpace(span))
	if err != nil || perErr != nil || burst < 1 || burst > maxRateBurst || per < minRatePer || per > maxRatePer {
		return errRate
	}
	*r = Rate{Burst: burst, Per: per}
	return nil
}

// String returns the text that UnmarshalText reads.
func (r Rate) String() string {
	if r.Burst == 0 {
		return "0"
	}
	per := r.Per.String() // such as "10m0s"
	if strings.HasSuffix(per, "m0s") {
		per = strings.TrimSuffix(per, "0s")
	}
	if strings.HasSuffix(per, "h0m") {
		per = strings.TrimSuffix(per, "0m")
	}
	return strconv.Itoa(r.Burst) + "/" + per
}

// Rates are one or two limits that apply together, for a short and for a long time.
// Their text is like "5/10m,30/24h" or "5/10m", or "0" for no limit.
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
			return errRate // "0" beside a limit
		}
	}
	*r = rates
	return nil
}

// String returns the text that UnmarshalText reads.
func (r Rates) String() string {
	if r.Long.Burst == 0 {
		return r.Short.String()
	}
	return r.Short.String() + "," + r.Long.String()
}
