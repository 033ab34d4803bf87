package storetest

import (
	"slices"
	"testing"
)

// Database opens a store on one database. Each call opens another store on the same
// database, which is closed at the end of the test.
type Database func(t *testing.T) Store

// Run runs the suite. fresh creates a new, migrated database for a test. without names the parts of
// the suite that do not run.
func Run(t *testing.T, fresh func(t *testing.T) Database, without ...string) {
	for name, part := range map[string]func(*testing.T, func(*testing.T) Database){
		"Configuration":   testConfiguration,
		"People":          testPeople,
		"Roles":           testRoles,
		"SignIn":          testSignIn,
		"Sources":         testSources,
		"References":      testMissingReferences,
		"Outcomes":        testOutcomes,
		"Families":        testFamilies,
		"Codes":           testCodes,
		"Limits":          testLimits,
		"Messages":        testMessages,
		"Timelines":       testTimelines,
		"Figures":         testFigures,
		"Keys":            testKeys,
		"Members":         testMembers,
		"Users":           testUsers,
		"Passwords":       testPasswords,
		"Verifications":   testVerifications,
		"Lists":           testLists,
		"Deletes":         testDeletes,
		"Audit":           testAudit,
		"DeliveryConfigs": testDeliveryConfigs,
		"Transactions":    testTransactions,
		"Changes":         testChanges,
		"Sweep":           testSweep,
		"Races":           testRaces,
		"Redemptions":     testRedemptions,
		"FamilyUses":      testFamilyUses,
		"Sessions":        testSessions,
		"Authorizations":  testAuthorizations,
		"Tasks":           testTasks,
	} {
		if slices.Contains(without, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, fresh)
		})
	}
}

// cases are tests by name. Each one gets its own database.
type cases map[string]func(t *testing.T, w *fixture)

func (c cases) run(t *testing.T, fresh func(*testing.T) Database) {
	for name, test := range c {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t, fresh(t)))
		})
	}
}
