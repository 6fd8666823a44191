"""From a machine with sshd and Python to a working agent, over one SSH connection."""
