"""What the page is told of a session: the frame that is shown, the curves so far, and which controls there are."""

from __future__ import annotations

from typing import Any

import numpy as np

from worldmodel.play.protocol import encode_frame
from worldmodel.play.session import Session

CURVES = ("reward", "real_reward", "termination", "uncertainty", "psnr")
SESSION = ("epoch", "running", "ended", "driven", "passes", "speed", "seed", "recording")
CURVE_LENGTH = 1000  # moments


def frame_message(session: Session) -> bytes:
    """Everything that is on the screen now."""
    now = session.now
    moment = now.now
    pictures = [moment.frame]
    kinds: list[dict[str, Any]] = [{"kind": "dream"}]
    if moment.real is not None:
        pictures.append(moment.real)
        kinds.append({"kind": "real"})
    if len(session.futures) > 1:
        for number, future in enumerate(session.futures):
            t = int(np.clip(now.at, future.first, future.last))  # the nearest moment that it has
            pictures.append(future[t].frame)
            kinds.append({"kind": "future", "number": number, "t": t})
    header = {
        "type": "frame",
        **{name: getattr(session, name) for name in SESSION},
        "t": now.at,
        "first": now.first,
        "earliest": now.earliest,
        "last": now.last,
        "size": list(moment.frame.shape[:2]),
        "pictures": kinds,
        **{name: _number(getattr(moment, name)) for name in CURVES},
        "total": _number(moment.total),
        "real_total": _number(moment.real_total) if moment.real is not None else None,
        "real_ended": moment.real_ended,
        "real_note": session.reality.note,
        "seq": session.applied,
        "futures": [{"name": f.name, "born": f.born, "last": f.last} for f in session.futures],
        "agent": session.agent is not None,
    }
    return encode_frame(header, pictures)


def history_message(session: Session) -> dict[str, Any]:
    """The curves of the future that is shown, from moment `from` on."""
    future = session.now
    moments = future.moments[-CURVE_LENGTH:]
    curves = {name: [_number(getattr(moment, name)) for moment in moments] for name in CURVES}
    return {"type": "history", "epoch": session.epoch, "from": future.last - len(moments) + 1, **curves}


def world_message(session: Session, name: str, identity: str) -> dict[str, Any]:
    """Once for every connection: the world, its controls, and what the session may do."""
    world = session.world
    return {
        "type": "world",
        "name": name,
        "env": world.env.id,
        "session": identity,
        "fps": world.fps,
        "size": list(world.frame_shape[:2]),
        "time_limit": world.max_episode_steps,
        "contexts": len(session.model.contexts),
        "controls": controls(session),
        "seq": session.seq,
        "rest": session.rest_action().tolist(),
        "has_reality": session.reality.simulator is not None,
        "has_agent": session.has_agent,
        "limits": {"history": session.history, "frames": session.frames},
    }


def controls(session: Session) -> list[dict[str, Any]]:
    """What each of the numbers of an encoded action is: an axis in [-1, 1], a choice of several, or a bit."""
    layout, simulator = session.world.codec.layout, session.reality.simulator
    names = None if simulator is None else simulator.action_names
    found: list[dict[str, Any]] = []
    for run in layout.one_hots:
        count = run.stop - run.start
        known = names if names is not None and len(names) == count else None
        found.append({"kind": "choice", "index": run.start, "count": count, "names": known})
    chosen = {index for run in layout.one_hots for index in range(run.start, run.stop)}
    for index in sorted(set(range(session.world.codec.size)) - chosen):
        found.append({"kind": "axis" if layout.boxes[index] else "bit", "index": index})
    return sorted(found, key=lambda control: control["index"])


def _number(value: float | None) -> float | None:
    """Short, and None where it is not finite: JSON has no infinity."""
    return None if value is None or not np.isfinite(value) else round(float(value), 5)
