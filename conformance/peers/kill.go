package peers

import "syscall"

// Kill ends the program at once, as a crash would, and waits for it.
func (d *Daemon) Kill() {
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // its group: it leads one
	<-d.gone
}

// Signal sends a signal to the program.
func (d *Daemon) Signal(s syscall.Signal) error { return syscall.Kill(d.pid(), s) }
