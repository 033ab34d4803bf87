//go:build !race

package kit

// RaceDetector reports whether the race detector is on.
const RaceDetector = false
