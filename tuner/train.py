"""The training child: `python -m tuner.train RUN_DIR` turns a run's snapshot into an adapter.

It sees its run folder and the base model's folder, nothing else: no store, no server, no settings.
`trained.json` is written last, so a run killed anywhere goes on from its checkpoint and ends with the
same bytes. What a person can do about a failure goes to `error.json`; the exit status is then 1.

Trail: tuner/child.py -> here -> tuner/registry.py
"""

from feedback.lifeline import end_with_parent
from tuner.standing import stand_back

if __name__ == "__main__":
    stand_back()  # before any thread
    end_with_parent()  # before torch, whose import takes seconds

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

from feedback import snapshot
from feedback.errors import HoneError, TrainingFailed
from feedback.fingerprint import digest
from feedback.records import Message
from feedback.snapshot import Row
from tuner import checkpoint, memory, replay
from tuner.course import Course
from tuner.lessons import Lesson
from tuner.plan import RunFolder, read_json, read_lines, write_json
from tuner.student import Student
from tuner.team import SIZE as TEAM_SIZE
from tuner.team import Team


def main(arguments: Sequence[str]) -> int:
    folder = RunFolder(Path(arguments[0]))
    try:
        train(folder)
    except Exception as failed:
        traceback.print_exc()
        if TEAM_SIZE in os.environ and not isinstance(failed, HoneError):
            return 1  # it may be the echo of another's death, after which all begin again
        todo = failed.todo if isinstance(failed, HoneError) else f"The whole story is in {folder.log}."
        what = failed.what if isinstance(failed, HoneError) else f"Training failed: {failed!r}."
        write_json(folder.error, {"what": what, "todo": todo})
        return 1
    return 0


def train(folder: RunFolder) -> None:
    """Learn, judge on held-out rows, and leave the adapter with its manifest in the run's folder.

    Raises:
        TrainingFailed: There is nothing to learn from, or what was learnt is unusable.
    """
    plan = folder.read_plan()
    torch.set_num_threads(plan.threads)
    team = Team()
    student = Student(plan)
    rows = snapshot.load(folder.snapshot)
    taught, dropped = student.lessons(rows.train)
    if not taught:
        raise TrainingFailed(
            f"None of the {len(rows.train)} training pairs can be learnt from: {dict(dropped)}.",
            "Approve pairs that fit the model's context and its chat template, then run again.",
        )
    student.settle(taught)
    repeated = student.lessons(_own_answers(folder))[0]
    dev, (held_out, unscored) = student.lessons(rows.dev)[0], student.lessons(rows.gate)
    _find_room(folder, student, [*taught, *repeated, *dev, *held_out], team)
    course = Course(folder, plan, student, taught, dev, _replay(student, repeated), team)
    course.finish()
    student.check()
    if team.first:
        checkpoint.save_adapter(student.model, folder.adapter, Path(plan.base).name)
        write_json(folder.scores, student.scores(held_out))
        write_json(folder.probe, student.probes(taught))
        left_out = {"train": dict(dropped), "gate": dict(unscored)}
        told = {**course.account(), "left_out": left_out, "digest": digest(folder.adapter)}
        write_json(folder.trained, told)
    team.part()


def _own_answers(folder: RunFolder) -> list[Row]:
    """What the base said to general questions, as rows; none where nobody asked it."""
    return [
        Row("", "", "", tuple(Message(**told) for told in line["messages"]), line["response"], "base")
        for line in read_lines(folder.replay)
    ]


def _replay(student: Student, lessons: Sequence[Lesson]) -> replay.Replay:
    plan = student.plan
    if not lessons or not plan.replay_share:
        return replay.Replay()
    bare = student.model.disable_adapter()
    told = {"most": student.batch_tokens, "share": plan.replay_share, "seed": plan.seed}
    return replay.remember(student.way, lessons, bare, **told)


def _find_room(folder: RunFolder, student: Student, lessons: Sequence[Lesson], team: Team) -> None:
    """Decide once a run how much goes through the model at a time: a resumed one must do the same sums.

    Raises:
        TrainingFailed: There is too little memory.
    """
    if folder.room.exists():
        student.take(memory.Room(**read_json(folder.room)))
        return
    longest = max(len(lesson.ids) for lesson in lessons)
    # The base is loaded already.
    left = memory.free(student.device) + student.shape().base
    room = memory.plan(
        student.shape(),
        most=student.plan.batch_tokens,
        longest=longest,
        free=left // team.size if student.device.type == "cpu" else left,
        device=student.device.type,
    )
    room = team.as_first(room)
    if team.first:
        write_json(folder.room, room.as_dict())
    student.take(room)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
