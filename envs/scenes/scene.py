"""MujocoScene: the base of our MuJoCo environments, which give frames and the whole truth behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import mujoco
import numpy as np

from worldmodel.envs.drawing.camera import ModelCamera
from worldmodel.envs.drawing.raycast import Picture, RayCaster
from worldmodel.envs.drawing.truth import MAX_CONTACTS, Truth
from worldmodel.envs.frame_env import FrameEnv, check_choice
from worldmodel.envs.scenes.controls import ActionError, make_controls
from worldmodel.envs.scenes.options import Options, Range, Value
from worldmodel.errors import EnvError

STATE = mujoco.mjtState.mjSTATE_INTEGRATION


class Start(NamedTuple):
    """Where an episode begins: qpos, qvel, and positions [n,3] of the model's mocap bodies (goals), if it has some."""

    qpos: np.ndarray
    qvel: np.ndarray
    mocap: np.ndarray = np.zeros((0, 3))


class MujocoScene(FrameEnv):
    """A MuJoCo scene seen by one camera. A subclass gives `mjcf`, `start`, `outcome` and the class attributes below.

    Observation: `obs_type="frame"` (default) uint8 [size,size,3], or "state" float64: qpos, qvel and `extra_state`.
    Action: `action_type="continuous"` (default) a Box, whose values are clipped to its bounds, or "discrete": action k
    is row k of `moves`. A wrong shape or NaN raises ActionError (also a ValueError).
    Info has the same keys and shapes at reset and step: qpos, qvel, time [s], state (mjSTATE_INTEGRATION vector),
    energy [J] (potential, kinetic), contacts [8,4] (geom1, geom2, distance [m], normal force [N]; the deepest first,
    unused rows -1, -1, 0, 0), and of the n `objects`: present bool [n], object_positions and object_velocities [n,3]
    in the world frame, visible_area [n] in pixels, and unoccluded_area [n], what it would be if nothing that cannot
    move stood in front. An object that is not present keeps its row, unseen and out of reach.

    `reset(options={...})` takes the names in `ranges`, for that one episode; the next has the defaults again. The
    constructor's `options` replace the defaults, and `vary` ({"mass": (0.1, 1.0)}) draws some anew in every episode.
    Options are not part of the state: before `set_state`, reset with the same options, or the same seed.
    truth=False leaves info empty; with obs_type="state" nothing is drawn then, which is several times as fast.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    renderers = ("raycast", "gl")
    ranges: ClassVar[dict[str, Range]]
    objects: ClassVar[tuple[str, ...]]  # names of the bodies reported in info
    moves: ClassVar[tuple[tuple[float, ...], ...]]  # motor settings of every discrete action
    camera: ClassVar[str] = "view"  # name of the model's camera
    frame_skip: ClassVar[int]  # simulation steps per action

    def __init__(
        self,
        obs_type: str = "frame",
        action_type: str = "continuous",
        render_mode: str | None = None,
        size: int = 64,
        renderer: str = "raycast",
        supersample: int = 2,
        options: Mapping[str, Any] | None = None,
        vary: Mapping[str, Sequence[float]] | None = None,
        truth: bool = True,
    ) -> None:
        super().__init__(size, render_mode, renderer)
        check_choice("obs_type", obs_type, ("frame", "state"))
        if supersample < 1:
            raise EnvError(f"supersample must be at least 1, got {supersample}.")
        self.obs_type, self.supersample, self.truth = obs_type, supersample, truth
        self._gl: Any = None
        self._built: dict[str, Value | None] | None = None
        self._options = Options(self.ranges, options, vary)
        self._build(self._options.defaults)
        self._controls = make_controls(action_type, self.model.actuator_ctrlrange, self.moves)
        self.action_space = self._controls.space
        if obs_type == "state":
            size = self.model.nq + self.model.nv + len(self.extra_state())
            self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float64)

    # What a scene defines.

    def mjcf(self, options: Mapping[str, Any]) -> str:
        """The model as MJCF, with every physical option of `ranges` in it. A camera named `camera` must be there."""
        raise NotImplementedError

    def start(self, options: Mapping[str, Any], rng: np.random.Generator) -> Start:
        """How an episode begins; options that are None are drawn from `rng`."""
        raise NotImplementedError

    def outcome(self, qvel_before: np.ndarray) -> tuple[float, bool]:
        """Reward of the step just made, and whether it ended the episode; read from self.data."""
        raise NotImplementedError

    def presence(self, options: Mapping[str, Any]) -> np.ndarray:
        """Which of `objects` are there, bool [n]."""
        return np.ones(len(self.objects), bool)

    def control(self, ctrl: np.ndarray) -> np.ndarray:
        """The motor settings that take effect in the state self.data is in."""
        return ctrl

    def extra_state(self) -> np.ndarray:
        """What obs_type="state" shows beside qpos and qvel: constants of the episode, such as a goal."""
        return np.zeros(0)

    # Gymnasium.

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode with the defaults, changed by `options` for this episode only."""
        super().reset(seed=seed)
        chosen = self._options.choose(options, self.np_random)
        start = self.start(chosen, self.np_random)
        self._build(chosen)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:], self.data.mocap_pos[:] = start
        mujoco.mj_forward(self.model, self.data)
        return self._begin_record()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Hold `action` for frame_skip simulation steps."""
        self.data.ctrl[:] = self.control(self._controls.ctrl(action))
        qvel_before = self.data.qvel.copy()
        mujoco.mj_step(self.model, self.data, self.frame_skip)
        mujoco.mj_forward(
            self.model, self.data
        )  # mj_step leaves positions and contacts one simulation step behind
        reward, terminated = self.outcome(qvel_before)
        observation, info = self._observe()
        if self.obs_type == "frame":
            self.frame_record.add(action, observation, terminated)
        return observation, reward, terminated, False, info

    def render(self) -> np.ndarray | None:
        """The current frame uint8 [size,size,3] with render_mode="rgb_array", else None."""
        return None if self.render_mode is None else self._frame().copy()

    def masks(self) -> np.ndarray:
        """How much of every pixel of the current frame each object covers, float32 [n,size,size] in [0,1]."""
        return self._truth.sight.masks(self._drawn().geoms)

    def close(self) -> None:
        """Free the GL context, if there is one."""
        if self._gl is not None:
            self._gl.close()
            self._gl = None

    # State.

    def get_state(self) -> np.ndarray:
        """The simulator state (mjSTATE_INTEGRATION), float64 [n]; the same vector as info["state"]."""
        state = np.empty(mujoco.mj_stateSize(self.model, STATE))
        mujoco.mj_getState(self.model, self.data, state, STATE)
        return state

    def set_state(self, state: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Restore a state exactly: frames and all further steps are bit-equal. Returns observation and info there."""
        expected = (mujoco.mj_stateSize(self.model, STATE),)
        state = np.asarray(state, np.float64)
        if state.shape != expected:
            raise EnvError(f"a state of this scene has shape {expected}, got {state.shape}.")
        mujoco.mj_setState(self.model, self.data, state, STATE)
        mujoco.mj_forward(self.model, self.data)
        return self._begin_record()

    # Inside.

    def _build(self, options: dict[str, Value | None]) -> None:
        """Compile the model for these options; always from the MJCF, so that no earlier episode leaves a trace."""
        if options == self._built:
            return
        self.close()
        self.model = mujoco.MjModel.from_xml_string(self.mjcf(options))
        self.data = mujoco.MjData(self.model)
        self._built = options
        self.options: dict[str, Any] = dict(options)
        self._truth = Truth(self.model, self.objects, self.presence(options))
        view = ModelCamera(self.camera)
        self._caster = RayCaster(
            self.model, camera=view, height=self.size, width=self.size, supersample=self.supersample
        )

    def _begin_record(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Observation and info of a moment whose past is not known."""
        observation, info = self._observe()
        if self.obs_type == "frame":
            self.frame_record.begin(observation)
        return observation, info

    def _observe(self) -> tuple[np.ndarray, dict[str, Any]]:
        self._picture: Picture | None = None
        info = {}
        if self.truth:
            info = {"state": self.get_state(), **self._truth.read(self.data, self._drawn())}
        if self.obs_type == "state":
            return np.concatenate([self.data.qpos, self.data.qvel, self.extra_state()]), info
        return self._frame(), info

    def _drawn(self) -> Picture:
        """The picture of this moment, drawn when something first needs it."""
        if self._picture is None:
            self._picture = self._caster.draw(self.data)
        return self._picture

    def _frame(self) -> np.ndarray:
        if self.renderer == "raycast":
            return self._drawn().frame
        if self._gl is None:
            from worldmodel.envs.drawing.gl import GLRenderer

            self._gl = GLRenderer(
                self.model, camera=ModelCamera(self.camera), height=self.size, width=self.size
            )
        return self._gl.draw(self.data)


__all__ = ["MAX_CONTACTS", "STATE", "ActionError", "MujocoScene", "Start"]
