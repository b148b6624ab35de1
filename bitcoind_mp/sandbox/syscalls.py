"""The system calls that a confined process may make, and those that it is refused.

By what a Python process with threads, an event loop, databases and sockets does; systemd's groups
(``systemd-analyze syscall-filter @system-service``) are the source. Those whose arguments decide are in ``seccomp.py``.
"""

_FILES = """
    access chdir close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64
    fallocate fchdir fchmod fchown fchown32 fdatasync fgetxattr flistxattr flock fstat fstat64 fstatat64
    fstatfs fstatfs64 fsync ftruncate ftruncate64 getcwd getdents getdents64 getxattr
    lgetxattr link linkat listxattr llistxattr llseek _llseek lseek lstat
    lstat64 mkdir mkdirat newfstatat oldfstat oldlstat oldstat open openat openat2 pread64 preadv preadv2 pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice
    stat stat64 statfs statfs64 statx symlink symlinkat sync_file_range sync_file_range2 syncfs tee truncate truncate64
    umask unlink unlinkat vmsplice write writev cachestat
"""
_SOCKETS = """
    accept accept4 getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg send sendmsg
"""
_WAITING = """
    clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 epoll_create
    epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 futex
    futex_time64 futex_wait futex_waitv futex_wake futex_requeue get_robust_list getitimer gettimeofday nanosleep
    _newselect pause pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 restart_syscall sched_yield select
    set_robust_list setitimer signalfd signalfd4 time timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
    timerfd_settime64 times
"""
_MEMORY = """
    brk get_mempolicy madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap mmap2
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages
"""
_ITSELF = """
    arch_prctl capget exit exit_group get_thread_area getcpu getegid getegid32 geteuid geteuid32 getgid getgid32
    getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid
    getresuid32 getrlimit getrusage getsid gettid getuid getuid32 ioprio_get modify_ldt riscv_flush_icache
    riscv_hwprobe rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_sigtimedwait_time64 sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
    sched_getparam sched_getscheduler set_thread_area set_tid_address setrlimit sigaction sigaltstack signal
    sigpending sigprocmask sigreturn sigsuspend swapcontext sysinfo ugetrlimit uname wait4 waitid waitpid
"""
ALLOWED = tuple(" ".join((_FILES, _SOCKETS, _WAITING, _MEMORY, _ITSELF)).split())

#: For those that may make sockets at all: who can't is not to turn one that it was handed to another address.
TO_AN_ADDRESS = ("bind", "connect", "sendmmsg", "sendto")

#: For those that connect to Unix sockets, and wait for them to be there; to anybody else it tells the names of files
#: that come and go in any directory.
WATCHING = ("inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch")

#: Whose first argument is a process: itself only.
TO_A_PROCESS = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")

#: Refused in so many words (EPERM): what somebody may try by mistake, and should hear of. All else that is not
#: allowed doesn't exist here (ENOSYS). clone3 must be so: its flags can't be filtered, and the C library then takes
#: clone, whose flags can. So must io_uring, which does in the kernel what a filter doesn't see. shutdown is among them
#: since a socket that was handed down is also our supervisor's and the next process's: nobody could mend it again. So
#: are those that change the times of files, whoever's they are: Landlock has no say in that.
_REFUSED = """
    execve execveat fork vfork ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd pidfd_send_signal tkill
    chmod fchmodat fchmodat2 chown lchown fchownat setxattr lsetxattr fsetxattr mknod mknodat chroot mount unshare setns
    utime utimes futimesat utimensat utimensat_time64 shutdown
    setuid setgid setresuid setresgid setgroups setsid setpgid setpriority personality keyctl bpf perf_event_open
"""
REFUSED = tuple(_REFUSED.split())
