"""Looks whether a machine has what an agent needs: a Python, and a folder to be in."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from clustertune.model.errors import ProviderFatal
from clustertune.provisioner.bootstrap.remote import Remote

OLDEST = (3, 10)

_PLACES = (
    *("python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"),
    *("/usr/local/bin/python3", "/opt/conda/bin/python3", "/opt/python/bin/python3", "/opt/homebrew/bin/python3"),
    *('"$HOME"/miniconda3/bin/python3', '"$HOME"/anaconda3/bin/python3', '"$HOME"/miniforge3/bin/python3'),
    '"$HOME"/.pyenv/shims/python3',
)
"""Where to look, in this order: what ``python3`` means there comes first."""

_MARK = "clustertune:"
"""Begins every line that is meant for us: what a shell says as it starts stands there too."""

_SCRIPT = """
root="$HOME/{root}"
echo "{mark} home $root"
mkdir -p "$root" && chmod 700 "$root" && echo "{mark} made"
[ -f "$root/{agent}" ] && echo "{mark} agent"
for place in {places}; do
  found=$(command -v "$place" 2>/dev/null) || continue
  told=$("$found" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue
  echo "{mark} python $told $found"
  case $told in 3.?.*|2.*) ;; *) break ;; esac
done
"""


class NoPython(ProviderFatal):
    """No agent can run there: nor does one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The root of our folder there, the interpreter that runs the agent, and whether the agent's file is there."""

    root: str
    python: str
    version: str
    has_agent: bool


async def probe(remote: Remote, *, root: str, agent: str) -> Probed:
    """``root`` is relative to the home folder, ``agent`` the name of the agent's file in it. Raises ProviderFatal."""
    script = _SCRIPT.format(root=root, agent=agent, mark=_MARK, places=" ".join(_PLACES))
    ran = await remote.run(f"exec sh -c {shlex.quote(script)}")
    lines = [line.split(" ", 2)[1:] for line in ran.output.decode(errors="replace").splitlines() if _ours(line)]
    told = {line[0]: line[1] if len(line) > 1 else "" for line in lines if line[0] != "python"}
    if "home" not in told:
        raise ProviderFatal(f"no command can be run there: {_words(ran.errors) or _words(ran.output) or ran.code}")
    if "made" not in told:
        raise ProviderFatal(f"{told['home']} cannot be made there: {_words(ran.errors)}")
    pythons = [tuple(line[1].split(" ", 1)) for line in lines if line[0] == "python"]
    fitting = next(((version, path) for version, path in pythons if _number(version) >= OLDEST), None)
    if fitting is None:
        raise NoPython(_no_python([f"{path} is {version}" for version, path in pythons]))
    return Probed(root=told["home"], python=fitting[1], version=fitting[0], has_agent="agent" in told)


def _ours(line: str) -> bool:
    return line.startswith(_MARK + " ")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _no_python(found: list[str]) -> str:
    there = f"; {', '.join(found)}" if found else ""
    return (
        f"there is no Python {OLDEST[0]}.{OLDEST[1]} or newer there{there}; install one (on Debian and Ubuntu: "
        "sudo apt install python3; on older ones: curl -LsSf https://astral.sh/uv/install.sh | sh && "
        "uv python install --default 3.12) so that `python3` finds it"
    )


def _words(output: bytes) -> str:
    return " ".join(output.decode(errors="replace").split())[-300:]
