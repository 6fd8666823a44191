"""What the agent finds out about its machine, its folder and the environment of trials."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from clustertune.agent.environment import attempt_environment, shared_environment
from clustertune.agent.folder import Folder, FolderTaken, file_name
from clustertune.agent.inventory import cpu_quotas, memory_limits, parse_nvidia_smi, take_inventory, visible_gpus
from clustertune.agent.leftovers import Records
from clustertune.agent.sdk import copy_sdk
from clustertune.model.instance import Gpu
from clustertune.model.messages import RunSpec, Start
from clustertune.model.processes import stat


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_inventory_of_this_machine_is_plausible():
    found = take_inventory(slots=4)
    assert 0 < found.cpus <= (os.cpu_count() or 1)
    assert 2**20 < found.memory_bytes <= psutil.virtual_memory().total
    assert (found.slots, found.python) == (4, sys.version.split()[0])


def test_cgroups_of_version_2_limit_it_at_every_level(tmp_path):
    root = tree(tmp_path, {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/a/b/memory.max": "1000000\n", "sys/fs/cgroup/a/memory.max": "max\n",
    })  # fmt: skip
    assert list(cpu_quotas(root)) == [1.5]
    assert list(memory_limits(root)) == [1000000]


def test_cgroups_of_version_1_limit_it_also_where_the_path_is_the_hosts(tmp_path):
    root = tree(tmp_path, {
        "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n",
    })  # fmt: skip
    assert list(cpu_quotas(root)) == [0.5]
    assert list(memory_limits(root)) == [2000000]


def test_gpus_are_read_from_nvidia_smi_and_limited_by_cuda_visible_devices():
    gpus = parse_nvidia_smi("0, NVIDIA A10G, 23028\n1, Tesla T4, 15360\nFailed to initialize NVML\n2, X, [N/A]\n")
    assert gpus == (Gpu(0, "NVIDIA A10G", 23028 * 2**20), Gpu(1, "Tesla T4", 15360 * 2**20))
    assert visible_gpus(gpus, {}) == gpus
    assert visible_gpus(gpus, {"CUDA_VISIBLE_DEVICES": "1"}) == gpus[1:]
    assert visible_gpus(gpus, {"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert visible_gpus(gpus, {"CUDA_VISIBLE_DEVICES": "GPU-8f6a"}) == gpus


def test_a_folder_holds_one_agent_at_a_time(tmp_path):
    first = Folder(tmp_path / "agent")
    with pytest.raises(FolderTaken, match="another agent has"):
        Folder(tmp_path / "agent")
    first.close()
    Folder(tmp_path / "agent").close()
    assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o700


KILLED = """
import os, pathlib, sys
from clustertune.agent.folder import Folder
folder = Folder(pathlib.Path(sys.argv[1]))
print(folder.socket().parent, folder.temporary("digits:0:1"), flush=True)
os.kill(os.getpid(), 9)
"""


def test_the_short_way_that_a_killed_agent_left_is_used_again_and_removed(tmp_path):
    root = tmp_path / ("long" * 25)
    killed = subprocess.run([sys.executable, "-c", KILLED, root], stdout=subprocess.PIPE, text=True, check=False)
    short, temporary = map(Path, killed.stdout.split())
    assert short.stat().st_mode & 0o777 == 0o700
    folder = Folder(root)
    assert (folder.socket().parent, folder.temporary("digits:0:1")) == (short, temporary)
    folder.close()
    assert not short.exists()


def test_what_else_has_the_name_of_the_short_way_is_left_alone(tmp_path):
    root = tmp_path / ("long" * 25)
    first = Folder(root)
    short = first.socket().parent
    first.close()
    short.symlink_to(tmp_path)
    try:
        second = Folder(root)
        assert second.socket().parent != short
        second.close()
        assert short.is_symlink()
    finally:
        short.unlink()


@pytest.mark.parametrize("attempt", ["../../etc/passwd", "..", ".", "a/b:0:1", "x" * 400, "ü" * 200, "a\0b"])
def test_an_attempts_files_stay_in_their_folder(tmp_path, attempt):
    name = file_name(attempt)
    assert "/" not in name
    assert name not in {".", ".."}
    (tmp_path / (name + ".log")).write_text("x")
    assert file_name(attempt) != file_name(attempt + "x")


def environment(own=None, **more):
    run = RunSpec(workdir="/w", **more)
    paths = {"interpreter": "/opt/py/bin/python", "folder": "/f", "sdk": "/f/sdk"}
    return shared_environment(own or {"PATH": "/bin"}, run, cpus=2.5, **paths)


def test_threads_are_as_many_as_cpus_unless_the_user_says_otherwise():
    assert environment()["OMP_NUM_THREADS"] == "2"
    assert environment(env={"OMP_NUM_THREADS": "8"})["OMP_NUM_THREADS"] == "8"
    assert environment({"OMP_NUM_THREADS": "6"})["OMP_NUM_THREADS"] == "6"
    assert environment({"OMP_NUM_THREADS": "6"})["MKL_NUM_THREADS"] == "2"


def test_paths_begin_with_the_interpreter_and_the_sdk():
    found = environment({"PATH": "/bin", "PYTHONPATH": "/mine", "CLUSTERTUNE_TARGET": "7"}, secrets={"KEY": "v"})
    assert found["PATH"] == "/opt/py/bin:/bin"
    assert found["PYTHONPATH"] == "/f/sdk:/mine"
    assert environment()["PYTHONPATH"] == "/f/sdk"
    assert found["KEY"] == "v"
    assert "CLUSTERTUNE_TARGET" not in found


def test_gpus_are_shown_to_a_trial_only_where_the_machine_has_some(tmp_path):
    start = Start(attempt="a:3:1", config={}, run=RunSpec(workdir="/w"), gpus=(0, 2))
    paths = {"folder": tmp_path, "temporary": tmp_path, "socket": tmp_path / "s", "key": "k"}
    assert attempt_environment(start, machine_has_gpus=True, **paths)["CUDA_VISIBLE_DEVICES"] == "0,2"
    assert "CUDA_VISIBLE_DEVICES" not in attempt_environment(start, machine_has_gpus=False, **paths)
    none = Start(attempt="a:3:1", config={}, run=RunSpec(workdir="/w"))
    assert attempt_environment(none, machine_has_gpus=True, **paths)["CUDA_VISIBLE_DEVICES"] == ""


def test_the_sdk_is_all_that_the_copy_lets_a_program_import(tmp_path):
    copy_sdk(tmp_path / "sdk")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import clustertune; clustertune.report(loss=1)"
    command = [sys.executable, "-S", "-E", "-B", "-c", code, str(tmp_path / "sdk")]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert found.stdout == "step 1: loss=1\n"
    names = {path.name for path in (tmp_path / "sdk" / "clustertune").iterdir()}
    assert names == {"__init__.py", "channel.py", "group.py", "saving.py", "training.py", "agent", "model"}


def test_leftovers_are_known_by_pid_and_start_time_and_strangers_are_spared(tmp_path):
    records = Records(tmp_path)
    ours, stranger = (subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2))
    records.add(ours.pid)
    records.add(stranger.pid, "1")  # as if the number had been another process's
    assert records.kill_all(tmp_path / "folder") == 1
    assert ours.wait(10) == -9
    assert stranger.poll() is None
    assert list(tmp_path.iterdir()) == []
    stranger.kill()
    stranger.wait()


def test_a_process_with_an_odd_name_is_read_right(tmp_path):
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(program), "600"], start_new_session=True)
    found = stat(process.pid)
    assert found is not None
    assert (found.parent, found.group, found.session) == (os.getpid(), process.pid, process.pid)
    process.kill()
    process.wait()
    assert stat(process.pid) is None
