"""The GL renderer: the option for looks. Ray casting needs none of this."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import mujoco
import numpy as np

from worldmodel.envs.drawing.camera import Camera
from worldmodel.errors import EnvError

BACKENDS = ("egl", "osmesa", "glfw")
_INSTALL = {
    "egl": "install an NVIDIA driver, or Mesa's libegl1 (Debian: apt-get install libegl1 libgl1-mesa-dri)",
    "osmesa": "install OSMesa (Debian: apt-get install libosmesa6)",
    "glfw": "it needs a display; without one set MUJOCO_GL=egl or osmesa",
}
# A missing library may abort the whole process or draw black, so a child process draws a lit sphere and looks at it.
_PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 -1 3'/><geom size='1' rgba='1 0 0 1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 32, 32)
renderer.update_scene(data)
frame = renderer.render()
renderer.close()
raise SystemExit(0 if frame.max() > frame.min() else 3)
"""


def probe_gl(backends: tuple[str, ...] = BACKENDS, timeout: float = 60.0) -> dict[str, str]:
    """What each MUJOCO_GL backend does on this machine: "ok", or the reason why not and what to install."""
    return {backend: _probe(backend, timeout) for backend in backends}


@functools.cache
def _probe(backend: str, timeout: float) -> str:
    # PYOPENGL_PLATFORM must agree with MUJOCO_GL, which sets it where it is not set.
    environment = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"} | {"MUJOCO_GL": backend}
    command = [sys.executable, "-c", _PROBE]
    try:
        child = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"drew nothing within {timeout:g} s; {_INSTALL[backend]}"
    if child.returncode == 0:
        return "ok"
    lines = child.stderr.strip().splitlines()
    reason = (
        "draws one colour only" if child.returncode == 3 else lines[-1] if lines else "the process aborted"
    )
    return f"{reason[:100]}; {_INSTALL[backend]}"


def require_gl() -> None:
    """Raise EnvError, in one sentence, when this process's GL backend cannot draw."""
    backend = os.environ.get("MUJOCO_GL", "").lower() or "glfw"
    if backend not in BACKENDS:
        raise EnvError(f"MUJOCO_GL={backend} cannot draw off screen: set it to one of {', '.join(BACKENDS)}.")
    reason = _probe(backend, 60.0)
    if reason != "ok":
        raise EnvError(
            f"renderer='gl' cannot draw with MUJOCO_GL={backend} here: {_INSTALL[backend]}; "
            "renderer='raycast' needs no OpenGL."
        )


class GLRenderer:
    """Draws a MuJoCo model with OpenGL: textures and lights, without shadows, reflections and multisampling for speed.

    Close it: a context that is left to the garbage collector can free objects of a newer one. Use it from one thread.
    """

    def __init__(self, model: mujoco.MjModel, *, camera: Camera, height: int, width: int) -> None:
        require_gl()
        self.model, self.camera = model, camera
        buffer = model.vis.global_
        buffer.offwidth, buffer.offheight = max(buffer.offwidth, width), max(buffer.offheight, height)
        model.vis.quality.offsamples = 0
        self._renderer = mujoco.Renderer(model, height, width)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._renderer.scene.flags[flag] = 0

    def draw(self, data: mujoco.MjData) -> np.ndarray:
        """Frame uint8 [H,W,3] of the state in `data`. mujoco.Renderer makes its context current before it draws."""
        self._renderer.update_scene(data, self.camera.mjv(self.model, data))
        return self._renderer.render().copy()

    def close(self) -> None:
        """Free the context now."""
        self._renderer.close()
