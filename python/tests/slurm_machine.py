"""A Slurm of one machine for tests: munge, a controller and two nodes, all on loopback, started by hand and ended with the test.

Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge, which `python/run` installs where it can.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

COMMANDS = ["munged", "slurmctld", "slurmd", "sbatch", "sinfo"]
CONFIGURATION = """
ClusterName=moesim
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=debug Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Why there can be none here; None if there can."""
    if os.getuid() != 0:
        return "no root"
    absent = [name for name in COMMANDS if shutil.which(name, path=PATH) is None]
    return f"no {', '.join(absent)}" if absent else None


PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def free_ports(number):
    """Ports of loopback that nobody has."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for own in sockets:
            own.bind(("127.0.0.1", 0))
        return [own.getsockname()[1] for own in sockets]


@contextlib.contextmanager
def machine():
    """Starts it, and gives the environment in which `sbatch` finds it."""
    with tempfile.TemporaryDirectory(prefix="moesim-slurm-", dir="/var/tmp") as name, contextlib.ExitStack() as ends:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        for own in ["state", "n1", "n2"]:
            (folder / own).mkdir()
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        configuration = folder / "slurm.conf"
        configuration.write_text(CONFIGURATION.format(host=socket.gethostname(), ports=free_ports(3), folder=folder))
        environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(configuration)}
        log = ends.enter_context(open(folder / "started.log", "w"))

        def start(*command):
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            ends.callback(process.wait, 30)
            ends.callback(process.terminate)

        own = [f"--{what}={folder}/munge.{what.split('-')[0]}" for what in ["key-file", "socket", "pid-file", "log-file", "seed-file"]]
        start("munged", "--foreground", "--force", *own)
        start("slurmctld", "-D", "-f", str(configuration))
        for node in ["n1", "n2"]:
            start("slurmd", "-D", "-N", node, "-f", str(configuration))
        until = time.monotonic() + 60
        while idle(environment) < 2:
            if time.monotonic() > until:
                said = "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob("*.log")))
                raise RuntimeError(f"Slurm did not come up:\n{said}")
            time.sleep(0.2)
        yield environment


def idle(environment):
    """Nodes that wait for work."""
    told = subprocess.run(["sinfo", "-h", "-o", "%D %t"], env=environment, capture_output=True, text=True)
    return sum(int(line.split()[0]) for line in told.stdout.splitlines() if line.split()[1:] == ["idle"])
