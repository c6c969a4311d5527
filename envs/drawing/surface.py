"""What a ray sees where it meets a geom: colour, checker, and Lambert shading from one fixed light."""

from __future__ import annotations

import mujoco
import numpy as np

from worldmodel.envs.drawing.camera import CameraPose

# Direction to the light (world frame) and how much of a surface's colour it lights; the rest is ambient.
_LIGHT = np.array([-0.35, -0.45, 0.82]) / np.linalg.norm([-0.35, -0.45, 0.82])
_AMBIENT = 0.42
_DIFFUSE = 0.68
_DEFAULT_RGBA = np.array([0.5, 0.5, 0.5, 1.0], np.float32)


class Surfaces:
    """Colours of a model's geoms. A plane with a texture is drawn as a checker of that texture's extreme colours."""

    def __init__(self, model: mujoco.MjModel, pixel_angle: float) -> None:
        self.pixel_angle = pixel_angle
        self.rgba = _geom_colours(model)
        self.checkers = {g: c for g in range(model.ngeom) if (c := _checker(model, g)) is not None}

    def colours(
        self,
        data: mujoco.MjData,
        pose: CameraPose,
        geom: np.ndarray,
        ray: np.ndarray,
        distance: np.ndarray,
        normal: np.ndarray,
    ) -> np.ndarray:
        """Lit colours float32 [N,3] in [0,1].

        geom int [N], met along unit ray [N,3] at distance [N] in metres, where the surface has the normal [N,3].
        """
        base = self.rgba[geom, :3]
        for checkered, (dark, light, cell) in self.checkers.items():
            on = np.flatnonzero(geom == checkered)
            if len(on):
                point = pose.position + ray[on] * distance[on, None] - data.geom_xpos[checkered]
                local = point @ data.geom_xmat[checkered].reshape(3, 3)
                odd = np.floor(local[:, :2] / cell).sum(axis=1) % 2
                # Cells narrower than a pixel would flicker from frame to frame: let them fade to their mean.
                slant = np.maximum(np.abs(_dot(ray[on], normal[on])), 1e-3)
                contrast = np.clip(1.5 - distance[on] * self.pixel_angle / (slant * cell.min()), 0, 1)
                share = 0.5 + (odd - 0.5) * contrast
                base[on] = base[on] * (dark + share[:, None] * (light - dark))
        return np.minimum(base * shade(normal, ray)[:, None], np.float32(1.0))


def shade(normal: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """Lambert's law: how bright a surface is, float32 [N], with unit normals [N,3] met by unit rays [N,3]."""
    facing = np.where(_dot(normal, ray) > 0, -1.0, 1.0)  # seen from inside: light the side we look at
    lambert = np.maximum(_dot(normal, _LIGHT) * facing, 0.0)
    return (_AMBIENT + _DIFFUSE * lambert).astype(np.float32)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row-wise dot product, written out: BLAS may round differently from machine to machine."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _geom_colours(model: mujoco.MjModel) -> np.ndarray:
    """RGBA float32 [ngeom,4]: the material's, unless the geom sets its own (MuJoCo's rule)."""
    rgba = model.geom_rgba.copy()
    from_material = (model.geom_matid >= 0) & (rgba == _DEFAULT_RGBA).all(axis=1)
    rgba[from_material] = model.mat_rgba[model.geom_matid[from_material]]
    return rgba


def _checker(model: mujoco.MjModel, geom: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(dark [3], light [3], cell size [2] in metres) of a textured plane, None for any other geom."""
    if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_PLANE or model.geom_matid[geom] < 0:
        return None
    material = model.geom_matid[geom]
    texture = model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB]
    if texture < 0:
        return None
    start, channels = model.tex_adr[texture], model.tex_nchannel[texture]
    texels = model.tex_data[start : start + model.tex_height[texture] * model.tex_width[texture] * channels]
    texels = texels.reshape(-1, channels)[:, :3].astype(np.float32) / 255
    order = texels.sum(axis=1)
    extent = 2 * model.geom_size[geom, :2]
    extent = np.where((extent == 0) | model.mat_texuniform[material], 1.0, extent)
    cell = extent / np.maximum(model.mat_texrepeat[material], 1e-6) / 2  # a checker texture is two cells wide
    return texels[order.argmin()], texels[order.argmax()], cell
