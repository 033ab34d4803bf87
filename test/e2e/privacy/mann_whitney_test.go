package privacy

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// This is how the times of two kinds of answers are compared.
//
// Each round measures the kinds in turns, in a random order. Two kinds separate if a rank test
// says so with the probability of the round, and the medians differ by more than a part of them
// and by an absolute time, or a third where that is less. (A network hides a tenth. On
// PostgreSQL the row of a user takes that much longer to read and update than a missing row.)
//
// The first round is a screening with a third of the samples and a high probability. Only kinds
// that separate there are measured with all samples. A test fails if they separate in three
// such rounds in a row, each with new samples. Kinds that are alike would do so once in 10⁹
// comparisons by the rank test alone. The screening finds a difference of a tenth as surely as
// a full round; see TestMannWhitneyIsCalibrated. Other work on the machine slows all kinds
// alike, because they take turns.
const (
	separationRounds = 3
	separationP      = 0.001
	separationPart   = 0.05
	separationLeast  = 300 * time.Microsecond

	screeningP     = 0.2
	screeningShare = 3 // the screening takes one in this number of samples
)

// kind is a group of answers that are compared with other groups.
type kind struct {
	name string
	ask  func(i int) kit.Response // i is the number of the call
}

// alike checks that the answers of all kinds have that status and are equal byte for byte, and
// that their times do not differ from those of the first kind.
func alike(t *testing.T, status, samples int, kinds ...kind) {
	t.Helper()
	var first kit.Response
	check := func(got kit.Response) {
		if first.Status == 0 {
			first = got
		}
		if got.Status != status {
			t.Fatalf("got %d %s, want %d", got.Status, got.Body, status)
		}
		got.MustEqual(t, first)
	}
	calls := 0
	for _, k := range kinds {
		for range 2 { // the first call fills caches
			check(k.ask(calls))
			calls++
		}
	}
	chance := rand.New(rand.NewPCG(7, uint64(samples))) //nolint:gosec // the same order in each run
	suspects := slices.Clone(kinds)
	for round := 0; ; round++ { // round 0 is the screening
		took := map[string][]time.Duration{}
		n := samples
		if round == 0 {
			n = (samples + screeningShare - 1) / screeningShare
		}
		for range n {
			chance.Shuffle(len(suspects), func(i, j int) { suspects[i], suspects[j] = suspects[j], suspects[i] })
			for _, k := range suspects {
				begin := time.Now()
				got := k.ask(calls)
				took[k.name] = append(took[k.name], time.Since(begin))
				calls++
				check(got)
			}
		}
		if t.Failed() {
			return
		}
		suspects = separated(t, round, took, kinds)
		if len(suspects) == 0 {
			return
		}
		if round == separationRounds {
			t.Errorf("got times that differ from those of %s: %s", kinds[0].name, strings.Join(names(suspects[1:]), ", "))
			return
		}
	}
}

// separated returns the first kind and the kinds whose times differ from it. If there are none,
// it returns nil.
func separated(t *testing.T, round int, took map[string][]time.Duration, kinds []kind) []kind {
	t.Helper()
	usual := took[kinds[0].name]
	found := []kind{kinds[0]}
	for _, k := range kinds[1:] {
		times := took[k.name]
		if len(times) == 0 {
			continue
		}
		a, b, p := median(usual), median(times), mannWhitney(usual, times)
		limit, least := separationP, max(min(separationLeast, a/3), time.Duration(separationPart*float64(a)))
		if round == 0 {
			limit, least = screeningP, least/2
		}
		apart := p < limit && (a-b).Abs() > least
		t.Logf("round %d: %s %v, %s %v, p %.2g%s", round, kinds[0].name, a.Round(time.Microsecond), k.name, b.Round(time.Microsecond), p, map[bool]string{true: " APART"}[apart])
		if apart {
			found = append(found, k)
		}
	}
	if len(found) == 1 {
		return nil
	}
	return found
}

func names(kinds []kind) []string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = k.name
	}
	return list
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// mannWhitney returns the two-sided probability that two samples of one distribution differ in
// rank as much as these. It is the U test by Mann and Whitney with the normal approximation,
// corrected for ties and continuity.
func mannWhitney(a, b []time.Duration) float64 {
	type ranked struct {
		value time.Duration
		ofA   bool
	}
	var all []ranked
	for _, v := range a {
		all = append(all, ranked{v, true})
	}
	for _, v := range b {
		all = append(all, ranked{v, false})
	}
	slices.SortFunc(all, func(x, y ranked) int { return cmp.Compare(x.value, y.value) })
	var sum, ties float64
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].value == all[i].value {
			j++
		}
		rank := float64(i+1+j) / 2 // the mean of the ranks that share a value
		for _, r := range all[i:j] {
			if r.ofA {
				sum += rank
			}
		}
		same := float64(j - i)
		ties += same*same*same - same
		i = j
	}
	na, nb := float64(len(a)), float64(len(b))
	n := na + nb
	distance := math.Abs(sum - na*(na+1)/2 - na*nb/2)
	deviation := math.Sqrt(na * nb / 12 * (n + 1 - ties/(n*(n-1))))
	if deviation == 0 {
		return 1
	}
	return math.Erfc(max(0, distance-0.5) / deviation / math.Sqrt2)
}

// TestMannWhitney compares with textbook examples that were calculated by hand: U, its mean and
// deviation, then a table of the normal distribution.
func TestMannWhitney(t *testing.T) {
	t.Parallel()
	sample := func(values ...float64) []time.Duration {
		var all []time.Duration
		for _, v := range values {
			all = append(all, time.Duration(math.Round(v*100)))
		}
		return all
	}
	run := func(from, to int) []time.Duration {
		var all []time.Duration
		for v := from; v < to; v++ {
			all = append(all, time.Duration(v))
		}
		return all
	}
	tests := []struct {
		name string
		a, b []time.Duration
		want float64
	}{
		// U is 35, the mean 25 and the variance 10·5·16/12, so z = 9.5/8.16497.
		{
			"permeability (Hollander and Wolfe)",
			sample(0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46), sample(1.15, 0.88, 0.90, 0.74, 1.21), 0.24462,
		},
		// The ranks of a are 1.5, 1.5, 4, 4 and 7. U is 3, the mean 12.5 and the ties
		// 6+24+24+6, so z = 9/4.6398.
		{"ties", sample(1, 1, 2, 2, 3), sample(2, 3, 3, 4, 4), 0.052411},
		// All of a is below all of b. U is 0, the mean 50 and the variance 10·10·21/12, so z =
		// 49.5/13.2288.
		{"apart", run(0, 10), run(10, 20), 0.000182672},
		{"one value", sample(1, 1, 1), sample(1, 1, 1), 1},
		{"interleaved", sample(1, 3, 5, 7), sample(2, 4, 6, 8), 0.66501},
	}
	for _, test := range tests {
		if got := mannWhitney(test.a, test.b); math.Abs(got-test.want) > 1e-4*test.want {
			t.Errorf("%s: got p %.6g, want %.6g", test.name, got, test.want)
		}
		if got, back := mannWhitney(test.a, test.b), mannWhitney(test.b, test.a); math.Abs(got-back) > 1e-12 {
			t.Errorf("%s: got p %v, and %v with the samples exchanged; want the same", test.name, got, back)
		}
	}
}

// TestMannWhitneyIsCalibrated tests that samples of one distribution separate as often as the
// probability says, and that samples that differ by a tenth nearly always separate.
func TestMannWhitneyIsCalibrated(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same numbers in each run
	draw := func(n int, scale float64) []time.Duration {
		times := make([]time.Duration, n)
		for i := range times {
			times[i] = time.Duration(scale * 1e6 * (1 + 0.05*chance.NormFloat64() + 0.1*chance.ExpFloat64()))
		}
		return times
	}
	const trials = 20_000
	found := 0
	for range trials {
		if mannWhitney(draw(40, 1), draw(40, 1)) < 0.01 {
			found++
		}
	}
	if found < 130 || found > 270 { // 200 with five standard deviations of 14
		t.Errorf("got p < 0.01 for %d of %d pairs that are alike", found, trials)
	}
	power := 0
	for range 1000 {
		screened := mannWhitney(draw(60/screeningShare, 1), draw(60/screeningShare, 1.10)) < screeningP
		if screened && mannWhitney(draw(60, 1), draw(60, 1.10)) < separationP {
			power++
		}
	}
	if power < 950 {
		t.Errorf("%s", fmt.Sprintf("got %d of 1000 cases in which the screening and a round find a difference of a tenth", power))
	}
}
