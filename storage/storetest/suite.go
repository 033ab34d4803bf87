package storetest

import "testing"

// Database opens a store on one database. Each call opens another store on the same
// database, which is closed at the end of the test.
type Database func(t *testing.T) Store

// Run runs the suite. fresh creates a new, migrated database for a test.
func Run(t *testing.T, fresh func(t *testing.T) Database) { suite{fresh: fresh}.runParts(t) }

// RunBriefly is Run without the tests that execute the same statements many times: those of
// concurrent callers and of random outcomes. Use it for another kind of connection to a
// database that Run tests already, or if only short tests run.
func RunBriefly(t *testing.T, fresh func(t *testing.T) Database) {
	suite{fresh: fresh, brief: true}.runParts(t)
}

type suite struct {
	fresh func(t *testing.T) Database
	brief bool // without the tests that repeat statements
}

func (s suite) runParts(t *testing.T) {
	for name, part := range map[string]func(*testing.T, suite){
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
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, s)
		})
	}
}

// cases are tests by name. Each one gets its own database.
type cases map[string]func(t *testing.T, w *fixture)

func (s suite) run(t *testing.T, tests cases) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t, s.fresh(t)))
		})
	}
}

// runRepeating runs tests that execute the same statements many times.
func (s suite) runRepeating(t *testing.T, tests cases) {
	if !s.brief {
		s.run(t, tests)
	}
}
