package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// serverUser returns the user that PostgreSQL runs as, or nil for the current user.
// PostgreSQL refuses to run as root. So root runs it as the user that the package of the
// distribution has created.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(superuser)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and the user postgres does not exist: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// newDir creates a directory that belongs to the user that the server runs as.
func newDir() (string, error) {
	dir, err := os.MkdirTemp("", "latchkey-pg-")
	if err != nil {
		return "", err
	}
	as, err := serverUser()
	if err != nil || as == nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(as.Uid), int(as.Gid))
}

// command returns a command that runs in the directory as the server's user, and in its
// own process group, so that an interrupt from the terminal does not reach it.
func command(dir, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	as, err := serverUser()
	cmd.SysProcAttr.Credential = as
	return cmd, err
}
