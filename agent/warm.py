"""The callable's side: imports the user's module once, and runs its function in a forked child or a fresh process."""

from __future__ import annotations

import atexit
import hashlib
import importlib
import inspect
import json
import os
import random  # here and not where it is used: each forked trial would pay its 3 ms again
import signal
import site
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

Function = Callable[[dict[str, Any]], object]

_OURS = str(Path(__file__).absolute().parents[1]) + os.sep
_MAX_TRACEBACK_CHARS = 64_000
_MAX_LINE_CHARS = 500
_MAX_FILES = 500


class Unstartable(Exception):
    """The module or the function is not there. ``traceback`` has the user's frames only."""

    def __init__(self, error: str, shown: str = "") -> None:
        self.error, self.traceback = error, shown
        super().__init__(error)


def load(call: str, workdir: str) -> Function:
    """The function that ``module:function`` names, with ``prepare()`` of its module run. Raises Unstartable."""
    module_name, _, name = call.partition(":")
    try:
        os.chdir(workdir)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Unstartable(f"the working directory {workdir} cannot be entered: {why}") from error
    sys.path[0] = workdir
    sys.argv[:] = [module_name]
    try:
        module = importlib.import_module(module_name)
        function = attrgetter(name)(module)
        prepare = getattr(module, "prepare", None)
        if prepare is not None and prepare is not function:
            prepare()
    except AttributeError as error:
        if getattr(error, "obj", None) is sys.modules.get(module_name):
            raise Unstartable(_no_function(module_name, name)) from error
        raise Unstartable(*describe(error)) from error
    except BaseException as error:  # a module may even call sys.exit() while it is imported
        line, shown = describe(error)
        if not Path(workdir).is_dir():
            line = f"the working directory {workdir} vanished while {module_name} was imported: {line}"
        raise Unstartable(line, shown) from error
    if not callable(function):
        raise Unstartable(f"{call} is not a function: it is {type(function).__name__}")
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        wrapped = f"def {name}(config): asyncio.run(...)"
        raise Unstartable(f"{name} is a coroutine function, which clustertune cannot call; wrap it: {wrapped}")
    return function  # type: ignore[no-any-return]


def _no_function(module_name: str, name: str) -> str:
    module = sys.modules[module_name]
    own = sorted(
        key
        for key, value in vars(module).items()
        if callable(value) and not key.startswith("_") and getattr(value, "__module__", None) == module_name
    )
    has = f"it has: {', '.join(own[:12])}" if own else "it has no functions"
    return f"module {module_name!r} ({getattr(module, '__file__', 'no file')}) has no function {name!r}; {has}"


def why_unsafe_to_fork() -> str:
    """Empty where forks of this process are sound."""
    if not sys.platform.startswith("linux"):
        return f"forking is not safe on {sys.platform}"
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if names:
        return f"the module left threads running after its import ({', '.join(names[:3])})"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "the module initialized CUDA while it was imported"
    return ""


def loaded_files(workdir: str) -> list[tuple[str, int, int]]:
    """Path, modification time (ns) and size of each module loaded from ``workdir``; installed packages apart."""
    # An environment often stands in the working directory: its packages are not the user's source.
    installed = tuple(path + os.sep for path in {sys.prefix, *site.getsitepackages()} - {workdir})
    files = []
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or not path.startswith(workdir + os.sep):
            continue
        if path.startswith(installed) or path.startswith(_OURS):
            continue
        try:
            found = Path(path).stat()
        except OSError:
            continue
        files.append((path, found.st_mtime_ns, found.st_size))
    return files[:_MAX_FILES]


@dataclass(frozen=True)
class Trial:
    """What a callable's process is told."""

    seed: int
    number: int
    objective: str
    resource: str


def run(trial: Trial, function: Function) -> NoReturn:
    """Runs the callable in this process, tells the agent how it ended, and exits."""
    # Imported by name: of this package only the trial's process knows the SDK, and only at run time.
    training = importlib.import_module("clustertune.training")
    # Handlers that the parent registered would tear down what all forks share.
    atexit._clear()
    _raise_on_sigterm(training.Stopped)
    seed_generators(trial.seed, trial.number)
    code = 1
    try:
        _report_result(training, trial, function(training.config()))
        threading._shutdown()  # type: ignore[attr-defined] # waits for the user's threads, as a script's end does
        code = 0
    except training.Stopped:
        _die_of(signal.SIGTERM)
    except training.Infeasible as error:
        _tell_end(training, {"infeasible": str(error)})
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException as error:  # noqa: BLE001 - the task's boundary: whatever it was becomes a message
        line, shown = describe(error)
        _show(shown)
        if isinstance(error, TypeError) and _was_never_entered(function, error):
            _tell_end(training, {"unstartable": line + _definition_of(function), "traceback": shown})
        else:
            _tell_end(training, {"raised": line, "traceback": shown})
    leave(code)


def _show(text: str) -> None:
    """In the log, unless the program has closed what leads there."""
    try:
        sys.stderr.write(text)
    except (OSError, ValueError, AttributeError):  # closed below Python, by Python, or None
        return


def _tell_end(training: Any, outcome: dict[str, str]) -> None:
    """In a group, with the rank: the others' ends may come of this one's."""
    own = {"rank": os.environ["RANK"]} if "CLUSTERTUNE_PROCESSES" in os.environ else {}
    training._channel.tell({**outcome, **own})


def _was_never_entered(function: Function, error: TypeError) -> bool:
    """Whether the call itself failed, because the function does not take one positional argument."""
    if error.__traceback__ is None or error.__traceback__.tb_next is not None:
        return False
    try:
        inspect.signature(function, follow_wrapped=False).bind({})
    except TypeError:
        return True
    except ValueError:  # a builtin without a signature
        return False
    return False


def _definition_of(function: Function) -> str:
    code = getattr(function, "__code__", None) or getattr(getattr(function, "__init__", None), "__code__", None)
    where = f", and defined at {code.co_filename}:{code.co_firstlineno}" if code is not None else ""
    return f"; it is called with one argument, the configuration{where}"


def leave(code: int) -> NoReturn:
    """Ends this process without what the interpreter tears down, which costs a big one many milliseconds."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    os._exit(code)


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    _show(f"{error.code}\n")
    return 1


def _raise_on_sigterm(stopped: type[BaseException]) -> None:
    trial = os.getpid()

    def stop(number: int, _: FrameType | None) -> None:
        if os.getpid() != trial:
            _die_of(number)  # a process that the trial forked: it has no clean-up of ours to do
        raise stopped("this trial is to end now")

    signal.signal(signal.SIGTERM, stop)


def _die_of(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def seed_generators(seed: int, trial: int) -> None:
    """Seeds ``random``, and NumPy's global generator where it is loaded, from the experiment's seed and the trial."""
    derived = int.from_bytes(hashlib.sha256(f"{seed}:{trial}".encode()).digest()[:4], "big")
    random.seed(derived)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(derived)


def _report_result(training: Any, trial: Trial, result: object) -> None:
    """What a callable returns is a report too: a number where it made none, a dict of numbers in any case."""
    if isinstance(result, Mapping):
        values = {str(name): value for name, value in result.items() if _is_number(value)}
        level = values.pop(trial.resource, None) if trial.resource != trial.objective else None
        if values:
            training._channel.report(None if level is None else int(level), {k: float(v) for k, v in values.items()})
    elif _is_number(result) and training._channel.reports == 0 and trial.objective:
        training._channel.report(1, {trial.objective: float(result)})  # type: ignore[arg-type]
    elif result is not None and training._channel.reports == 0:
        training._channel.tell({"notice": f"what the callable returned is not a number: {type(result).__name__}"})


def _is_number(value: object) -> bool:
    kind = type(value)
    return kind is not bool and (hasattr(kind, "__float__") or hasattr(kind, "__index__")) and not hasattr(kind, "keys")


def describe(error: BaseException) -> tuple[str, str]:
    """One line, and the traceback without frames of ours or of the import machinery."""
    story = traceback.TracebackException.from_exception(error)
    _trim(story)
    shown = "".join(story.format())
    if len(shown) > _MAX_TRACEBACK_CHARS:
        shown = shown[:2000] + "\n...\n" + shown[-_MAX_TRACEBACK_CHARS:]
    line = next(part for part in story.format_exception_only() if not part.startswith(" "))
    return line.split("\n")[0][:_MAX_LINE_CHARS], shown


def _trim(story: traceback.TracebackException | None) -> None:
    while story is not None:
        story.stack = traceback.StackSummary.from_list(
            [
                frame
                for frame in story.stack
                if not frame.filename.startswith((_OURS, "<frozen importlib", importlib.__file__))
            ]
        )
        if story.__context__ is not None and story.__context__ is not story.__cause__:
            _trim(story.__context__)
        story = story.__cause__


def main() -> NoReturn:
    """A fresh process for one trial, where forking a warm parent is not safe."""
    settings = json.loads(os.environ.pop("CLUSTERTUNE_CALLABLE"))
    training = importlib.import_module("clustertune.training")
    try:
        function = load(settings.pop("call"), settings.pop("workdir"))
    except Unstartable as error:
        _show(error.traceback)
        _tell_end(training, {"unstartable": error.error, "traceback": error.traceback})
        leave(1)
    run(Trial(**settings), function)
