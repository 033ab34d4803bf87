package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Rate is how often something may happen: Burst times at once, and no more than
// Burst times in each Per in the long run. As text it is "5/10m", or "0" for no
// limit, which is the zero value.
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

// String renders the rate as UnmarshalText takes it.
func (r Rate) String() string {
	if r.Burst == 0 {
		return "0"
	}
	per := r.Per.String() // "10m0s", of which the zeros say nothing
	if strings.HasSuffix(per, "m0s") {
		per = strings.TrimSuffix(per, "0s")
	}
	if strings.HasSuffix(per, "h0m") {
		per = strings.TrimSuffix(per, "0m")
	}
	return strconv.Itoa(r.Burst) + "/" + per
}
