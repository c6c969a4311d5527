"""Play a dream by hand with gymnasium.utils.play: W, A, S, D; Escape ends it.

python docs/examples/play.py --checkpoint push                            (needs: pip install 'worldmodel[play]')
"""

import argparse

import gymnasium as gym
import numpy as np
from gymnasium.utils.play import play

import worldmodel  # noqa: F401  (registers the environments)


def keys_of(space: gym.Space) -> tuple[dict, object]:
    """Key -> action, and the action without a key. Box: D, A push along its first axis, W, S along its second.

    Discrete: the keys 1 to 9 are its actions; without a key the first of them.
    """
    if isinstance(space, gym.spaces.Discrete):
        return {str(i + 1): int(space.start + i) for i in range(min(int(space.n), 9))}, int(space.start)
    still = np.clip(np.zeros(space.shape), space.low, space.high).astype(space.dtype)
    keys = {}
    for axis, (up, down) in zip(range(len(still)), ["da", "ws"], strict=False):
        for key, end in ((up, space.high), (down, space.low)):
            keys[key] = still.copy()
            keys[key][axis] = end[axis]
    for first in "da" if len(still) > 1 else "":
        for second in "ws":
            keys[first + second] = keys[first] + keys[second] - still
    return keys, still


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="push", help="a shipped world, or the folder of your own")
    parser.add_argument("--zoom", type=float, default=8.0, help="how many times larger than dreamt")
    options = parser.parse_args(arguments)

    env = gym.make("worldmodel/Dream-v0", checkpoint=options.checkpoint, render_mode="rgb_array")
    keys, still = keys_of(env.action_space)
    total = 0.0

    def tell(before, after, action, reward, terminated, truncated, info) -> None:
        nonlocal total
        total += reward
        print(f"step {info['step']}  action {action}  reward {reward:+.2f}  total {total:+.2f}", end="\r")
        if terminated or truncated:
            print(f"\nended after {info['step']} steps with {total:+.2f}")
            total = 0.0

    play(env, keys_to_action=keys, noop=still, zoom=options.zoom, callback=tell)
    env.close()


if __name__ == "__main__":
    main()
