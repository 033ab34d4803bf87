package console

import (
	"fmt"
	"math"
	"strings"

	"latchkey/oauth/ordercloud/wire"
)

// guessChart is a chart of how many guesses one counter allows up to each moment of a day.
// Its axis of time is logarithmic, because most guesses are in the first minutes.
type guessChart struct {
	Width, Height            int
	Left, Right, Top, Bottom int // of the plot
	XTicks, YTicks           []chartTick
	Ceiling                  string // height of the line of the highest number of guesses
	StoredPath, ProposedPath string // of SVG; the second one is empty without a proposal
}

// chartTick is a mark of an axis.
type chartTick struct {
	At    string
	Label string
}

const (
	chartWidth, chartHeight = 720, 260
	chartLeft, chartRight   = 44, 708
	chartTop, chartBottom   = 12, 232
	chartEnd                = 24 * 3600 // seconds
)

func chartOf(stored wire.PasswordProfileExplanation, proposed *wire.PasswordProfileExplanation) guessChart {
	c := guessChart{Width: chartWidth, Height: chartHeight, Left: chartLeft, Right: chartRight, Top: chartTop, Bottom: chartBottom}
	highest := max(stored.MaxGuessesPerCounter, stored.GuessesPerCounterAndDay)
	if proposed != nil {
		highest = max(highest, proposed.GuessesPerCounterAndDay)
	}
	step := tickStep(highest)
	top := (highest/step + 1) * step
	y := func(guesses int) string {
		return fmt.Sprintf("%.1f", chartBottom-float64(chartBottom-chartTop)*float64(guesses)/float64(top))
	}
	for n := 0; n <= top; n += step {
		c.YTicks = append(c.YTicks, chartTick{y(n), fmt.Sprint(n)})
	}
	for _, tick := range []struct {
		seconds int
		label   string
	}{{1, "1 s"}, {10, "10 s"}, {60, "1 min"}, {600, "10 min"}, {3600, "1 h"}, {6 * 3600, "6 h"}, {chartEnd, "24 h"}} {
		c.XTicks = append(c.XTicks, chartTick{chartX(tick.seconds), tick.label})
	}
	c.Ceiling, c.StoredPath = y(stored.MaxGuessesPerCounter), chartPath(stored.Curve, y)
	if proposed != nil {
		c.ProposedPath = chartPath(proposed.Curve, y)
	}
	return c
}

// tickStep returns a round step that makes four to ten ticks.
func tickStep(highest int) int {
	step := 1
	for _, factor := range []int{2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10_000} {
		if highest/step <= 8 {
			break
		}
		step = factor
	}
	return step
}

func chartX(seconds int) string {
	share := math.Log(math.Max(1, float64(seconds))) / math.Log(chartEnd)
	return fmt.Sprintf("%.1f", chartLeft+share*(chartRight-chartLeft))
}

// chartPath draws the points as steps.
func chartPath(points []wire.GuessPoint, y func(int) string) string {
	var path strings.Builder
	for i, p := range points {
		if i == 0 {
			path.WriteString("M" + chartX(p.Seconds) + " " + y(p.PerCounter))
			continue
		}
		path.WriteString("H" + chartX(p.Seconds) + "V" + y(p.PerCounter))
	}
	return path.String()
}
