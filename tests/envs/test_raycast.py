"""Ray-cast frames: exact against plain mj_ray, the same bits every time, and true areas."""

import copy
import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mujoco
import numpy as np
import pytest

from worldmodel.envs.drawing.camera import FreeCamera, ModelCamera
from worldmodel.envs.drawing.raycast import RayCaster
from worldmodel.errors import EnvError

SCENE = """
<mujoco>
  <asset>
    <texture name="squares" type="2d" builtin="checker" width="64" height="64" rgb1="0 0 0" rgb2="1 1 1"/>
    <material name="squares" texture="squares" texrepeat="2 2"/>
  </asset>
  <worldbody>
    <camera name="top" pos="0 0 4" fovy="60"/>
    <camera name="follow" pos="0 0 4" fovy="60" mode="track"/>
    <geom name="floor" type="plane" size="4 4 0.1" material="squares"/>
    <geom name="post" type="cylinder" size="0.2 0.3" pos="-1 1 0.3" rgba="0 0 1 1"/>
    <geom name="ghost" type="box" size="1 1 1" pos="1 -1 1" rgba="1 1 1 0"/>
    <geom name="collider" type="sphere" size="1" pos="1 1 1" group="3"/>
    <body name="ball" pos="0 0 0.5">
      <freejoint/>
      <geom name="ball" type="sphere" size="0.3" rgba="1 0 0 1"/>
      <geom name="stick" type="capsule" size="0.1" fromto="0 0 0 0.6 0 0.2" rgba="1 0.5 0 1"/>
    </body>
  </worldbody>
</mujoco>"""
TOP = ModelCamera("top")


def scene(**position: float) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE)
    return model, moved(model, **position)


def moved(model: mujoco.MjModel, x: float = 0.0, y: float = 0.0, z: float = 0.5) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[:3] = x, y, z
    mujoco.mj_forward(model, data)
    return data


def plain_geoms(caster: RayCaster, model: mujoco.MjModel, data: mujoco.MjData, size: int) -> np.ndarray:
    """Geom ids [size,size] by one mj_ray per pixel through its middle: no culling, no caches."""
    position, axes, fovy = caster.camera.pose(model, data)
    shown, geom = np.array([1, 1, 1, 0, 0, 0], np.uint8), np.empty(1, np.int32)
    found = np.empty((size, size), np.int32)
    for row in range(size):
        for column in range(size):
            slope = np.tan(np.deg2rad(fovy) / 2) * 2 / size
            x, y = (column + 0.5 - size / 2) * slope, (size / 2 - row - 0.5) * slope
            ray = axes @ np.array([x, y, -1.0])
            mujoco.mj_ray(model, data, position, ray / np.linalg.norm(ray), shown, True, -1, geom)
            found[row, column] = geom[0]
    return found


@pytest.mark.parametrize("camera", [TOP, ModelCamera("follow"), FreeCamera((0, 0, 0), 4.0, 30.0, -35.0)])
def test_every_ray_finds_what_plain_mj_ray_finds(camera: ModelCamera | FreeCamera) -> None:
    model = mujoco.MjModel.from_xml_string(SCENE)
    caster = RayCaster(model, camera=camera, height=24, width=24, supersample=1)
    rng = np.random.default_rng(0)
    for _ in range(5):
        data = moved(model, *rng.uniform(-1.5, 1.5, 2), rng.uniform(0.4, 1.0))
        np.testing.assert_array_equal(caster.draw(data).geoms[0], plain_geoms(caster, model, data, 24))


@pytest.mark.parametrize(
    "camera", [TOP, FreeCamera((0, 0, 0), 4.0, 30.0, -15.0), FreeCamera((0, 0, 0), 3.0, 0.0, 20.0)]
)
def test_planes_are_met_as_mj_ray_meets_them(camera: ModelCamera | FreeCamera) -> None:
    """From the front only, within their size, the nearest of several; a size of 0 is endless."""
    model = mujoco.MjModel.from_xml_string("""
<mujoco><worldbody>
  <camera name="top" pos="0 0 4" fovy="60"/>
  <geom type="plane" size="0 0 1" pos="0 0 -1"/>
  <geom type="plane" size="0.5 1 1" pos="0.3 0 0" euler="10 0 30"/>
  <geom type="plane" size="0.7 0 1" pos="-1 0 0" euler="0 -70 0"/>
  <geom type="plane" size="1 1 1" pos="-0.5 0.5 0.5" euler="180 0 0"/>
  <geom type="box" size="0.2 0.2 0.2" pos="0.5 0.5 0"/>
</worldbody></mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    caster = RayCaster(model, camera=camera, height=24, width=24, supersample=1)
    geoms = caster.draw(data).geoms[0]
    np.testing.assert_array_equal(geoms, plain_geoms(caster, model, data, 24))
    assert len(set(geoms.ravel())) >= 3


def test_geoms_that_only_show_are_found_beyond_those_that_collide() -> None:
    """mj_multiRay alone loses what lies outside the bounding sphere of its body's colliding geoms."""
    model = mujoco.MjModel.from_xml_string("""
<mujoco><worldbody>
  <camera name="top" pos="0 0 4" fovy="60"/>
  <geom name="ground" type="box" size="20 20 0.05" pos="0 0 -0.1" contype="0" conaffinity="0"/>
  <geom name="stone" type="box" size="0.3 0.3 0.1" pos="1 0 0"/>
</worldbody></mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    caster = RayCaster(model, camera=TOP, height=24, width=24, supersample=1)
    geoms = caster.draw(data).geoms[0]
    np.testing.assert_array_equal(geoms, plain_geoms(caster, model, data, 24))
    assert set(geoms.ravel()) == {0, 1}


def test_a_camera_inside_a_bounding_sphere_loses_no_ray() -> None:
    model, data = scene(z=3.6)  # the camera hovers inside the stick's bounding sphere, outside the stick
    caster = RayCaster(model, camera=TOP, height=16, width=16, supersample=1)
    np.testing.assert_array_equal(caster.draw(data).geoms[0], plain_geoms(caster, model, data, 16))


def test_frames_do_not_depend_on_what_was_drawn_before() -> None:
    model, first = scene()
    used = RayCaster(model, camera=TOP, height=32, width=32)
    for x in (0.5, -0.7):
        used.draw(moved(model, x=x))
    fresh = RayCaster(model, camera=TOP, height=32, width=32)
    np.testing.assert_array_equal(used.draw(first).frame, fresh.draw(first).frame)


def digest() -> str:
    model, data = scene(x=0.3, y=-0.2)
    return hashlib.sha256(
        RayCaster(model, camera=TOP, height=32, width=32).draw(data).frame.tobytes()
    ).hexdigest()


def test_same_bits_in_another_thread_and_another_process() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(digest).result() == digest()
    program = "import test_raycast; print(test_raycast.digest())"
    here = Path(__file__).parent
    child = subprocess.run(
        [sys.executable, "-c", program], cwd=here, capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == digest()


def test_supersampling_is_the_box_average_of_a_finer_frame() -> None:
    model, data = scene()
    coarse = RayCaster(model, camera=TOP, height=16, width=16, supersample=2).draw(data).frame
    fine = RayCaster(model, camera=TOP, height=32, width=32, supersample=1).draw(data).frame
    average = fine.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(coarse - average).max() <= 1.0


def test_motion_below_one_pixel_shows() -> None:
    model, still = scene()
    caster = RayCaster(model, camera=TOP, height=32, width=32)
    pixel = 2 * 4 * np.tan(np.deg2rad(30)) / 32
    assert (caster.draw(still).frame != caster.draw(moved(model, x=pixel / 4)).frame).any()


def test_x_is_right_and_y_is_up() -> None:
    model, data = scene(x=1.0, y=1.0)
    picture = RayCaster(model, camera=TOP, height=32, width=32, supersample=1).draw(data)
    rows, columns = np.nonzero(picture.geoms[0] == model.geom("ball").id)
    assert rows.max() < 16 <= columns.min()


def test_areas_are_those_of_the_projection() -> None:
    model, data = scene()
    picture = RayCaster(model, camera=TOP, height=128, width=128).draw(data)
    areas = picture.visible_areas
    # A cylinder's top, straight below but aside, is drawn as a disc: radius 0.2 at depth 4 - 0.6.
    focal = 64 / np.tan(np.deg2rad(30))
    top = np.pi * (0.2 / 3.4 * focal) ** 2
    assert top < areas[model.geom("post").id] < 1.5 * top  # its side shows too
    ball_angle = np.arcsin(0.3 / 3.5)
    hidden_by_stick = areas[model.geom("stick").id]
    ball = np.pi * (np.tan(ball_angle) * focal) ** 2
    assert ball - hidden_by_stick < areas[model.geom("ball").id] <= ball * 1.01
    assert areas[model.geom("ghost").id] == areas[model.geom("collider").id] == 0
    assert areas.sum() == pytest.approx(128 * 128, abs=1)


def test_colours_changed_in_the_model_are_taken_over() -> None:
    model, data = scene()
    caster = RayCaster(model, camera=TOP, height=16, width=16)
    before = caster.draw(data).frame[8, 8].astype(int)
    model.geom("ball").rgba = [0, 1, 0, 1]
    after = caster.draw(data).frame[8, 8].astype(int)
    assert before[0] > before[1] and after[1] > after[0]
    model.geom("ball").rgba = [0, 1, 0, 0]
    assert caster.draw(data).visible_areas[model.geom("ball").id] == 0


def test_drawing_leaves_the_model_alone() -> None:
    model, data = scene()
    groups = copy.deepcopy(model.geom_group)
    RayCaster(model, camera=TOP, height=8, width=8).draw(data)
    np.testing.assert_array_equal(model.geom_group, groups)


def test_a_checkered_floor_shows_its_cells_and_fades_where_they_are_too_fine() -> None:
    camera = FreeCamera((0, 0, 0), 3.0, 90.0, -89.0)

    def floor(repeat: int) -> np.ndarray:
        model = mujoco.MjModel.from_xml_string(
            SCENE.replace('texrepeat="2 2"', f'texrepeat="{repeat} {repeat}"')
        )
        picture = RayCaster(model, camera=camera, height=32, width=32).draw(moved(model, x=100.0))
        return picture.frame[(picture.geoms == model.geom("floor").id).all(axis=0)]

    coarse, fine = floor(2), floor(200)  # cells of 2 m, and of 2 cm where a pixel is 8 cm wide
    assert set(np.unique(coarse[:, 0] > 128)) == {True, False}
    assert len(np.unique(fine, axis=0)) == 1


def test_sites_are_drawn_where_nothing_is_in_front_and_count_for_no_geom() -> None:
    model = mujoco.MjModel.from_xml_string("""
<mujoco><worldbody>
  <camera name="top" pos="0 0 4" fovy="60"/>
  <geom name="floor" type="plane" size="4 4 0.1" rgba="0.5 0.5 0.5 1"/>
  <geom name="post" type="cylinder" size="0.3 0.5" pos="1 0 0.5" rgba="0 0 1 1"/>
  <site name="goal" type="sphere" size="0.3" pos="-1 0 0.3" rgba="1 0 0 1"/>
  <site name="mat" type="box" size="0.3 0.3 0.01" pos="0 1 0" rgba="0 1 0 1"/>
  <site name="inside" type="sphere" size="0.2" pos="1 0 0.5" rgba="1 0 0 1"/>
  <site name="hidden" type="sphere" size="0.3" pos="0 -1 0.3" rgba="1 0 0 1" group="4"/>
</worldbody></mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    picture = RayCaster(model, camera=TOP, height=33, width=33).draw(data)
    frame, scale = picture.frame.astype(int), 33 / (8 * np.tan(np.deg2rad(30)))

    def colour(x: float, y: float) -> str:
        pixel = frame[int(16.5 - y * scale), int(16.5 + x * scale)]
        return "grey" if np.ptp(pixel) < 10 else "rgb"[int(pixel.argmax())]

    assert [colour(-1, 0), colour(0, 1), colour(1, 0), colour(0, -1)] == ["r", "g", "b", "grey"]
    assert picture.visible_areas.sum() == pytest.approx(33 * 33, abs=1)
    model.site("goal").rgba = [0, 1, 0, 1]
    assert RayCaster(model, camera=TOP, height=33, width=33).draw(data).frame[16, 5:12, 1].max() > 150


def test_unknown_camera_is_named() -> None:
    model, data = scene()
    with pytest.raises(EnvError, match=r"no camera 'side'.*'top', 'follow'"):
        RayCaster(model, camera=ModelCamera("side"), height=8, width=8).draw(data)
