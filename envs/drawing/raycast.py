"""Frames from MuJoCo's own ray casting: no GL libraries, and the same bits on every run."""

from __future__ import annotations

import copy
import functools
from typing import NamedTuple

import mujoco
import numpy as np

from worldmodel.envs.drawing.camera import Camera, CameraPose
from worldmodel.envs.drawing.planes import cast_plane
from worldmodel.envs.drawing.sites import Sites
from worldmodel.envs.drawing.surface import Surfaces

# Geom groups of the private model copy: which cast a geom takes part in.
_STATIC, _MOVING, _HIDDEN = 0, 1, 5
_ENDLESS = 1e6  # [m]


class Picture(NamedTuple):
    """One drawn frame: uint8 [H,W,3], and the geom id under every sample, int32 [S*S,H,W] (-1: background).

    visible_areas: of every geom in pixels, float32 [ngeom]; moving_areas: the same if only the geoms that can move were
    there (0 for the others).
    """

    frame: np.ndarray
    geoms: np.ndarray
    visible_areas: np.ndarray
    moving_areas: np.ndarray


class RayCaster:
    """Draws a MuJoCo model with `mj_multiRay`: Lambert shading from one fixed light, checkered planes, plain sky.

    Each pixel is the box average of supersample x supersample rays, so motion of a fraction of a pixel shows. Geoms of
    groups 3 to 5 and with alpha 0 are left out, as in MuJoCo's viewer; every other alpha counts as opaque. Sites are
    drawn, textures (but for checkered planes), shadows and tendons are not.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        *,
        camera: Camera,
        height: int,
        width: int,
        supersample: int = 2,
        background: tuple[float, float, float] = (0.55, 0.7, 0.9),
    ) -> None:
        self.model = model
        self.camera = camera
        self.background = np.array(background, np.float32)
        self.height, self.width, self.supersample = height, width, supersample
        self._pixel_rays = _unit_rays(height, width, supersample)
        self._look: tuple[bytes, ...] = ()
        self._view: tuple[bytes, ...] = ()
        self._direction: tuple[bytes, float] | None = None

    def draw(self, data: mujoco.MjData) -> Picture:
        """Draw the state in `data`.

        Its positions must be up to date: mj_forward, or mj_kinematics, mj_comPos and mj_camlight.
        """
        pose = self.camera.pose(self.model, data)
        self._refresh_look()
        self._refresh_view(data, pose)
        colours, geoms = self._static_colours.copy(), self._static_geoms.copy()
        near = self._rays_near(
            data.geom_xpos[self._moving_ids], self.model.geom_rbound[self._moving_ids], pose
        )
        geom, distance, normal = self._cast(data, pose, self._rays[near], _MOVING)
        in_front = (geom >= 0) & (distance < self._static_distance[near])
        hit = near[in_front]
        geoms[hit] = geom[in_front]
        colours[hit] = self._surfaces.colours(
            data, pose, geom[in_front], self._rays[hit], distance[in_front], normal[in_front]
        )
        if len(self._sites):
            nearest = self._static_distance.copy()
            nearest[hit] = distance[in_front]
            rays_near = functools.partial(self._rays_near, pose=pose)
            self._sites.draw(data, pose, self._rays, rays_near, nearest, colours)
        covered = self._area(self._static_geoms[hit])
        return Picture(
            frame=self._average(colours),
            geoms=geoms.reshape(-1, self.height, self.width),
            visible_areas=self._static_area - covered + self._area(geom[in_front]),
            moving_areas=self._area(geom),
        )

    def seen_bodies(self) -> list[int]:
        """Numbers of the bodies that can move and have something that is drawn."""
        self._refresh_look()
        return np.unique(self.model.geom_bodyid[self._moving_ids]).tolist()

    def _area(self, samples: np.ndarray) -> np.ndarray:
        """Of every geom in pixels, float32 [ngeom], from the geoms under some samples (-1: background)."""
        counts = np.bincount(samples + 1, minlength=self.model.ngeom + 1)[1:]
        return (counts / self.supersample**2).astype(np.float32)

    def _refresh_look(self) -> None:
        """Take over colours and sizes when somebody changed them in the model."""
        m = self.model
        parts = (m.geom_rgba, m.geom_size, m.geom_group, m.geom_matid, m.mat_rgba, m.site_rgba, m.site_size)
        look = tuple(a.tobytes() for a in parts)
        if look == self._look:
            return
        self._look, self._view = look, ()
        self._sites = Sites(m)
        self._surfaces = Surfaces(m, pixel_angle=self._pixel_angle())
        # The private copy sorts geoms into three groups, so that one cast sees exactly the static or the moving ones.
        self._sorted = copy.copy(m)
        # mj_multiRay passes over a body whose colliding geoms a ray misses, and so over its geoms that do not collide.
        roots = m.body_bvhadr[m.body_bvhadr >= 0]
        self._sorted.bvh_aabb[roots] = (0, 0, 0, _ENDLESS, _ENDLESS, _ENDLESS)
        static = m.body_weldid[m.geom_bodyid] == 0
        hidden = (m.geom_group > 2) | (self._surfaces.rgba[:, 3] == 0)
        planes = static & ~hidden & (m.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
        self._sorted.geom_group[:] = np.where(hidden | planes, _HIDDEN, np.where(static, _STATIC, _MOVING))
        self._static_ids = np.flatnonzero(static & ~hidden)
        self._planes = np.flatnonzero(planes).tolist()
        self._moving_ids = np.flatnonzero(~static & ~hidden)

    def _refresh_view(self, data: mujoco.MjData, pose: CameraPose) -> None:
        """Cast the static geoms again only when the camera or one of them has moved: nothing else can change them."""
        places = data.geom_xpos[self._static_ids], data.geom_xmat[self._static_ids]
        view = tuple(a.tobytes() for a in (pose.position, pose.axes, np.float64(pose.fovy), *places))
        if view == self._view:
            return
        self._view = view
        self._refresh_rays(pose)
        geom, distance, normal = self._cast(data, pose, self._rays, _STATIC)
        distance[geom < 0] = np.inf
        for plane in self._planes:
            to_plane = cast_plane(self.model, data, plane, pose.position, self._rays)
            nearer = to_plane < distance
            geom[nearer], distance[nearer] = plane, to_plane[nearer]
            normal[nearer] = data.geom_xmat[plane][2::3]
        hit = np.flatnonzero(geom >= 0)
        self._static_geoms, self._static_area, self._static_distance = geom, self._area(geom), distance
        self._static_colours = np.repeat(self.background[None], len(geom), axis=0)
        self._static_colours[hit] = self._surfaces.colours(
            data, pose, geom[hit], self._rays[hit], distance[hit], normal[hit]
        )

    def _refresh_rays(self, pose: CameraPose) -> None:
        """World-frame unit rays [N,3]; a camera that only shifts keeps them."""
        direction = (pose.axes.tobytes(), pose.fovy)
        if direction == self._direction:
            return
        self._direction = direction
        slope = np.tan(np.deg2rad(pose.fovy) / 2)
        x, y, z = self._pixel_rays.T * np.array([[slope], [slope], [1.0]])
        right, up, backward = pose.axes.T
        rays = x[:, None] * right + y[:, None] * up + z[:, None] * backward
        self._rays = rays / np.sqrt((rays * rays).sum(axis=1, keepdims=True))

    def _rays_near(self, centres: np.ndarray, radii: np.ndarray, pose: CameraPose) -> np.ndarray:
        """Indices of the rays that may meet spheres around `centres` [n,3] of `radii` [n] (0: no sphere, but endless).

        They are all the rays in rectangles around the spheres.

        Written without large matrix products: BLAS would start its threads for them, which slow each other down where
        several environments share the cores.
        """
        x, y, z = pose.axes.T @ (centres - pose.position).T
        radius, depth = radii * 1.001 + 1e-6, -z
        if np.any(np.abs(depth) <= radius) or np.any(radii == 0):
            return np.arange(len(self._rays))  # a sphere around the camera's own plane, or an endless plane
        ahead = depth > radius
        x, y, depth, radius = x[ahead], y[ahead], depth[ahead], radius[ahead]
        middle, scale = self.width / 2, self.height / 2 / np.tan(np.deg2rad(pose.fovy) / 2)
        left, right = _tangents(x, depth, radius) * scale + middle
        top, bottom = self.height / 2 - _tangents(y, depth, radius)[::-1] * scale
        near = np.zeros((self.supersample**2, self.height, self.width), bool)
        edges = np.clip(np.stack([top, bottom + 1, left, right + 1]), 0, max(self.height, self.width)).astype(
            int
        )
        for first_row, end_row, first_column, end_column in edges.T:
            near[:, first_row:end_row, first_column:end_column] = True
        return np.flatnonzero(near)

    def _cast(
        self, data: mujoco.MjData, pose: CameraPose, rays: np.ndarray, group: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nearest geom int32 [N] (-1: none), distance [N] in metres and unit normal [N,3] along unit rays [N,3]."""
        geom, distance = np.full(len(rays), -1, np.int32), np.empty(len(rays))
        normal = np.empty((len(rays), 3))
        if len(rays) and (self._sorted.geom_group == group).any():
            chosen = np.zeros(6, np.uint8)
            chosen[group] = 1
            mujoco.mj_multiRay(
                self._sorted, data, pose.position, rays.ravel(), chosen, True, -1,
                geom, distance, normal.ravel(), len(rays), mujoco.mjMAXVAL,
            )  # fmt: skip
        return geom, distance, normal

    def _average(self, colours: np.ndarray) -> np.ndarray:
        """Box average of sample colours float32 [S*S*H*W,3] in [0,1] -> uint8 [H,W,3]."""
        samples = self.supersample**2
        total = colours.reshape(samples, -1).sum(axis=0)
        return (
            (total * np.float32(255 / samples) + np.float32(0.5))
            .astype(np.uint8)
            .reshape(self.height, self.width, 3)
        )

    def _pixel_angle(self) -> float:
        """Rough angle of one pixel in radians, which says when a checker is too fine to draw."""
        return float(np.deg2rad(45) / self.height)


def _tangents(across: np.ndarray, depth: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Slopes [2,n] (lower, upper) between which the camera sees spheres at depth > radius."""
    half = radius * np.sqrt(across**2 + depth**2 - radius**2)
    return np.stack([across * depth - half, across * depth + half]) / (depth**2 - radius**2)


def _unit_rays(height: int, width: int, supersample: int) -> np.ndarray:
    """Camera-frame rays [S*S*H*W,3] for a 90 degree field of view.

    Sample-major, so that averaging adds whole frames.
    """
    offsets = (np.arange(supersample) + 0.5) / supersample
    sub_y, sub_x, row, column = np.meshgrid(
        offsets, offsets, np.arange(height), np.arange(width), indexing="ij"
    )
    x = (column + sub_x - width / 2) / (height / 2)
    y = (height / 2 - row - sub_y) / (height / 2)
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, -1.0)], axis=1)
