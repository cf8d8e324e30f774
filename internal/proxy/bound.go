package proxy

import (
	"os/exec"
	"runtime"
)

// StartBound starts a proxy as leader of a process group of its own, which the kernel
// kills when this process ends, in whatever way. How it ended comes once, by the channel.
//
// The parent death signal (see childAttributes) is sent when the *thread* that forked
// ends, not the process (prctl(2), PR_SET_PDEATHSIG): a Go program ends threads when it
// likes, and would then kill a healthy proxy. So it is started by a locked thread that
// lives for as long as it does.
func StartBound(cmd *exec.Cmd) (<-chan error, error) {
	cmd.SysProcAttr = childAttributes()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			result <- err
			return
		}
		result <- nil
		result <- cmd.Wait()
	}()
	if err := <-result; err != nil {
		return nil, err
	}
	return result, nil
}
