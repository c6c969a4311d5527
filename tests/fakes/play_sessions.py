"""Sessions of a tiny world, driven without a server."""

from __future__ import annotations

import numpy as np
from tiny_world import tiny_world_model

from worldmodel.play.batch import DreamBatch
from worldmodel.play.session import Session
from worldmodel.play.simulator import Reality

HELD = {"_target_": "worldmodel.agents.exploration.HeldActions", "max_hold": 4}
ACTIONS = np.random.default_rng(0).uniform(-1, 1, (60, 2)).round(3).tolist()


def batch_of(**settings: object) -> DreamBatch:
    return DreamBatch(tiny_world_model(**({"max_episode_steps": None} | settings)))  # type: ignore[arg-type]


def session_of(batch: DreamBatch, **options: object) -> Session:
    return Session(batch, Reality(batch.model.world), policy=HELD, **options)  # type: ignore[arg-type]


def drive(session: Session, actions: list[list[float]]) -> None:
    for action in actions:
        session.act(action)
        if session.wants_agent:
            session.ask_agent()
        session.accept(session._batch.step([session.request()])[0])


def dreamt(session: Session) -> np.ndarray:
    return np.stack([moment.frame for moment in session.now.moments])


def real(session: Session) -> np.ndarray:
    return np.stack([moment.real for moment in session.now.moments])
