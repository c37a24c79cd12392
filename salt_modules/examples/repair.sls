# Desired states, by hand: salt web1 state.apply repair test=True
nginx.service:
  pidhygiene.unit_limits:
    - limits:
        nofile: 65536

pid numbers:
  pidhygiene.kernel_limits:
    - values:
        kernel.pid_max: 4194304
