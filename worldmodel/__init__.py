"""A learned world model that is a Gymnasium environment.

Importing this package registers its environments. The entry points are strings, so that the import loads
neither torch nor diffusers nor mujoco; `gym.make("worldmodel:worldmodel/Dream-v0", ...)` imports it by itself.
"""

import gymnasium

__version__ = "0.1.0"

# Our MuJoCo scenes and our game: class, time limit in steps.
for _name, _class, _steps in (
    ("Push", "push:PushEnv", 100),
    ("Swing", "swing:SwingEnv", 200),
    ("CartPole", "cartpole:CartPoleEnv", 500),
    ("Bounce", "bounce:BounceEnv", 300),
    ("Hide", "hide:HideEnv", 100),
    ("Billiards", "billiards:BilliardsEnv", 100),
    ("Maze", "maze:MazeEnv", 200),
):
    gymnasium.register(
        id=f"worldmodel/{_name}-v0", entry_point=f"worldmodel.envs.scenes.{_class}", max_episode_steps=_steps
    )
# Games from packages of their own: the extras [atari] and [doom]. Pixels-v0 takes their ids (ALE/..., Vizdoom...) too.
gymnasium.register(
    id="worldmodel/Atari-v0", entry_point="worldmodel.envs.atari:AtariEnv", max_episode_steps=27_000
)
gymnasium.register(id="worldmodel/Doom-v0", entry_point="worldmodel.envs.doom:DoomEnv")
# Any Gymnasium id as pixels. The inner environment brings its own checker, order enforcement and time limit.
gymnasium.register(
    id="worldmodel/Pixels-v0",
    entry_point="worldmodel.envs.pixels:make_pixel_env",
    disable_env_checker=True,
    order_enforce=False,
)
# The same id's state as a vector, for agents that may know what a picture does not show.
gymnasium.register(
    id="worldmodel/State-v0",
    entry_point="worldmodel.envs.state_env:make_state_env",
    disable_env_checker=True,
    order_enforce=False,
)
# The dream's time limit and spaces come from its checkpoint.
gymnasium.register(
    id="worldmodel/Dream-v0",
    entry_point="worldmodel.envs.dream:DreamEnv",
    vector_entry_point="worldmodel.envs.dream:DreamVectorEnv",
)
