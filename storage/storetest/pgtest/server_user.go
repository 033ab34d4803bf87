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

// chownDir makes the user that the server runs as the owner of the directory.
func (s *Server) chownDir() error {
	as, err := serverUser()
	if err != nil || as == nil {
		return err
	}
	return os.Chown(s.dir, int(as.Uid), int(as.Gid))
}

// command returns a command that runs in the server's directory, and in its own process
// group, so that an interrupt from the terminal does not reach it.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if as, err := serverUser(); err == nil {
		cmd.SysProcAttr.Credential = as
	}
	return cmd
}
