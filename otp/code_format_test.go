package otp_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"latchkey/otp"
	"latchkey/storage"
)

// seededRandom returns a source of random bytes that is the same in every run.
func seededRandom() io.Reader { return rand.NewChaCha8([32]byte{7}) }

func TestCheckFormat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		format storage.CodeFormat
		ok     bool
	}{
		{otp.DefaultFormat(), true},
		{storage.CodeFormat{Alphabet: "crockford", Length: 4}, true},
		{storage.CodeFormat{Alphabet: "crockford", Length: 3}, false},
		{storage.CodeFormat{Alphabet: "crockford", Length: 64}, true},
		{storage.CodeFormat{Alphabet: "crockford", Length: 65}, false},
		{storage.CodeFormat{Alphabet: "digits", Length: 6}, true},
		{storage.CodeFormat{Alphabet: "digits", Length: 5}, false},
		{storage.CodeFormat{Alphabet: "digits", Length: -1}, false},
		{storage.CodeFormat{Alphabet: "runes", Length: 8}, false},
		{storage.CodeFormat{}, false},
	}
	for _, test := range tests {
		err := otp.CheckFormat(test.format)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, otp.ErrFormat) {
			t.Errorf("CheckFormat(%+v): got %v, want acceptance %v", test.format, err, test.ok)
		}
		if code, err := otp.Generate(test.format, seededRandom()); (err == nil) != test.ok || test.ok && len(code) != test.format.Length {
			t.Errorf("Generate(%+v): got %q, error %v", test.format, code, err)
		}
	}
}

// TestCodesAreUniform tests that every symbol is equally likely at every position, with a
// chi-square test over 20,000 codes at a significance level of 0.001.
func TestCodesAreUniform(t *testing.T) {
	t.Parallel()
	tests := []struct {
		alphabet, symbols string
		critical          float64 // limit for chi-square with len(symbols)-1 degrees of freedom
	}{
		{otp.AlphabetCrockford, "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 61.10},
		{otp.AlphabetDigits, "0123456789", 27.88},
	}
	for _, test := range tests {
		t.Run(test.alphabet, func(t *testing.T) {
			t.Parallel()
			const codes, length = 20_000, 8
			random := seededRandom()
			var at [length]map[rune]int
			all := map[rune]int{}
			for i := range at {
				at[i] = map[rune]int{}
			}
			for range codes {
				code, err := otp.Generate(storage.CodeFormat{Alphabet: test.alphabet, Length: length}, random)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range code {
					at[i][r]++
					all[r]++
				}
			}
			for i := range at {
				if x := chiSquare(at[i], test.symbols, codes); x > test.critical {
					t.Errorf("position %d: got chi-square %.1f, want at most %.1f", i, x, test.critical)
				}
			}
			if x := chiSquare(all, test.symbols, codes*length); x > test.critical {
				t.Errorf("all positions: got chi-square %.1f, want at most %.1f", x, test.critical)
			}
			if len(all) != len(test.symbols) {
				t.Errorf("got %d different symbols, want %d", len(all), len(test.symbols))
			}
		})
	}
}

func chiSquare(seen map[rune]int, symbols string, n int) float64 {
	expected := float64(n) / float64(len(symbols))
	sum := 0.0
	for _, r := range symbols {
		d := float64(seen[r]) - expected
		sum += d * d / expected
	}
	return sum
}

func TestCodesDoNotRepeat(t *testing.T) {
	t.Parallel()
	random, seen := seededRandom(), map[string]bool{}
	for range 20_000 {
		code, err := otp.Generate(otp.DefaultFormat(), random)
		if err != nil {
			t.Fatal(err)
		}
		if seen[code] {
			t.Fatalf("code %s was generated twice", code)
		}
		seen[code] = true
	}
}

// TestCodesHaveNoPattern tests that no two positions of a code depend on each other, with a
// chi-square test of each of the 28 pairs over 20,000 codes at a significance level of 0.00001.
// It also tests that repetitions are as frequent as expected. About 200 of 20,000 random codes
// of six digits have occurred before.
func TestCodesHaveNoPattern(t *testing.T) {
	t.Parallel()
	const codes, length, symbols = 20_000, 8, 10
	random, repeats := seededRandom(), 0
	var pairs [length][length][symbols][symbols]int
	seen := map[string]bool{}
	for range codes {
		code, err := otp.Generate(storage.CodeFormat{Alphabet: otp.AlphabetDigits, Length: length}, random)
		if err != nil {
			t.Fatal(err)
		}
		for i := range length {
			for j := range i {
				pairs[i][j][code[i]-'0'][code[j]-'0']++
			}
		}
		if seen[code[:6]] {
			repeats++
		}
		seen[code[:6]] = true
	}
	for i := range length {
		for j := range i {
			sum := 0.0
			for _, row := range pairs[i][j] {
				for _, n := range row {
					d := float64(n) - codes/symbols/symbols
					sum += d * d / (codes / symbols / symbols)
				}
			}
			if sum > 168 { // the limit for 99 degrees of freedom
				t.Errorf("positions %d and %d: got chi-square %.1f, want at most 168", j, i, sum)
			}
		}
	}
	if repeats < 140 || repeats > 260 { // four standard deviations of 14
		t.Errorf("got %d repeated codes of six digits, want about 199", repeats)
	}
}

// TestGenerateRejectsBias tests that bytes that would make some digits more likely are skipped.
func TestGenerateRejectsBias(t *testing.T) {
	t.Parallel()
	random := bytes.NewReader([]byte{250, 251, 252, 253, 254, 255, 249, 0, 1, 2, 13, 24, 35, 46})
	code, err := otp.Generate(storage.CodeFormat{Alphabet: otp.AlphabetDigits, Length: 7}, random)
	if err != nil {
		t.Fatal(err)
	}
	if code != "9012345" {
		t.Errorf("got code %s, want 9012345", code)
	}
}

func TestGenerateFailsWithItsSource(t *testing.T) {
	t.Parallel()
	if code, err := otp.Generate(otp.DefaultFormat(), strings.NewReader("short")); !errors.Is(err, io.ErrUnexpectedEOF) || code != "" {
		t.Errorf("Generate: got %q, error %v", code, err)
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	tests := []struct{ typed, want string }{
		{"", ""},
		{"ABC123", "ABC123"},
		{"abc-123", "ABC123"},
		{" abc 123\r\n", "ABC123"},
		{"a\u00a0b\u2009c", "ABC"},
		{"12\u201034\u201156\u2212", "123456"},
		{"oOiIlL", "001111"},
		{"0123456789", "0123456789"},
		{"u", "U"},
		{"pässword", "PASSW0RD"},
		{"abc_123", "ABC_123"},
		{"\xff", "\ufffd"},
	}
	for _, test := range tests {
		if got := otp.Normalize(test.typed); got != test.want {
			t.Errorf("Normalize(%q): got %q, want %q", test.typed, got, test.want)
		}
	}
}

// TestNormalizeForeignCharacters tests that a code that was pasted from a mail, or typed with
// another keyboard, is the same code.
func TestNormalizeForeignCharacters(t *testing.T) {
	t.Parallel()
	const code = "8BM30YBG"
	for _, typed := range []string{
		"\uff18\uff22\uff2d\uff13\uff10\uff39\uff22\uff27", // full width
		"8\uff42m\uff13\uff4fybg",                          // full width, lower case, O for 0
		"8BM3\u200b0YBG", "\ufeff8BM30YBG", "8BM3\u00ad0YBG", "8BM3\u20600YBG", "\u202a8BM30YBG\u202c", "\u20668BM30YBG\u2069",
		"8BM3\u03010YBG", "8\u034fBM30YBG", "8BM30YBG\ufe0f", "8BM3\u180e0YBG", "8BM3\U000e00200YBG", "8BM3\u20110YBG", "8BM3\u30000YBG",
		"\u2078BM30YBG", "8\u24b7M30YBG", // superscript, circled
	} {
		if got := otp.Normalize(typed); got != code {
			t.Errorf("Normalize(%+q): got %q, want %q", typed, got, code)
		}
	}
}

// TestGeneratedCodesAreTheirOwnNormalForm tests that spaces and case do not change how a
// generated code is read.
func TestGeneratedCodesAreTheirOwnNormalForm(t *testing.T) {
	t.Parallel()
	random := seededRandom()
	for _, alphabet := range []string{otp.AlphabetCrockford, otp.AlphabetDigits} {
		for range 1000 {
			code, err := otp.Generate(storage.CodeFormat{Alphabet: alphabet, Length: 12}, random)
			if err != nil {
				t.Fatal(err)
			}
			spoken := strings.NewReplacer("0", "o", "1", "l").Replace(strings.ToLower(code))
			for _, typed := range []string{code, spoken, code[:6] + "-" + code[6:], " " + strings.Join(strings.Split(spoken, ""), " ")} {
				if got := otp.Normalize(typed); got != code {
					t.Fatalf("Normalize(%q): got %q, want %q", typed, got, code)
				}
			}
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"", "ABC-123", "o0 iIlL1", "\u2011\u00a0x", "\xff\xfe", "ſK", "ab\x00cd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got := otp.Normalize(typed)
		if again := otp.Normalize(got); again != got {
			t.Errorf("Normalize(%q): got %q, and normalized again %q", typed, got, again)
		}
		if got != otp.Normalize(" "+strings.Join(strings.Split(typed, ""), "-")) {
			t.Errorf("separators change the normal form of %q", typed)
		}
		for _, r := range got {
			if unicode.IsSpace(r) || strings.ContainsRune("-abcdefghijklmnopqrstuvwxyzOIL", r) {
				t.Errorf("Normalize(%q): got %q, which contains %q", typed, got, r)
			}
		}
	})
}
