"""One driver's state: futures, what is shown of them, and where the next frame comes from. Knows no socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldmodel.data.recorder import make_policy
from worldmodel.errors import WorldModelError
from worldmodel.model.world_model import WorldModel
from worldmodel.play import protocol
from worldmodel.play.beside import Beside, with_real
from worldmodel.play.engine import Dream, Due, Engine, Imagined
from worldmodel.play.future import Future, Moment
from worldmodel.play.reality import Reality
from worldmodel.play.start import Known, recorded
from worldmodel.play.trace import needed
from worldmodel.policy import InformedPolicy, Policy

MOST_FUTURES = 6
ENDED, TIME_LIMIT = "ended", "time limit"


@dataclass(frozen=True)
class Limits:
    """history: steps one can go back; frames: moments that a recording can hold."""

    history: int = 600
    frames: int = 6000


class Session:
    """Every method runs in the engine's thread. reality: the session's simulator, or None and `real_note` says why.

    policy: config of the agent that may drive.
    """

    def __init__(
        self,
        engine: Engine,
        reality: Reality | None,
        real_note: str = "",
        policy: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        seed: int = 0,
    ) -> None:
        self._engine, self.beside = engine, Beside(reality, real_note)
        self._policy_config = policy
        self.world = engine.model.world
        self._codec = self.world.codec
        self._encoded = self.resting()
        self.passes = engine.model.num_inference_steps
        self.running, self.speed = False, 1.0
        self.ended = ""  # ENDED or TIME_LIMIT, while that is why it waits
        self.seq = self.applied = 0  # of the newest action, and of the one that led to the newest frame
        self.agent: Policy | None = None
        self.recording: int | None = None  # t at which it began
        self.epoch = 0  # changes with everything but a step: the page then asks for the whole history
        self._agent_action: np.ndarray | None = None
        self._dream: Dream | None = None  # of the engine, at the moment `_live`
        self._live: tuple[Future, int] | None = None
        self.futures: list[Future] = []
        self.seed = seed
        self.limits = limits or Limits()
        self.begin(protocol.Reset(seed=seed))
        least = 2 * needed(self.now.start)
        self.limits = Limits(max(self.limits.history, least), max(self.limits.frames, least))

    # Beginning.

    def begin(self, reset: protocol.Reset) -> None:
        """From a seed, or from a recorded start."""
        if reset.context is not None:
            self._start(recorded(self.model, reset.context), self.seed)
            self.beside.leave("A recorded start is a picture: no simulator can begin there.")
            return
        seed = (self.seed + 1) % protocol.LARGEST if reset.seed is None else reset.seed
        self._leave()  # the simulator is elsewhere from here on, whatever comes of it
        begun = self.beside.begin(seed, max(1, self.world.num_context_frames))
        if begun is None:
            self._start(recorded(self.model, seed % len(self.model.contexts)), seed)
        else:
            opening, step = begun
            self._start(Known(opening.frames, self._codec.encode(opening.actions)), seed)
            self.now.moments[0] = with_real(self.now.moments[0], step)
        self.seed = seed

    def begin_from(self, known: Known) -> None:
        """From one's own picture (see start.pictured): a single frame, of which no velocity is known."""
        self._start(known, self.seed)
        self.beside.leave("This start is your own picture: no simulator can begin there.")

    def _start(self, known: Known, seed: int) -> None:
        state = self._engine.begin(known.frames, known.actions, seed)
        self._leave()
        self.futures = [Future("A", state, [Moment(np.array(known.frames[-1]))])]
        self._names = 1
        self.driven = 0
        self.ended, self._beyond, self.recording = "", False, None
        self.epoch += 1
        if self.agent is not None:
            self.agent.reset()

    # What there is.

    @property
    def model(self) -> WorldModel:
        """That dreams."""
        return self._engine.model

    @property
    def has_agent(self) -> bool:
        """Whether an agent may drive."""
        return self._policy_config is not None

    # Driving.

    @property
    def now(self) -> Future:
        """The future that is driven."""
        return self.futures[self.driven]

    def resting(self) -> np.ndarray:
        """The encoded action of no key: zero where the space has it, else the nearest bound; the first choice."""
        layout = self._codec.layout
        values = np.zeros(self._codec.size, np.float32)
        if layout.boxes.any():
            nothing = self._codec.encode(self._codec.decode(np.zeros(self._codec.size)) * 0)
            values[layout.boxes] = np.where(layout.bounded, np.clip(nothing, -1, 1), 0)[layout.boxes]
        for run in layout.one_hots:
            values[run.start] = 1
        return values

    def act(self, action: protocol.Action) -> None:
        """What the keys say, from the next step on."""
        self._encoded = np.asarray(action.values, np.float32)
        self.seq = max(self.seq, action.seq)

    def run(self, on: bool) -> None:
        """Go on, or pause."""
        if on:
            self._go_beyond()
        self.running = on

    def _go_beyond(self) -> None:
        """Past the end of the episode, if it is there."""
        if self.ended:
            self.ended, self._beyond = "", True

    @property
    def wants_agent(self) -> bool:
        """Whether the agent has to be asked before the next step."""
        return self.agent is not None and self._agent_action is None

    def ask_agent(self) -> None:
        """Its action for the frame that is shown. May take long, and runs outside of the engine's thread."""
        assert self.agent is not None
        if isinstance(self.agent, InformedPolicy):
            self.agent.inform(self.now.now.real_info)
        self._agent_action = self._codec.store(self.agent.act(self.now.now.frame))

    def let_agent_drive(self, on: bool) -> None:
        """Or take over."""
        self._agent_action = None
        if not on:
            self.agent = None
            return
        if self._policy_config is None:
            raise WorldModelError(
                "There is no agent here: start with policy=held, or policy.path=runs/agent."
            )
        rng = np.random.default_rng(self.seed)
        self.agent = make_policy(self._policy_config, self.world.action_space, rng)
        self.agent.reset()

    def due(self) -> Due:
        """What the engine shall step. Brings dream and simulator to the moment that is shown, if they are not there."""
        future = self.now
        if self._live != (future, future.at):
            self._leave()
            self.beside.bring_back(future)
            self._dream = Dream.at(future.state(future.at))
            self._live = future, future.at
        assert self._dream is not None
        stored = self._agent_action if self.agent is not None else None
        self._stored = self._codec.decode(self._encoded) if stored is None else stored
        self._agent_action = None
        self.applied = self.seq
        return Due(self._dream, self._codec.encode(self._stored), self.passes)

    def accept(self, imagined: Imagined) -> None:
        """The frame that came of `due`; the simulator makes its own."""
        future = self.now
        moment = Moment(
            frame=imagined.frame,
            action=self._stored,
            reward=imagined.reward,
            termination=imagined.termination,
            uncertainty=imagined.uncertainty,
            trace=imagined.trace,
            total=future.now.total + imagined.reward,
            real_total=future.now.real_total,
        )
        moment = self.beside.follow(moment, future.now, self._stored)
        future.add(moment, self.limits.history, self.limits.frames)
        self._live = future, future.at
        self._note_end(imagined.termination)

    def step_alone(self) -> None:
        """One step, at once and in no batch; also past the end of the episode."""
        self._go_beyond()
        self.accept(self._engine.step([self.due()])[0])

    def _note_end(self, termination: float) -> None:
        limit = self.world.max_episode_steps
        out_of_time = limit is not None and self.now.at >= limit
        if not self._beyond and (termination > 0.5 or out_of_time):
            self.ended = ENDED if termination > 0.5 else TIME_LIMIT
            self.running = False

    def halt(self) -> None:
        """Pause where a step failed half-way: the next one begins at the moment that is shown, as if none had been."""
        self.running = False
        self._leave()

    def _leave(self) -> None:
        """The dream that was stepped is no longer where it will go on from."""
        if self._dream is not None:
            self._engine.forget(self._dream)
        self._dream = self._live = None

    # Moving along and between futures.

    def seek(self, t: int) -> None:
        """Show the moment t; the next step goes on from there."""
        future = self.now
        if not future.first <= t <= future.last:
            raise WorldModelError(f"There is no moment {t} here: {future.first} to {future.last} are kept.")
        if t < future.earliest:
            raise WorldModelError(f"The dream can go back to moment {future.earliest} at most, not to {t}.")
        future.at = t
        self._moved()

    def branch(self) -> None:
        """Keep this future, and drive another from the moment that is shown."""
        if len(self.futures) >= MOST_FUTURES:
            raise WorldModelError(f"There are {MOST_FUTURES} futures already: forget one first.")
        if self.now.at < self.now.earliest:
            raise WorldModelError("The dream cannot go on from a moment so long ago.")
        name = chr(ord("A") + self._names % 26)
        self._names += 1
        self.futures.append(self.now.branch(name))
        self.driven = len(self.futures) - 1
        self._moved()

    def switch(self, number: int) -> None:
        """Drive future `number`, at the same moment if it has that."""
        self._check(number)
        t = self.now.at
        self.driven = number
        self.now.at = int(np.clip(t, self.now.earliest, self.now.last))
        self._moved()

    def drop(self, number: int) -> None:
        """Forget future `number`; the last one stays."""
        self._check(number)
        if len(self.futures) == 1:
            raise WorldModelError("This is the only future: reset to begin anew.")
        kept = self.now if number != self.driven else None
        del self.futures[number]
        self.driven = self.futures.index(kept) if kept is not None else min(number, len(self.futures) - 1)
        self._moved()

    def _check(self, number: int) -> None:
        if not 0 <= number < len(self.futures):
            raise WorldModelError(f"There is no future {number}: there are 0 to {len(self.futures) - 1}.")

    def _moved(self) -> None:
        self.ended, self._agent_action = "", None
        self._beyond = False
        self.epoch += 1
        if self.agent is not None:
            self.agent.reset()  # what it remembers, and has planned, is of another past

    # Telling.

    def record(self, on: bool) -> tuple[int, int] | None:
        """Begin at this moment, or end there: then the moments from and to which it went."""
        if on:
            self.recording = self.now.at
            return None
        if self.recording is None:
            raise WorldModelError("Nothing is being recorded: start a recording first.")
        begun, self.recording = self.recording, None
        return max(min(begun, self.now.at), self.now.first), self.now.at

    def close(self) -> None:
        """Free the simulator and the dream."""
        self._leave()
        self.beside.close()
