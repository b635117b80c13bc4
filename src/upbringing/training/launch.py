"""Run a segment in as many processes as the build profile says: here, or in children that meet over loopback."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from upbringing.base.errors import InterruptedRunError, TrainingError, UpbringingError
from upbringing.base.parent import end_with_parent
from upbringing.base.surroundings import poor_context
from upbringing.formats.record import BuildProfile
from upbringing.training.segment import Places, Realised, Segment, run_segment
from upbringing.training.watch import StopRequest

OnProgress = Callable[[int, int, float], None]
SECONDS_TO_LEAVE = 30.0  # one that is killed on its way out leaves semaphores behind, which Python warns of
STOPPED = "stopped outside the updates of a stage; run the same command to resume"


@dataclass(frozen=True)
class _Task:
    """What every child is given. ``meeting``: a file that does not exist yet, where they find each other."""

    segment: Segment
    places: Places
    profile: BuildProfile
    meeting: Path


def launch_segment(segment: Segment, places: Places, profile: BuildProfile, on_progress: OnProgress) -> Realised:
    """Run ``segment`` as ``run_segment`` does, in ``profile.world_size`` processes.

    Children end when this process does, so that a killed run leaves nobody writing. A polite signal is passed on to
    them, and they keep their state first. Raises what the first child to fail raised, and ``TrainingError`` for one
    that vanished.
    """
    if profile.world_size == 1:
        return run_segment(segment, places, profile, on_progress)
    context = poor_context()
    with tempfile.TemporaryDirectory() as folder:
        task = _Task(segment, places, profile, Path(folder) / "meeting")
        children: dict[Connection, SpawnProcess] = {}
        request = StopRequest(lambda: _stop(children.values()))
        patience = 0.0
        with request.heard():
            try:
                for rank in range(profile.world_size):
                    mine, theirs = context.Pipe(duplex=False)
                    child = context.Process(target=_run_child, args=(rank, task, theirs))
                    child.start()
                    theirs.close()
                    children[mine] = child
                if request.is_made:
                    _stop(children.values())  # one that was being started then has not been told
                    raise InterruptedRunError(STOPPED)
                realised = _outcome(children, on_progress, request)
                patience = SECONDS_TO_LEAVE
            except InterruptedRunError:
                patience = SECONDS_TO_LEAVE
                raise
            finally:
                _end(children.values(), patience)
    return realised


def _end(children: Iterable[SpawnProcess], patience: float) -> None:
    """See that no child is left: one that is done leaves by itself, one that waits for a lost one never would."""
    for each in children:
        each.join(patience)
        each.kill()
        each.join()


def _stop(children: Iterable[SpawnProcess]) -> None:
    """Ask children to stop: in a stage they keep a state and say so, before and behind it they end at once."""
    for child in list(children):
        child.terminate()


def _outcome(children: dict[Connection, SpawnProcess], on_progress: OnProgress, request: StopRequest) -> Realised:
    """Return what the first process realised once all have finished."""
    first = next(iter(children))
    realised: dict[Connection, Realised] = {}
    while len(realised) < len(children):
        for ready in wait([each for each in children if each not in realised]):
            assert isinstance(ready, Connection)
            try:
                message = ready.recv()
            except EOFError:
                children[ready].join()
                code = children[ready].exitcode
                if request.is_made:
                    raise InterruptedRunError(STOPPED) from None
                raise TrainingError(
                    f"one of {len(children)} training processes vanished (exit code {code}; killed, or out of "
                    "memory): run the same command again to resume"
                ) from None
            if isinstance(message, UpbringingError):
                raise message
            if isinstance(message, Realised):
                realised[ready] = message
            elif ready is first:
                on_progress(*message)
    return realised[first]


def _run_child(rank: int, task: _Task, parent: Connection) -> None:
    end_with_parent()
    size = str(task.profile.world_size)
    os.environ.update(
        {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": size,
            "LOCAL_WORLD_SIZE": size,
            "MASTER_ADDR": "127.0.0.1",
            "GLOO_SOCKET_IFNAME": "lo",
        }
    )
    import torch

    backend = "gloo" if task.profile.device == "cpu" else "nccl"
    torch.distributed.init_process_group(
        backend, init_method=task.meeting.as_uri(), rank=rank, world_size=task.profile.world_size
    )
    try:
        message: Any = run_segment(task.segment, task.places, task.profile, lambda *step: parent.send(step))
        torch.distributed.destroy_process_group()
    except UpbringingError as error:
        message = error
    parent.send(message)
    parent.close()
