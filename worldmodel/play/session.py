"""One driver's state: futures, what is shown of them, and where the next frame comes from. Knows no socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from worldmodel.data.recorder import make_policy
from worldmodel.errors import WorldModelError
from worldmodel.play import protocol
from worldmodel.play.batch import Dream, DreamBatch, Imagined, StepRequest, memory_steps
from worldmodel.play.future import Future, Moment
from worldmodel.play.simulator import Reality
from worldmodel.policy import InformedPolicy, Policy

MOST_FUTURES = 6
RECORDED = 10  # times as many moments can be recorded as gone back
ENDED, TIME_LIMIT = "ended", "time limit"


class Session:
    """Every method but `ask_agent` runs in the model's thread. policy: config of the agent that may drive;
    history: steps one can go back."""

    def __init__(
        self,
        batch: DreamBatch,
        reality: Reality,
        policy: Mapping[str, Any] | None = None,
        seed: int = 0,
        speed: float = 1.0,
        history: int = 600,
    ) -> None:
        self._batch, self.reality, self._policy_config = batch, reality, policy
        self.model, self.world = batch.model, batch.model.world
        self._codec = self.world.codec
        self._encoded = self.rest_action()
        self.passes = self.model.num_inference_steps
        self.running, self.speed = False, speed
        self.ended = ""  # ENDED or TIME_LIMIT, while that is why it pauses
        self.seq = self.applied = 0  # of the newest action, and of the one that led to the newest frame
        self.agent: Policy | None = None
        self.recording: int | None = None  # t at which it began
        self.epoch = 0  # changes with everything but a step: the page then needs all curves anew
        self._agent_action: np.ndarray | None = None
        self._dream: Dream | None = None  # at the moment `_dream_at`
        self._dream_at: tuple[Future, int] | None = None
        self.futures: list[Future] = []
        self.seed = seed
        self.begin(seed)
        self.history = max(history, 2 * memory_steps(self.now.start))
        self.frames = RECORDED * self.history

    def apply(self, command: protocol.Command) -> None:
        """Change as a command of the page says; those that answer or take long are carried out elsewhere."""
        changes: dict[str, Callable[..., None]] = {
            "run": self.run,
            "seek": self.seek,
            "branch": self.branch,
            "switch": self.switch,
            "drop": self.drop,
            "passes": self.set_passes,
            "speed": self.set_speed,
            "reset": self.begin,
            "agent": self.let_agent_drive,
        }
        changes[command.kind](**command.arguments)

    # Starts.

    def begin(self, seed: int | None = None, context: int | None = None) -> None:
        """From a seed of the simulator (None: the next one), or from one of the checkpoint's recorded starts."""
        if context is not None:
            self._begin_recorded(context, self.seed)
            self.reality.leave("A recorded start is a picture: no simulator can begin there.")
            return
        seed = (self.seed + 1) % protocol.LARGEST if seed is None else seed
        self._release()  # the simulator is elsewhere from here on, whatever comes of it
        opening = self.reality.begin(seed, max(1, self.world.num_context_frames))
        if opening is None:
            self._begin_recorded(seed % len(self.model.contexts), seed)
        else:
            frames, actions, step = opening
            self._begin(frames, self._codec.encode(actions), seed)
            self.now.moments[0] = step.beside(self.now.moments[0])
        self.seed = seed

    def begin_from(self, picture: np.ndarray) -> None:
        """From one's own picture uint8 [H,W,C]: a single frame, of which no velocity is known."""
        self._begin(picture[None], np.zeros((0, self._codec.size), np.float32), self.seed)
        self.reality.leave("This start is your own picture: no simulator can begin there.")

    def _begin_recorded(self, index: int, seed: int) -> None:
        contexts = self.model.contexts
        if not 0 <= index < len(contexts):
            raise WorldModelError(
                f"There is no recorded start {index}: the world has 0 to {len(contexts) - 1}."
            )
        self._begin(contexts.frames[index].numpy(), contexts.actions[index].numpy(), seed)

    def _begin(self, frames: np.ndarray, actions: np.ndarray, seed: int) -> None:
        start = self._batch.begin(frames, actions, seed)
        self._release()
        self.futures = [Future("A", start, [Moment(np.array(frames[-1]))])]
        self._names, self.driven = 1, 0
        self.ended, self._past_end, self.recording = "", False, None
        self.epoch += 1
        if self.agent is not None:
            self.agent.reset()

    # Driving.

    @property
    def has_agent(self) -> bool:
        """Whether an agent may drive."""
        return self._policy_config is not None

    @property
    def now(self) -> Future:
        """The future that is driven."""
        return self.futures[self.driven]

    def rest_action(self) -> np.ndarray:
        """The encoded action of no key [D]: zero where the space has it, else the nearest bound; the first choice."""
        layout = self._codec.layout
        values = np.zeros(self._codec.size, np.float32)
        if layout.boxes.any():
            nothing = self._codec.encode(self._codec.decode(np.zeros(self._codec.size)) * 0)
            values[layout.boxes] = np.where(layout.bounded, np.clip(nothing, -1, 1), 0)[layout.boxes]
        for run in layout.one_hots:
            values[run.start] = 1
        return values

    def act(self, values: Sequence[float], seq: int = 0) -> None:
        """Hold this encoded action [D] from the next step on; seq: comes back with the first frame made under it."""
        self._encoded = np.asarray(values, np.float32)
        self.seq = max(self.seq, seq)

    def set_passes(self, count: int) -> None:
        """num_inference_steps from now on."""
        self.passes = count

    def set_speed(self, factor: float) -> None:
        """Times the world's frame rate; 0: as fast as it can."""
        self.speed = factor

    def run(self, on: bool) -> None:
        """Go on, also past the end of the episode, or pause."""
        if on and self.ended:
            self.ended, self._past_end = "", True
        self.running = on

    @property
    def wants_agent(self) -> bool:
        """Whether the agent has to be asked before the next step."""
        return self.agent is not None and self._agent_action is None

    def ask_agent(self) -> None:
        """Get its action for the frame that is shown. May take long, and runs outside of the model's thread."""
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

    def request(self) -> StepRequest:
        """The next step. Brings dream and simulator to the moment that is shown, if they are not there."""
        future = self.now
        if self._dream is None or self._dream_at != (future, future.at):
            self._release()
            self.reality.restore(future)
            self._dream, self._dream_at = future.dream(), (future, future.at)
        chosen = self._agent_action if self.agent is not None else None
        self._stored = self._codec.decode(self._encoded) if chosen is None else chosen
        self._agent_action = None
        self.applied = self.seq
        return StepRequest(self._dream, self._codec.encode(self._stored), self.passes)

    def accept(self, imagined: Imagined) -> None:
        """Show the result of `request`; the simulator makes its own step."""
        future, before = self.now, self.now.now
        moment = Moment(
            frame=imagined.frame,
            action=self._stored,
            reward=imagined.reward,
            termination=imagined.termination,
            terminated=imagined.terminated,
            uncertainty=imagined.uncertainty,
            trace=imagined.trace,
            total=before.total + imagined.reward,
            real_total=before.real_total,
        )
        moment = self.reality.follow(moment, before, self._stored)
        future.add(moment, self.history, self.frames)
        self._dream_at = future, future.at
        if not self._past_end and (imagined.terminated or imagined.truncated):
            self.ended = ENDED if imagined.terminated else TIME_LIMIT
            self.running = False

    def step_alone(self) -> None:
        """One step now, in no batch, also past the end of the episode; then pause."""
        self.run(True)
        self.running = False
        self.accept(self._batch.step([self.request()])[0])

    def halt(self) -> None:
        """Pause where a step failed half-way: the next one begins at the moment that is shown, as if none had been."""
        self.running = False
        self._release()

    def _release(self) -> None:
        """Give up the dream that was stepped: the next step goes on from elsewhere."""
        if self._dream is not None:
            self._batch.forget(self._dream)
        self._dream = self._dream_at = None

    # Moving along and between futures.

    def seek(self, t: int) -> None:
        """Pause, and show the moment t; the next step goes on from there."""
        future = self.now
        if not future.first <= t <= future.last:
            raise WorldModelError(f"There is no moment {t} here: {future.first} to {future.last} are kept.")
        if t < future.earliest:
            raise WorldModelError(f"The dream can go back to moment {future.earliest} at most, not to {t}.")
        self.running, future.at = False, t
        self._moved()

    def branch(self) -> None:
        """Keep this future, and drive another from the moment that is shown."""
        if len(self.futures) >= MOST_FUTURES:
            raise WorldModelError(f"There are {MOST_FUTURES} futures already: forget one first.")
        if self.now.at < self.now.earliest:
            raise WorldModelError("The dream cannot go on from a moment so long ago.")
        self.futures.append(self.now.branch(chr(ord("A") + self._names % 26)))
        self._names += 1
        self.driven = len(self.futures) - 1
        self._moved()

    def switch(self, future: int) -> None:
        """Drive this future, at the same moment if it has that."""
        self._check(future)
        t = self.now.at
        self.driven = future
        self.now.at = int(np.clip(t, self.now.earliest, self.now.last))
        self._moved()

    def drop(self, future: int) -> None:
        """Forget this future; the last one stays."""
        self._check(future)
        if len(self.futures) == 1:
            raise WorldModelError("This is the only future: reset to begin anew.")
        del self.futures[future]
        self.driven = min(self.driven - (future < self.driven), len(self.futures) - 1)
        self._moved()

    def _check(self, future: int) -> None:
        if not 0 <= future < len(self.futures):
            raise WorldModelError(f"There is no future {future}: there are 0 to {len(self.futures) - 1}.")

    def _moved(self) -> None:
        self.ended, self._past_end, self._agent_action = "", False, None
        self.epoch += 1
        if self.agent is not None:
            self.agent.reset()  # what it remembers, and has planned, is of another past

    def record(self, on: bool) -> tuple[int, int] | None:
        """Begin at this moment, or end there: then its first and last moment."""
        if on:
            self.recording = self.now.at
            return None
        if self.recording is None:
            raise WorldModelError("Nothing is being recorded: start a recording first.")
        begun, self.recording = self.recording, None
        return max(min(begun, self.now.at), self.now.first), self.now.at

    def close(self) -> None:
        """Free the simulator and the dream."""
        self._release()
        self.reality.close()
