package storetest

import (
	"fmt"
	"testing"
	"time"

	"latchkey/storage"
)

func testTasks(t *testing.T, s suite) {
	s.run(t, cases{
		"a task is stored with its progress and result": testTaskKept,
		"tasks wait in order, and are not unlimited":    testTaskOrder,
		"a kind does not wait for all of another":       testTaskKinds,
		"expired tasks are swept":                       testTaskSwept,
	})
}

func (w *fixture) task(id string, after time.Duration) storage.Task {
	return storage.Task{
		ID: id, Kind: storage.TaskPolicyReplay, Object: "PasswordProfile/default", Request: []byte(`{"a":1}`),
		ClientID: "web", UserUID: w.user.UID, Username: "bob", TraceID: "trace", State: storage.TaskWaiting,
		CreatedAt: w.now.Add(after), ExpiresAt: w.now.Add(day),
	}
}

func testTaskKept(t *testing.T, w *fixture) {
	want := w.task("one", 0)
	check(t, w.store.AddTask(w.ctx, want, 1))
	read := func() storage.Task { return must(w.store.Task(w.ctx, want.Kind, want.Object, "one"))(t) }
	equal(t, read(), want)
	fails(w.store.Task(w.ctx, want.Kind, "PasswordProfile/other", "one"))(t, storage.ErrNotFound)
	fails(w.store.Task(w.ctx, storage.TaskAuditVerification, want.Object, "one"))(t, storage.ErrNotFound)

	claimed := must(w.store.ClaimTask(w.ctx))(t)
	equal(t, claimed.State, storage.TaskRunning)
	equal(t, string(claimed.Request), `{"a":1}`)
	check(t, w.store.AdvanceTask(w.ctx, "one", 3, 10))
	equal(t, read().Read, 3)
	equal(t, read().All, 10)
	claimed.State, claimed.Result, claimed.Read, claimed.All, claimed.EndedAt = storage.TaskDone, []byte(`{"b":2}`), 10, 10, w.now.Add(time.Minute)
	check(t, w.store.FinishTask(w.ctx, claimed))
	equal(t, read(), claimed)
	wantErr(t, w.store.FinishTask(w.ctx, claimed), storage.ErrStale)
	wantErr(t, w.store.AdvanceTask(w.ctx, "one", 4, 10), storage.ErrStale)
	fails(w.store.ClaimTask(w.ctx))(t, storage.ErrNotFound)
}

func testTaskOrder(t *testing.T, w *fixture) {
	for i := range 3 {
		check(t, w.store.AddTask(w.ctx, w.task(fmt.Sprint("t", i), time.Duration(i)*time.Second), 3))
	}
	wantErr(t, w.store.AddTask(w.ctx, w.task("t3", time.Minute), 3), storage.ErrTooMany)
	var listed []string
	for _, task := range must(w.store.Tasks(w.ctx, storage.TaskPolicyReplay, "PasswordProfile/default", 2))(t) {
		listed = append(listed, task.ID)
	}
	equal(t, listed, []string{"t2", "t1"})
	for i := range 3 {
		claimed := must(w.store.ClaimTask(w.ctx))(t)
		equal(t, claimed.ID, fmt.Sprint("t", i))
		claimed.State, claimed.Failure, claimed.EndedAt = storage.TaskFailed, "why", w.now
		check(t, w.store.FinishTask(w.ctx, claimed))
	}
	check(t, w.store.AddTask(w.ctx, w.task("t3", time.Minute), 1)) // ended tasks do not count
}

// testTaskKinds tests that each kind has its own limit, and that the kinds take turns.
func testTaskKinds(t *testing.T, w *fixture) {
	add := func(id string, kind storage.TaskKind, after time.Duration) error {
		task := w.task(id, after)
		task.Kind = kind
		return w.store.AddTask(w.ctx, task, 2)
	}
	for i, id := range []string{"r1", "r2"} {
		check(t, add(id, storage.TaskPolicyReplay, time.Duration(i)*time.Second))
	}
	wantErr(t, add("r3", storage.TaskPolicyReplay, time.Minute), storage.ErrTooMany)
	check(t, add("v1", storage.TaskAuditVerification, 2*time.Second))
	check(t, add("v2", storage.TaskAuditVerification, 3*time.Second))
	var order []string
	for i := range 4 {
		claimed := must(w.store.ClaimTask(w.ctx))(t)
		claimed.State, claimed.EndedAt = storage.TaskDone, w.now.Add(time.Duration(i)*time.Minute)
		check(t, w.store.FinishTask(w.ctx, claimed))
		order = append(order, claimed.ID)
	}
	equal(t, order, []string{"r1", "v1", "r2", "v2"})
}

func testTaskSwept(t *testing.T, w *fixture) {
	check(t, w.store.AddTask(w.ctx, w.task("one", 0), 1))
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(day-time.Second), 10))(t), 0)
	equal(t, must(w.store.Sweep(w.ctx, w.now.Add(day+time.Second), 10))(t), 1)
}
