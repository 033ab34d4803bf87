package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"latchkey/storage"
)

// tasksInMemory is a TaskStore and a storage.Recorder.
type tasksInMemory struct {
	mu       sync.Mutex
	tasks    []storage.Task
	refusals int // how often FinishTask fails
	actions  []string
}

func (m *tasksInMemory) AddTask(_ context.Context, t storage.Task, limit int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.tasks) >= limit {
		return storage.ErrTooMany
	}
	m.tasks = append(m.tasks, t)
	return nil
}

func (m *tasksInMemory) ClaimTask(context.Context) (storage.Task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.tasks {
		if m.tasks[i].State == storage.TaskWaiting {
			m.tasks[i].State = storage.TaskRunning
			return m.tasks[i], nil
		}
	}
	return storage.Task{}, storage.ErrNotFound
}

func (m *tasksInMemory) AdvanceTask(context.Context, string, int64, int64) error { return nil }

func (m *tasksInMemory) FinishTask(_ context.Context, t storage.Task) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refusals--; m.refusals >= 0 {
		return storage.ErrUnavailable
	}
	for i := range m.tasks {
		if m.tasks[i].ID == t.ID {
			m.tasks[i] = t
		}
	}
	return nil
}

func (m *tasksInMemory) Task(_ context.Context, _ storage.TaskKind, _, id string) (storage.Task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.tasks {
		if t.ID == id {
			return t, nil
		}
	}
	return storage.Task{}, storage.ErrNotFound
}

func (m *tasksInMemory) Tasks(context.Context, storage.TaskKind, string, int) ([]storage.Task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tasks, nil
}

func (m *tasksInMemory) Record(_ context.Context, e storage.AuditEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.actions = append(m.actions, e.Action+" "+e.Outcome+" "+e.Username)
}

// inBubble runs the tasks of one kind with the work in a bubble of its own time.
func inBubble(t *testing.T, m *tasksInMemory, work Work, test func(s *Tasks, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := NewTasks(TasksConfig{
			Store: m, Recorder: m, Now: time.Now, Rand: bytes.NewReader(make([]byte, 1024)), Logger: zerolog.New(zerolog.NewTestWriter(t)),
			Kinds: map[storage.TaskKind]TaskKind{storage.TaskPolicyReplay: {Work: work, Action: "tried"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.Run(ctx) })
		test(s, stop)
		stop()
		running.Wait()
	})
}

func start(t *testing.T, s *Tasks) storage.Task {
	t.Helper()
	task, err := s.Start(t.Context(), storage.Task{Kind: storage.TaskPolicyReplay, Username: "ann"}, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// TestEndsOfTasks tests that a task is stored with its result, or with a reason that shows
// nothing of an error of the server, and that the end is stored once the database answers.
func TestEndsOfTasks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err     error
		state   storage.TaskState
		failure string
		event   string
	}{
		{nil, storage.TaskDone, "", "tried success ann"},
		{fmt.Errorf("run: %w", &TaskFailure{"there is too much"}), storage.TaskFailed, "there is too much", "tried failed ann"},
		{errors.New("secret detail"), storage.TaskFailed, "the database did not answer, or the server failed; start it again", "tried failed ann"},
	} {
		m := &tasksInMemory{refusals: 2}
		work := func(context.Context, storage.Task, func(int64, int64) error) (any, string, error) {
			return map[string]int{"n": 1}, "success", c.err
		}
		inBubble(t, m, work, func(s *Tasks, _ func()) {
			id := start(t, s).ID
			time.Sleep(repeatEvery * 3)
			synctest.Wait()
			got, err := s.Get(t.Context(), storage.TaskPolicyReplay, "", id)
			if err != nil || got.State != c.state || got.Failure != c.failure || (string(got.Result) == `{"n":1}`) != (c.err == nil) {
				t.Errorf("got %+v, %v, want %s %q", got, err, c.state, c.failure)
			}
			if fmt.Sprint(m.actions) != "["+c.event+"]" {
				t.Errorf("recorded %q, want %q", m.actions, c.event)
			}
		})
	}
}

// TestStopLeavesTask tests that a server that stops leaves the task that it is doing to
// another one, and records no end of it.
func TestStopLeavesTask(t *testing.T) {
	t.Parallel()
	m := &tasksInMemory{}
	work := func(ctx context.Context, _ storage.Task, progress func(int64, int64) error) (any, string, error) {
		for n := int64(0); ; n++ {
			if err := progress(n, 100); err != nil {
				return nil, "", err
			}
			time.Sleep(time.Millisecond)
		}
	}
	inBubble(t, m, work, func(s *Tasks, stop func()) {
		id := start(t, s).ID
		time.Sleep(time.Second)
		stop()
		synctest.Wait()
		time.Sleep(time.Second)
		if got, err := s.Get(t.Context(), storage.TaskPolicyReplay, "", id); err != nil || got.State != storage.TaskRunning || len(m.actions) != 0 {
			t.Errorf("got %+v, %v, recorded %q", got, err, m.actions)
		}
	})
}
